"""A configuration: what a good one means, and everything that can be wrong with a bad one, said at once and without a secret."""

from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from notifier import config
from notifier.app import load, schema
from notifier.config import ConfigError
from notifier.domain.model import Severity
from notifier.domain.retry import Policy

EXAMPLE = Path(__file__).parents[2] / "config" / "notifier.example.yaml"
CANARY = "SECRET-canary-0123456789"
ENVIRONMENT = {
    "HUAWEICLOUD_SDK_AK": CANARY,
    "HUAWEICLOUD_SDK_SK": CANARY,
    "WEBHOOK_SECRET": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}
GOOD = """\
projects:
  - name: prod
    region: cn-north-4
    project_id: 6204a5bd270343b5885144cf9c8c158d
    credentials: {access_key: "${HUAWEICLOUD_SDK_AK}", secret_key: "${HUAWEICLOUD_SDK_SK}"}
    clusters:
      - {id: one, name: search-prod, labels: {env: prod, version: 7.10, on: on}}
      - {id: two}
sinks:
  console: {type: console}
"""


def read(folder: Path, text: str, environ: dict[str, str] | None = None) -> config.Settings:
    path = folder / "notifier.yaml"
    path.write_text(text)
    return load(path, ENVIRONMENT if environ is None else environ)


def problems(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        read(folder, text)
    said = str(raised.value)
    assert CANARY not in said
    assert CANARY not in repr(raised.value)
    return said


def test_a_good_one_and_its_defaults(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    (project,) = found.projects
    first, second = project.watched
    assert (first.name, second.name) == ("search-prod", "two")
    assert first.labels == {"env": "prod", "version": "7.10", "on": "on"}
    assert (found.poll.active, found.poll.idle, found.poll.unreachable_after, found.poll.rate) == (15, 60, 300, 20)
    assert found.store == "sqlite:///notifier.db"
    assert found.sinks[0].policy == Policy()
    assert found.http is not None
    assert (found.http.host, found.http.port) == ("127.0.0.1", 8080)
    (route,) = found.routes
    assert (route.match.severity.lowest, route.sinks) == (Severity.INFO, ("console",))
    assert CANARY not in repr(found)
    assert found.warnings == ()


def test_the_example_says_what_the_defaults_are(tmp_path: Path) -> None:
    example, bare = load(EXAMPLE, ENVIRONMENT), read(tmp_path, GOOD)
    assert (example.poll, example.store, example.http, example.log) == (bare.poll, bare.store, bare.http, bare.log)
    assert example.sinks[0].policy == bare.sinks[0].policy


def test_the_schema_takes_the_example_and_refuses_what_the_program_refuses() -> None:
    found = YAML(typ="safe", pure=True).load(EXAMPLE.read_text())
    jsonschema.Draft202012Validator.check_schema(schema())
    jsonschema.validate(found, schema())
    changes: list[dict[str, Any]] = [
        {"nonsense": 1},
        {"poll": {"active": 15}},
        {"sinks": {"x": {"type": "console", "colr": "x"}}},
        {"projects": []},
    ]
    for change in changes:
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**found, **change}, schema())


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("region:", "regoin:", ":3:5: projects.0.regoin: unknown key 'regoin'; did you mean 'region'?"),
        ("labels:", "lables:", "projects.0.clusters.0.lables: unknown key 'lables'; did you mean 'labels'?"),
        ("    region: cn-north-4\n", "", "projects.0.region: is missing"),
        (
            "{type: console}",
            "{type: consle}",
            ":10:13: sinks.console.type: sink type 'consle': there is none of that name; did you mean console?",
        ),
        ("{type: console}", "{type: console, colr: x}", "unknown key 'colr'; did you mean 'colour'?"),
        ("{type: console}", "{type: console, digest: 5m}", "digests are not supported yet"),
        ("{type: console}", "console", "must be a mapping with a type"),
        ("  console: {", "  Con sole: {", "a sink's name is 1 to 40 of"),
        ("sinks:", "poll: {active: 15}\nsinks:", ":9:8: poll.active: not a duration; write 100ms, 15s, 5m, 2h or 3d"),
        ("sinks:", "poll: {active: 1ms}\nsinks:", "greater than or equal to 0.1"),
        ("sinks:", "poll: {rate: lots}\nsinks:", "poll.rate: Input should be a valid number"),
        ("sinks:", "store: mysql://x\nsinks:", "store: write sqlite:///"),
        ("sinks:", 'http: {listen: "0.0.0.0:80"}\nsinks:', "a token is needed"),
        ("sinks:", "http: {listen: here}\nsinks:", "http.listen"),
        ("sinks:", "discover: {}\nsinks:", "discovery of clusters is not supported yet"),
        ("sinks:", "routes: [{match: {kind: task.exploded}, sinks: [console]}]\nsinks:", "no kind of event is called that"),
        ("sinks:", "routes: [{match: {severity: '>=inf'}, sinks: [console]}]\nsinks:", "not a severity"),
        ("sinks:", "routes: [{sinks: [consle]}]\nsinks:", "there is no sink 'consle'; did you mean 'console'?"),
        ("sinks:", "routes: [{sinks: []}]\nsinks:", "at least 1 item"),
        ("id: two", "id: one", "this cluster is listed twice"),
        ("clusters:", "clusters: &c\n        - *c\n      #", "clusters"),
        ("name: prod\n", "name: prod\n    name: again\n", ":3:5: projects.0.name: the key is there twice"),
        (
            "${HUAWEICLOUD_SDK_AK}",
            "${NO_SUCH}",
            ":5:31: projects.0.credentials.access_key: environment variable NO_SUCH is not set",
        ),
        ("${HUAWEICLOUD_SDK_AK}", "${file:/no/such}", "/no/such"),
        ('access_key: "${HUAWEICLOUD_SDK_AK}", ', "", "access_key and secret_key belong together"),
        ("{access_key", "{from: env, access_key", "give exactly one of"),
        ("console}", "console, delivery: {first_retry: 5}}", "not a duration"),
        (
            "region: cn-north-4",
            "region: cn-north-44",
            ":3:5: projects.0.region: unknown region 'cn-north-44': did you mean cn-north-4",
        ),
        ("projects:", "projects: [", "is not YAML"),
    ],
)
def test_what_is_wrong_is_said_with_its_place_and_remedy(tmp_path: Path, old: str, new: str, said: str) -> None:
    assert old in GOOD
    found = problems(tmp_path, GOOD.replace(old, new, 1))
    assert said in found
    assert found.startswith(str(tmp_path))


def test_everything_is_said_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = GOOD.replace("region", "regoin").replace("id: two", "idd: two").replace("console}", "console, colr: x}")
    lines = [int(line.split(":")[1]) for line in problems(tmp_path, text).splitlines() if line.split(":")[1].isdigit()]
    assert lines == sorted(lines)
    assert {3, 8, 10} <= set(lines)


def test_secrets_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("from-a-file\n")
    found = read(
        tmp_path, GOOD.replace("${HUAWEICLOUD_SDK_AK}", f"${{file:{secret}}}").replace("${HUAWEICLOUD_SDK_SK}", "$${x}${Y:-z}")
    )
    keys = found.projects[0].credentials
    assert keys.access_key is not None
    assert keys.secret_key is not None
    assert (keys.access_key.get_secret_value(), keys.secret_key.get_secret_value()) == ("from-a-file", "${x}z")


def test_warnings_name_what_is_doubtful(tmp_path: Path) -> None:
    text = GOOD.replace('"${HUAWEICLOUD_SDK_SK}"', "literal") + "  idle: {type: console}\nroutes: [{sinks: console}]\n"
    assert sorted(read(tmp_path, text).warnings) == [
        "projects.0.credentials.secret_key stands in the file itself; better: ${NAME} or ${file:/path}",
        "sink 'idle' hears of nothing: no route names it",
    ]


def test_a_file_that_is_not_there_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load(tmp_path / "none.yaml", {})
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(tmp_path / "binary.yaml", {})
    assert "empty" in problems(tmp_path, "")
    assert "projects" in problems(tmp_path, "[]\n")


def test_a_thousand_clusters_load(tmp_path: Path) -> None:
    many = "".join(f"      - {{id: id-{number}, name: name-{number}, labels: {{env: prod}}}}\n" for number in range(1000))
    found = read(tmp_path, GOOD.replace("      - {id: two}\n", many))
    assert len(found.projects[0].clusters) == 1001


PLACES = [index for index, letter in enumerate(GOOD) if letter in ":{}[]-,\"'$ \n"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.sampled_from(PLACES),
    put=st.sampled_from(["", ":", " ", "{", "}", "[", "- ", "\n", '"', "&a", "*a", "!!x ", "null", "7"]),
)
def test_a_damaged_file_loads_or_is_refused_in_words(tmp_path: Path, at: int, put: str) -> None:
    damaged = GOOD[:at] + put + GOOD[at + 1 :]
    try:
        found: Any = read(tmp_path, damaged)
    except ConfigError as error:
        found = error
    assert CANARY not in str(found)
