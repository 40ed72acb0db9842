"""What is wrong is said all at once, in its place, with a remedy, and without any secret."""

from pathlib import Path

import pytest
from config_files import CANARY, ENVIRON, MINIMAL, load_text, refused, sink_settings, told
from pydantic import BaseModel, field_validator

from notifier.config import ConfigError, load
from notifier.config.document import NOT_YET
from notifier.config.problems import SHOWN, Problem


def test_all_problems_are_told_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
projects:
  - name: prod
    region: cn-north-4
    project_id: abc
    credentials: {acces_key: x, secret_key: "${NONE}"}
    clusters:
      - {id: c-1, lables: {}}
poll: {active: 15, idle: 10ms, timeout: soon}
sinks:
  hook: {type: fancy, timout: 5s, inner: {dept: 1}}
  other: {type: plian}
routes:
  - {match: {kind: task.fialed, severity: [info]}, sinks: [hok, other]}
logs: {}
"""
    assert told(refused(tmp_path, text)) == [
        "5:19: projects.0.credentials.acces_key: unknown key 'acces_key'; did you mean 'access_key'?",
        "5:45: projects.0.credentials.secret_key: environment variable NONE is not set; set it, or write ${NONE:-default}",
        "7:19: projects.0.clusters.0.lables: unknown key 'lables'; did you mean 'labels'?",
        "8:16: poll.active: a duration needs a unit; write 15s",
        "8:26: poll.idle: must be from 100ms to 365d; ",
        "8:41: poll.timeout: not a duration; write it as 100ms, 15s, 5m, 2h, 3d or 1h30m",
        "10:3: sinks.hook.url: the key is missing; ",
        "10:23: sinks.hook.timout: unknown key 'timout'; did you mean 'timeout'?",
        "10:43: sinks.hook.inner.dept: unknown key 'dept'; did you mean 'depth'?",
        "11:17: sinks.other.type: sink type 'plian': there is none of that name; did you mean plain?; ",
        "13:20: routes.0.match.kind: no kind of event is called that; did you mean 'task.failed'?",
        "13:33: routes.0.match.severity: severities are a range, not a list; write one as warning..critical, or add a route",
        "13:60: routes.0.sinks.0: there is no sink 'hok'; did you mean 'hook'?",
        "14:1: logs: unknown key 'logs'; did you mean 'log'?",
    ]


def test_the_text_is_a_block_with_line_and_caret(tmp_path: Path) -> None:
    error = refused(tmp_path, MINIMAL + "poll:\n    actve: 15s\n")
    assert str(error) == (
        f"{tmp_path}/notifier.yaml:8:5: poll.actve: unknown key 'actve'; did you mean 'active'?\n"
        "  8 |     actve: 15s\n"
        "    |     ^\n"
        "1 problem in the configuration"
    )


def test_many_problems_are_counted_rather_than_printed() -> None:
    problems = [Problem("f", "wrong", line=number, column=1) for number in range(SHOWN + 3, 0, -1)]
    lines = str(ConfigError(problems)).splitlines()
    assert lines[0] == "f:1:1: wrong"
    assert len(lines) == SHOWN + 1
    assert lines[-1] == "53 problems in the configuration (3 of them not shown)"


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("name: prod\n", "name: ''\n", "2:11: projects.0.name: must be a text of 1 to 100 characters on one line; "),
        ("cn-north-4", "Beijing", "3:13: projects.0.region: must be a region such as cn-north-4; "),
        ("abc", "a/b", "4:17: projects.0.project_id: must be 1 to 64 letters, digits, - and _; "),
        ("clusters: [{id: c-1}]", "clusters: []", "6:5: projects.0.clusters: must not be empty; "),
        ("clusters: [{id: c-1}]", "clusters: 5", "6:15: projects.0.clusters: must be a list; write [a, b], or one - a line"),
        ("[{id: c-1}]", "[{name: x}]", "6:16: projects.0.clusters.0.id: the key is missing; "),
        ("[{id: c-1}]", "[{id: null}]", "6:21: projects.0.clusters.0.id: must be a text; put it in quotes"),
        ("[{id: c-1}]", "[{id: c-1, labels: {a: }}]", "6:35: projects.0.clusters.0.labels.a: must be a text; put it in quotes"),
        ("[{id: c-1}]", "[{id: c-1}, {id: c-1}]", "6:32: projects.0.clusters.1.id: this cluster is watched already; see line 6"),
        ("{from: env}", "{from: space}", "5:25: projects.0.credentials.from: must be 'env', 'profile' or 'metadata'; "),
        ("{from: env}", "{access_key: a}", "5:5: projects.0.credentials: access_key and secret_key belong together; give both"),
        (
            "{from: env}",
            "{}",
            (
                "5:5: projects.0.credentials: must name one way to get keys; "
                "give access_key and secret_key, or token, or from: env | profile | metadata"
            ),
        ),
        (
            "{from: env}",
            "{from: env, profile_path: x}",
            "5:5: projects.0.credentials: profile_path goes with from: profile only; leave it out",
        ),
        ("{from: env}", "5", "5:18: projects.0.credentials: must be a mapping (key: value); leave the key out for its defaults"),
        (
            "{from: env}",
            '{token: "a b"}',
            "5:26: projects.0.credentials.token: must be printable ASCII without spaces, and not empty; ",
        ),
        (
            "    region",
            "    endpoint: ftp://x\n    region",
            (
                "3:15: projects.0.endpoint: must be an HTTP URL without user, query and fragment; "
                "write it as https://css.cn-north-4.myhuaweicloud.com"
            ),
        ),
        (
            "    region",
            "    endpoint: http://[x\n    region",
            "3:15: projects.0.endpoint: not a URL; write it as https://css.cn-north-4.myhuaweicloud.com",
        ),
    ],
)
def test_a_project_that_is_wrong_is_told_in_its_place(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert told(refused(tmp_path, MINIMAL.replace(old, new))) == [expected]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("poll: {rate: true}", "7:14: poll.rate: must be a number; "),
        ("poll: {rate: fast}", "7:14: poll.rate: must be a number; "),
        ("poll: {rate: 0}", "7:14: poll.rate: must be greater than 0; "),
        ("poll: {rate: .nan}", "7:14: poll.rate: must be greater than 0; "),
        ("poll: {active: 1m30h}", "7:16: poll.active: not a duration; write it as 100ms, 15s, 5m, 2h, 3d or 1h30m"),
        ("poll: {active: -5s}", "7:16: poll.active: not a duration; write it as 100ms, 15s, 5m, 2h, 3d or 1h30m"),
        ("poll: {active: true}", "7:16: poll.active: not a duration; write it as 100ms, 15s, 5m, 2h, 3d or 1h30m"),
        ("poll: {active: 999999999d}", "7:16: poll.active: must be from 100ms to 365d; "),
        ("poll:", "7:1: poll: must be a mapping (key: value); leave the key out for its defaults"),
        (
            "store: mysql://x",
            "7:8: store: not the URL of a store; write sqlite:///notifier.db or postgresql://user@host/database",
        ),
        ("store: postgres://x/y", "7:8: store: the store's URL has an unknown scheme; write postgresql://user@host/database"),
        (
            "store: sqlite:///",
            "7:8: store: not the URL of a store; write sqlite:///notifier.db or postgresql://user@host/database",
        ),
        (
            "store: postgresql://h:port/x",
            "7:8: store: not the URL of a store; write sqlite:///notifier.db or postgresql://user@host/database",
        ),
        ("sinks: {}", "7:1: sinks: must not be empty; "),
        ("sinks: {a: 5}", "7:12: sinks.a: must be a mapping with a type; write a: {type: …}"),
        ("sinks: {a: {}}", "7:9: sinks.a.type: the key is missing; "),
        ("sinks: {a: {type: 5}}", "7:19: sinks.a.type: sink type '5': there is none of that name; did you mean plain?; "),
        ("sinks: {a: {type: }}", "7:13: sinks.a.type: must be a text; put it in quotes"),
        ("sinks: {a: {type: ''}}", "7:19: sinks.a.type: must be the name of a sink type such as console; "),
        ("sinks: {A: {type: plain}}", "7:9: sinks.A: a sink's name is 1 to 40 of a-z, 0-9, _ and -; rename it"),
        ("sinks: {'a|b': {type: plain}}", "7:9: sinks.a|b: a sink's name is 1 to 40 of a-z, 0-9, _ and -; rename it"),
        ("sinks: {a: {type: plain, timeout: 13s}}", "7:35: sinks.a.timeout: must be from 100ms to 12s; "),
        ("sinks: {a: {type: plain, concurrency: 0}}", "7:39: sinks.a.concurrency: must be greater than or equal to 1; "),
        (
            "sinks: {a: {type: plain, delivery: {first_retry: 2h, max_retry: 1h}}}",
            "7:26: sinks.a.delivery: first_retry is longer than max_retry; waits begin with first_retry and grow to max_retry",
        ),
        ("routes: []", "7:1: routes: must not be empty; "),
        ("routes: [{sinks: []}]", "7:11: routes.0.sinks: must not be empty; "),
        ("routes: [{match: {}}]", "7:10: routes.0.sinks: the key is missing; "),
        ("routes: [{sinks: nobody}]", "7:18: routes.0.sinks: there is no sink 'nobody'; name one of sinks"),
        ("routes: [{sinks: '${SINK}'}]", "7:18: routes.0.sinks: there is no sink of that name; name one of sinks"),
        (
            "routes: [{match: {severity: wraning}, sinks: console}]",
            "7:29: routes.0.match.severity: not a severity; did you mean 'warning'?",
        ),
        (
            "routes: [{match: {severity: x}, sinks: console}]",
            "7:29: routes.0.match.severity: not a severity; there is debug, info, warning, error, critical",
        ),
        (
            "routes: [{match: {severity: 5}, sinks: console}]",
            (
                "7:29: routes.0.match.severity: not a severity; "
                "write one of debug, info, warning, error, critical, or >=info, <=error, info..error"
            ),
        ),
        (
            "routes: [{match: {severity: error..info}, sinks: console}]",
            "7:29: routes.0.match.severity: no severity is in this range; write info..error",
        ),
        (
            "routes: [{match: {action: MOVING}, sinks: console}]",
            "7:27: routes.0.match.action: no action is called that; there is UPGRADING, AZ_MIGRATION",
        ),
        ("http: {listen: 8080}", "7:16: http.listen: must be host:port such as 127.0.0.1:8080; "),
        ("http: {listen: '127.0.0.1:99999'}", "7:1: http: there is no port above 65535; "),
        (
            "http: {read_token: 0123456789abcdef}",
            '7:1: http: read_token goes with token; write token: "${NOTIFIER_TOKEN}" beside it',
        ),
        (
            "http: {token: 0123456789abcdef, read_token: 0123456789abcdef}",
            "7:1: http: read_token is the same as token; give it a value of its own, or leave it out",
        ),
        ("http: {token: short}", "7:15: http.token: must be 16 or more characters of printable ASCII without spaces; "),
        ("log: {level: loud}", "7:14: log.level: must be 'debug', 'info', 'warning' or 'error'; "),
        ("poll: {active: 1s, active: 2s}", "7:20: poll.active: the key is there twice; keep one; the first is in line 7"),
        (
            "on: 5",
            (
                "7:1: on: unknown key 'on'; known here: "
                "delivery, heartbeat, http, log, metrics, poll, projects, routes, sinks, store, tracing"
            ),
        ),
    ],
)
def test_a_section_that_is_wrong_is_told_in_its_place(line: str, expected: str, tmp_path: Path) -> None:
    found = told(refused(tmp_path, MINIMAL + line + "\n"))
    assert found == [expected]


def test_the_delivery_of_a_sink_must_fit_the_delivery_of_the_file(tmp_path: Path) -> None:
    text = MINIMAL + "delivery: {max_retry: 10s}\nsinks: {a: {type: plain, delivery: {first_retry: 1m}}}\n"
    assert [each.path for each in refused(tmp_path, text).problems] == ["sinks.a.delivery"]


def test_a_delivery_that_is_wrong_is_told_once_not_for_every_sink(tmp_path: Path) -> None:
    text = MINIMAL + "delivery: {max_retry: 10}\nsinks: {a: {type: plain}, b: {type: plain, delivery: {first_retry: 1m}}}\n"
    assert [each.path for each in refused(tmp_path, text).problems] == ["delivery.max_retry"]


def test_two_projects_of_one_name_are_refused_even_if_another_thing_is_wrong(tmp_path: Path) -> None:
    text = MINIMAL + MINIMAL.partition("\n")[2].replace("project_id: abc", "project_id: a/c")
    assert [(each.path, each.what) for each in refused(tmp_path, text).problems] == [
        ("projects.1.name", "another project has this name"),
        ("projects.1.project_id", "must be 1 to 64 letters, digits, - and _"),
    ]


@pytest.mark.parametrize("key", sorted(NOT_YET))
@pytest.mark.parametrize("place", ["{}{}: 1\n", "sinks: {{s: {{type: plain, {1}: 1}}}}\n"])
def test_what_is_planned_but_not_built_is_refused_not_ignored(key: str, place: str, tmp_path: Path) -> None:
    text = place.format("", key) if place.startswith("{}") else place.replace("{1}", key).replace("{{", "{").replace("}}", "}")
    [problem] = refused(tmp_path, MINIMAL + text).problems
    assert (problem.what, problem.remedy) == (f"'{key}' is not supported yet", "leave it out")


def test_what_is_planned_is_refused_for_a_project_too(tmp_path: Path) -> None:
    text = MINIMAL + "    egress: {proxy: http://127.0.0.1:3128}\n"
    assert [each.what for each in refused(tmp_path, text).problems] == ["'egress' is not supported yet"]


def test_a_file_that_cannot_be_read_is_one_problem_without_a_line(tmp_path: Path) -> None:
    big, binary = tmp_path / "big.yaml", tmp_path / "binary.yaml"
    big.write_bytes(b"# " + b"x" * 1024 * 1024)
    binary.write_bytes(b"\xff\xfe")
    for path, what in [
        (tmp_path / "none.yaml", "cannot be read: No such file or directory"),
        (tmp_path, "cannot be read: Is a directory"),
        (big, "is larger than 1 MiB"),
        (binary, "is not text in UTF-8"),
        (Path("a\0b"), "cannot be read: not a file name"),
    ]:
        with pytest.raises(ConfigError) as caught:
            load(path, sink_settings=sink_settings, environ={})
        [problem] = caught.value.problems
        assert (problem.what, problem.line) == (what, None)


@pytest.mark.parametrize("text", ["[]", "5", "projects", "- a"])
def test_a_file_that_is_no_mapping_is_refused(text: str, tmp_path: Path) -> None:
    assert [each.what for each in refused(tmp_path, text).problems] == ["the file must be a mapping"]


def test_a_byte_order_mark_is_taken_for_what_it_is(tmp_path: Path) -> None:
    assert load_text(tmp_path, "\ufeff" + MINIMAL).projects[0].name == "prod"


@pytest.mark.parametrize(
    "line",
    [
        f"http: {{token: {CANARY}, listn: x}}",
        f"http: {{tokn: {CANARY}}}",
        f"http: {{read_token: {CANARY}}}",
        f"http: {{listen: {CANARY}}}",
        f"poll: {{token: {CANARY}}}",
        f"poll: {{active: {CANARY}}}",
        f"{CANARY}: 5",
        f"poll: {{{CANARY}: 5}}",
        f"sinks: {{{CANARY}: {{type: plain}}}}",
        f"sinks: {{a: {{type: {CANARY}}}}}",
        f"sinks: {{a: {CANARY}}}",
        f"sinks: {{a: {{type: fancy, url: {CANARY}}}}}",
        f"sinks: {{a: {{type: fancy, url: 'https://x', port: {CANARY}}}}}",
        f"sinks: {{a: {{type: fancy, url: 'https://x', prt: {CANARY}}}}}",
        "sinks: {a: {type: fancy, url: '${CANARY}'}}",
        "sinks: {a: {type: '${CANARY}'}}",
        "routes: [{sinks: ['${CANARY}']}]",
        "routes: [{match: {kind: '${CANARY}'}, sinks: console}]",
        f"routes: [{{match: {{kind: {CANARY}}}, sinks: {CANARY}}}]",
        "log: {level: '${CANARY}'}",
        f"store: postgres://u:{CANARY}@h/d",
        f"logs: x # the old token was {CANARY}",
        f"http: {{token: !{CANARY} x}}",
        f"http: {{token: *{CANARY}}}",
        f"http: {{token: &{CANARY} [x]}}",
        f"http: {{token: {CANARY}: x",
        f"http: {CANARY}: {CANARY}",
        f"logs: |\n  {CANARY}\n  {CANARY}\npoll: 5",
        f'logs: "{CANARY}\n  {CANARY}"',
        f"http: {{token: @{CANARY}}}",
        f"http: {{token: {CANARY}, token: {CANARY}}}",
        f"a: &a {{x: {CANARY}}}\n<<: {CANARY}",
    ],
)
def test_a_secret_in_any_wrong_place_is_never_shown(line: str, tmp_path: Path) -> None:
    error = refused(tmp_path, MINIMAL + line + "\n")
    assert "CANARY-s3" not in str(error) + str([each.as_dict() for each in error.problems])


def test_placeholders_are_shown_and_values_beside_them_are_not(tmp_path: Path) -> None:
    text = MINIMAL + 'sinks: {a: {type: fancy, secret: "${CANARY}", url: "${NONE}", colour: hidden, pory: 1}}\n'
    sources = {each.source for each in refused(tmp_path, text).problems}
    assert sources == {'sinks: {a: {type: fancy, secret: "${CANARY}", url: "${NONE}", colour: ***, pory: ***}}'}


def test_a_long_line_is_shown_around_the_caret(tmp_path: Path) -> None:
    labels = ", ".join(f"label{chr(97 + number % 26)}{number // 26}: value" for number in range(60))
    text = MINIMAL.replace("{id: c-1}", f"{{id: c-1, labels: {{{labels}}}, nme: x, z: {{{labels}}}}}")
    problem = next(each for each in refused(tmp_path, text).problems if each.path.endswith("nme"))
    assert problem.source.startswith("…")
    assert problem.source.endswith("…")
    assert problem.source[problem.caret :].startswith("nme: ***")
    assert len(problem.source) == 102


def test_a_line_that_is_no_yaml_shows_its_key_only(tmp_path: Path) -> None:
    [problem] = refused(tmp_path, "projects:\n  - token: abc: def\n").problems
    assert problem.source == "  - token: ***: ***"
    assert (problem.line, problem.column) == (2, 15)


def test_a_key_that_excludes_another_is_not_suggested_for_itself() -> None:
    from notifier.config.document import unknown_key  # noqa: PLC0415 - named where it is looked at

    assert unknown_key("token", {"token"}) == ("'token' does not go together with the keys beside it", "leave it out")
    assert unknown_key("x9", {"b", "a"}) == ("unknown key 'x9'", "known here: a, b")


def test_an_unknown_sink_type_without_words_is_told_all_the_same(tmp_path: Path) -> None:
    def nothing(_: str) -> type:
        raise LookupError

    path = tmp_path / "notifier.yaml"
    path.write_text(MINIMAL)
    with pytest.raises(ConfigError, match="unknown sink type"):
        load(path, sink_settings=nothing, environ=ENVIRON)


@pytest.mark.parametrize("raised", [AttributeError(CANARY), KeyError(CANARY), SystemExit(CANARY)])
def test_a_validator_that_raises_what_it_should_not_is_a_problem_of_its_sink(tmp_path: Path, raised: BaseException) -> None:
    class Faulty(BaseModel):
        colour: str = "auto"

        @field_validator("colour")
        @classmethod
        def _fail(cls, _: str) -> str:
            raise raised

    path = tmp_path / "notifier.yaml"
    path.write_text(MINIMAL + "sinks:\n  a: {type: faulty, colour: red}\n  b: {type: faulty, color: red}\n")
    with pytest.raises(ConfigError) as caught:
        load(path, sink_settings=lambda _: Faulty, environ=ENVIRON)
    [problem] = caught.value.problems
    assert (problem.path, problem.what) == ("sinks.a", f"could not be checked: {type(raised).__name__} was raised")
    assert problem.remedy == f"that is a fault in the code of {__name__}"
    assert CANARY not in str(caught.value)
