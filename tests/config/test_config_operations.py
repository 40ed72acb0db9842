"""Discovery, heartbeat and traces in the configuration: what they say, and what is wrong with them, in its line."""

from pathlib import Path

import pytest
from config_files import CANARY, MINIMAL, load_text, refused, told
from pydantic import SecretStr

from notifier.config.operations import DiscoverSettings, HeartbeatSettings
from notifier.domain.discovery import Wanted

LISTING = MINIMAL.replace("clusters: [{id: c-1}]", "discover: {every: 90s, name: 'search-*', tags: {env: prod, team: [a, b]}}")


def test_a_project_may_name_clusters_or_discover_them_or_both(tmp_path: Path) -> None:
    [project] = load_text(tmp_path, LISTING).projects
    assert project.clusters == ()
    assert project.discover is not None
    assert project.discover.every == 90
    assert project.discover.wanted == Wanted(("search-*",), {"env": ("prod",), "team": ("a", "b")})
    [both] = load_text(tmp_path, MINIMAL + "    discover: {}\n").projects
    assert (len(both.watched), both.discover) == (1, DiscoverSettings())
    assert DiscoverSettings().wanted == Wanted()
    assert DiscoverSettings().every == 600


def test_a_heartbeat_is_a_secret(tmp_path: Path) -> None:
    settings = load_text(tmp_path, MINIMAL + 'heartbeat: {url: "https://hc.example/${CANARY}", every: 30s, method: POST}\n')
    assert settings.heartbeat == HeartbeatSettings(url=SecretStr(f"https://hc.example/{CANARY}"), every="30s", method="POST")
    assert CANARY not in repr(settings)
    assert load_text(tmp_path, MINIMAL).heartbeat is None


def test_traces_go_where_the_file_says(tmp_path: Path) -> None:
    settings = load_text(tmp_path, MINIMAL + "tracing: {endpoint: 'http://collector:4318'}\n")
    assert settings.tracing is not None
    assert settings.tracing.endpoint == "http://collector:4318"
    assert not settings.warnings


def test_traces_without_the_extra_are_warned_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("notifier.config.warn.find_spec", lambda _: None)
    [warning] = load_text(tmp_path, MINIMAL + "tracing: {endpoint: 'http://collector:4318'}\n").warnings
    assert (warning.line, warning.what) == (7, "nothing is traced: the extra otel is not installed")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            MINIMAL.replace("    clusters: [{id: c-1}]\n", ""),
            '2:5: projects.0: nothing of this project is watched; name clusters, or write discover: {name: "*"}',
        ),
        (
            MINIMAL + "    discover: {evry: 1m}\n",
            "7:16: projects.0.discover.evry: unknown key 'evry'; did you mean 'every'?",
        ),
        (MINIMAL + "    discover: {every: 10}\n", "7:23: projects.0.discover.every: a duration needs a unit; write 10s"),
        (MINIMAL + "    discover: {name: []}\n", "7:16: projects.0.discover.name: must not be empty; "),
        (
            MINIMAL + "    discover: yes\n",
            "7:15: projects.0.discover: must be a mapping (key: value); leave the key out for its defaults",
        ),
        (
            LISTING + LISTING.partition("\n")[2].replace("name: prod", "name: other"),
            (
                "11:5: projects.1.discover: the clusters of this project_id are discovered already; "
                "see line 6; its name may be a list"
            ),
        ),
        (MINIMAL + "heartbeat: {every: 1m}\n", "7:1: heartbeat.url: the key is missing; "),
        (
            MINIMAL + "heartbeat: {url: 'ftp://x'}\n",
            "7:18: heartbeat.url: must be an HTTP URL; write it as https://hc-ping.com/…",
        ),
        (
            MINIMAL + "heartbeat: {url: 'http://[x'}\n",
            "7:18: heartbeat.url: not a URL; write it as https://hc-ping.com/…",
        ),
        (MINIMAL + "metrics: {clusters: 501}\n", "7:21: metrics.clusters: must be less than or equal to 500; "),
        (MINIMAL + "tracing: {endpoint: 'nowhere'}\n", None),
    ],
)
def test_what_is_wrong_is_told_in_its_place(text: str, expected: str | None, tmp_path: Path) -> None:
    found = told(refused(tmp_path, text))
    assert len(found) == 1
    if expected is not None:
        assert found == [expected]
