"""What a good file becomes."""

import json
import time
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from config_files import CANARY, ENVIRON, MINIMAL, VALID, load_text, refused, sink_settings
from pydantic import ValidationError

from notifier.config import ConfigError, load
from notifier.config.document import NOT_YET
from notifier.domain.model import Cluster, Severity
from notifier.domain.retry import Policy
from notifier.domain.routing import Matcher, Route, SeverityRange
from notifier.sinks import registry

EXAMPLE = Path(__file__).parents[2] / "config" / "notifier.example.yaml"
EXAMPLE_ENVIRON = {
    "HUAWEICLOUD_SDK_AK": "AK",
    "HUAWEICLOUD_SDK_SK": "SK",
    "WEBHOOK_SECRET": "whsec_" + "c2VjcmV0" * 4,
    "SLACK_BOT_TOKEN": "xoxb-0123456789",
    "PAGERDUTY_ROUTING_KEY": "0123456789abcdef" * 2,
    "NOTIFIER_TOKEN": "0123456789abcdef",
}


def test_the_smallest_file_has_a_console_sink_a_route_and_all_defaults(tmp_path: Path) -> None:
    settings = load_text(tmp_path, MINIMAL)
    assert settings.projects[0].watched == (Cluster("c-1", "c-1", "cn-north-4", "prod", "abc", {}),)
    assert (settings.poll.active, settings.poll.idle, settings.poll.timeout) == (15.0, 60.0, 10.0)
    assert (settings.poll.unreachable_after, settings.poll.rate) == (300.0, 20.0)
    assert settings.store == settings.store_redacted == "sqlite:///notifier.db"
    [console] = settings.sinks
    assert (console.name, console.type, console.timeout, console.rate, console.concurrency) == (
        "console",
        "console",
        10.0,
        None,
        2,
    )
    assert console.policy == Policy()
    assert settings.routes == (Route(Matcher(severity=SeverityRange(lowest=Severity.INFO)), ("console",)),)
    assert settings.http is not None
    assert (settings.http.host, settings.http.port, settings.http.token) == ("127.0.0.1", 8080, None)
    assert (settings.log.format, settings.log.level) == ("auto", "info")
    assert settings.warnings == ()


def test_a_full_file_is_read_key_by_key(tmp_path: Path) -> None:
    settings = load_text(tmp_path, VALID)
    search, second = settings.projects[0].watched
    assert search.labels == {"env": "prod", "version": "7.10", "on": "true", "major": "7"}
    assert (second.name, second.key) == ("c-2", "6204a5bd270343b5885144cf9c8c158d/c-2")
    credentials = settings.projects[0].credentials
    assert credentials.access_key is not None
    assert credentials.access_key.get_secret_value() == CANARY
    assert settings.store.endswith("@db/notifier")
    assert settings.store_redacted == "postgresql://bot:***@db/notifier"
    out, hook = settings.sinks
    assert (out.concurrency, hook.concurrency) == (2, 4)
    assert out.policy == Policy(2.0, 3600.0, 72 * 3600.0)
    assert hook.policy == Policy(1.0, 3600.0, 72 * 3600.0)
    assert hook.settings.model_dump()["port"] == 25
    assert settings.routes == (
        Route(Matcher(("task.failed", "node.*"), SeverityRange(Severity.WARNING), {"env": ("prod",)}), ("hook",)),
        Route(Matcher(), ("out",)),
    )
    assert settings.http is not None
    assert settings.http.port == 0


def test_settings_are_frozen_and_their_repr_shows_no_secret(tmp_path: Path) -> None:
    settings = load_text(tmp_path, VALID)
    assert CANARY not in repr(settings)
    with pytest.raises(FrozenInstanceError):
        settings.store = ""  # type: ignore[misc]
    with pytest.raises(ValidationError):
        settings.poll.active = 1.0  # type: ignore[misc]


def test_what_is_secret_in_settings_is_known_wherever_it_stands(tmp_path: Path) -> None:
    pieces = {name: f"{name}-s3cr3t-0123456789" for name in ("access", "key", "store", "url", "sink", "header", "page", "beat")}
    text = VALID.replace('access_key: "${CANARY}"', f"access_key: {pieces['access']}")
    text = text.replace('secret: "${CANARY}"', f"secret: [{pieces['sink']}]")
    for name, before in (("key", "secret_key: "), ("store", "postgresql://bot:"), ("url", "https://bot:"), ("header", "Bearer ")):
        text = text.replace(f"{before}{CANARY}", f"{before}{pieces[name]}")
    text = (
        text.replace(f"token: {CANARY}", f"token: {pieces['page']}") + f"heartbeat: {{url: 'https://hc.test/{pieces['beat']}'}}\n"
    )
    assert CANARY not in text
    secrets = load_text(tmp_path, text).secrets
    assert [name for name, piece in pieces.items() if not any(piece in secret for secret in secrets)] == []
    assert not any(harmless in secret for secret in secrets for harmless in ("6204a5bd", "search", "notifier", "Authorization"))


@pytest.mark.parametrize("password", ["bot:p%40ss%2Fword@db/notifier", "bot@db/notifier?password=p%40ss%2Fword"])
def test_the_stores_password_is_known_as_it_is_used(password: str, tmp_path: Path) -> None:
    assert load_text(tmp_path, f"{MINIMAL}store: postgresql://{password}\n").secrets == {"p@ss/word"}
    assert load_text(tmp_path, MINIMAL).secrets == frozenset()


@pytest.mark.parametrize("off", ["off", "false", "null", '"off"', ""])
def test_http_can_be_switched_off(off: str, tmp_path: Path) -> None:
    assert load_text(tmp_path, MINIMAL + f"http: {off}\n").http is None


@pytest.mark.parametrize(
    ("listen", "host", "port"),
    [("localhost:1", "localhost", 1), ('"[::1]:9"', "::1", 9), ("127.9.9.9:80", "127.9.9.9", 80)],
)
def test_loopback_needs_no_token(listen: str, host: str, port: int, tmp_path: Path) -> None:
    http = load_text(tmp_path, MINIMAL + f"http: {{listen: {listen}}}\n").http
    assert http is not None
    assert (http.host, http.port) == (host, port)


@pytest.mark.parametrize(
    ("listen", "host"),
    [("0.0.0.0:80", "0.0.0.0"), ("':80'", "0.0.0.0"), ('"[::]:80"', "::"), ("bot.example.com:80", "bot.example.com")],
)
def test_what_others_can_reach_needs_a_token(listen: str, host: str, tmp_path: Path) -> None:
    error = refused(tmp_path, MINIMAL + f"http: {{listen: {listen}}}\n")
    assert [each.what for each in error.problems] == ["others can reach this address, so it needs a token"]
    http = load_text(tmp_path, MINIMAL + f"http: {{listen: {listen}, token: 0123456789abcdef}}\n").http
    assert http is not None
    assert http.host == host


@pytest.mark.parametrize(
    ("written", "lowest", "highest"),
    [
        ('">=info"', Severity.INFO, Severity.CRITICAL),
        ('"<= warning"', Severity.DEBUG, Severity.WARNING),
        ("error", Severity.ERROR, Severity.ERROR),
        ("info..error", Severity.INFO, Severity.ERROR),
        ("info .. error", Severity.INFO, Severity.ERROR),
    ],
)
def test_a_severity_is_a_range(written: str, lowest: Severity, highest: Severity, tmp_path: Path) -> None:
    settings = load_text(tmp_path, MINIMAL + f"routes: [{{match: {{severity: {written}}}, sinks: console}}]\n")
    assert settings.routes[0].match.severity == SeverityRange(lowest, highest)


def test_a_delivery_may_be_given_up_after_its_first_try(tmp_path: Path) -> None:
    settings = load_text(tmp_path, MINIMAL + "sinks: {a: {type: plain, delivery: {give_up_after: 100ms}}}\n")
    assert settings.sinks[0].policy == Policy(give_up_after=0.1)


def test_ids_that_yaml_takes_for_numbers_stay_what_they_are(tmp_path: Path) -> None:
    text = MINIMAL.replace("project_id: abc", "project_id: 1234e567").replace("{id: c-1}", "{id: 0123, name: 1.10}")
    [cluster] = load_text(tmp_path, text).projects[0].watched
    assert (cluster.project_id, cluster.id, cluster.name) == ("1234e567", "0123", "1.10")


def test_warnings_name_idle_sinks_literal_secrets_and_open_files(tmp_path: Path) -> None:
    text = VALID.replace("  - {sinks: out}\n", "")
    load_text(tmp_path, text)
    path = tmp_path / "notifier.yaml"
    path.chmod(0o644)
    warnings = load(path, sink_settings=sink_settings, environ=ENVIRON).warnings
    assert [(warning.path, warning.what) for warning in warnings] == [
        ("sinks.out", "hears of nothing: no route names it"),
        ("projects.0.credentials.secret_key", "a secret stands in the file itself"),
        ("store", "a secret stands in the file itself"),
        ("http.token", "a secret stands in the file itself"),
        ("sinks.hook.url", "a secret stands in the file itself"),
        ("sinks.hook.headers.Authorization", "a secret stands in the file itself"),
        ("", "everybody on this machine can read the secrets in it"),
    ]
    assert CANARY not in "".join(map(str, warnings))


def test_a_url_that_cannot_be_taken_apart_is_warned_of_as_a_secret(tmp_path: Path) -> None:
    settings = load_text(tmp_path, MINIMAL + "sinks: {a: {type: fancy, url: 'https://[x'}}\n")
    assert [warning.path for warning in settings.warnings] == ["sinks.a.url"]


def test_the_endpoints_of_regions_are_asked_for_only_where_none_is_given(tmp_path: Path) -> None:
    def endpoint_of(region: str) -> str:
        raise ValueError(f"unknown region {region!r}")

    path = tmp_path / "notifier.yaml"
    path.write_text(MINIMAL)
    with pytest.raises(ConfigError) as caught:
        load(path, sink_settings=sink_settings, environ={}, endpoint_of=endpoint_of)
    assert [(each.path, each.what, each.line) for each in caught.value.problems] == [
        ("projects.0.region", "unknown region 'cn-north-4'", 3)
    ]
    path.write_text(MINIMAL.replace("    region", "    endpoint: http://127.0.0.1:9000/\n    region"))
    settings = load(path, sink_settings=sink_settings, environ={}, endpoint_of=endpoint_of)
    assert settings.projects[0].endpoint == "http://127.0.0.1:9000"


def test_the_example_is_good_with_the_real_sinks() -> None:
    settings = load(EXAMPLE, sink_settings=lambda name: registry.load(name).settings, environ=EXAMPLE_ENVIRON)
    assert [sink.type for sink in settings.sinks] == ["console", "webhook", "slack", "pagerduty", "alertmanager", "email"]
    assert settings.warnings == ()


def test_the_example_promises_nothing_that_is_not_built() -> None:
    assert not NOT_YET & {line.strip().split(":")[0] for line in EXAMPLE.read_text().splitlines()}


def test_problems_are_also_data(tmp_path: Path) -> None:
    error = refused(tmp_path, MINIMAL + "pol: {}\n")
    assert json.loads(json.dumps([each.as_dict() for each in error.problems])) == [
        {
            "file": str(tmp_path / "notifier.yaml"),
            "line": 7,
            "column": 1,
            "path": "pol",
            "what": "unknown key 'pol'",
            "remedy": "did you mean 'poll'?",
        }
    ]


def test_a_thousand_clusters_load_within_seconds(tmp_path: Path) -> None:
    rows = [f"      - {{id: c-{number}, name: search-{number}, labels: {{env: prod, version: 7.10}}}}" for number in range(1000)]
    text = MINIMAL.replace("    clusters: [{id: c-1}]\n", "    clusters:\n" + "\n".join(rows) + "\n")
    began = time.process_time()
    settings = load_text(tmp_path, text)
    assert time.process_time() - began < 5
    assert len(settings.projects[0].watched) == 1000


def test_two_thousand_clusters_with_ten_labels_are_not_too_many(tmp_path: Path) -> None:
    labels = "{" + ", ".join(f"l{number}: v" for number in range(10)) + "}"
    rows = [f"      - {{id: c-{number}, labels: *l}}" for number in range(2000)]
    text = MINIMAL.replace(
        "    clusters: [{id: c-1}]\n", f"    clusters:\n      - {{id: x, labels: &l {labels}}}\n" + "\n".join(rows) + "\n"
    )
    assert len(load_text(tmp_path, text).projects[0].watched) == 2001
