"""``replay``, ``record`` and ``drill`` as people call them."""

import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from notifier.cli import main

sys.path.append(str(Path(__file__).parents[1] / "recordings"))

RECORDINGS = Path(__file__).parents[1] / "recordings"
FAILURE = RECORDINGS / "failure.jsonl.gz"
HANG = RECORDINGS / "hang.jsonl.gz"
CONFIG = """\
projects:
  - name: beijing
    region: cn-north-4
    project_id: p1
    endpoint: http://127.0.0.1:9
    credentials: {{access_key: AK, secret_key: SK}}
    clusters:
      - {{id: c1, name: search, labels: {{env: prod}}}}
      - {{id: c2, name: logs, labels: {{env: test}}}}
store: sqlite:///{folder}/notifier.db
sinks:
  team: {{type: console, quiet: {{from: "09:00", to: "21:00", zone: Asia/Shanghai}}}}
  oncall: {{type: console}}
  other: {{type: console}}
routes:
  - {{match: {{severity: ">=info"}}, sinks: [team]}}
  - {{match: {{kind: "task.failed", labels: {{env: [prod, test]}}}}, sinks: [oncall]}}
  - {{match: {{kind: "task.failed", labels: {{env: dev}}}}, sinks: [other]}}
poll: {{active: 100ms, idle: 200ms, unreachable_after: 1h}}
log: {{level: error}}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "notifier.yaml"
    path.write_text(CONFIG.format(folder=tmp_path))
    return path


def run(*words: str | Path, answer: str = "") -> Result:
    return CliRunner().invoke(main, [str(word) for word in words], input=answer)


def test_a_replay_prints_what_would_be_told_today_and_marks_it() -> None:
    found = run("replay", FAILURE)
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert all("[REPLAY]" in line for line in lines)
    assert "Upgrade FAILED" in lines[-1]
    assert not any("Data migration” succeeded" in line for line in lines)
    everything = run("replay", FAILURE, "--all")
    assert "Data migration” succeeded" in everything.stdout


def test_a_replay_as_json_has_ids_of_its_own() -> None:
    expected = [json.loads(line) for line in (RECORDINGS / "failure.events.jsonl").read_text().splitlines()]
    replayed = [json.loads(line) for line in run("replay", FAILURE, "--all", "--json").stdout.splitlines()]
    assert [event["kind"] for event in replayed] == [event["kind"] for event in expected]
    assert {event["mark"] for event in replayed} == {"REPLAY"}
    assert not {event["id"] for event in replayed} & {event["id"] for event in expected}
    assert all(event["cluster"]["id"].startswith("replay-") for event in replayed)
    assert {event["late_by"] for event in replayed} == {None}


def test_a_folder_is_replayed_as_a_whole(tmp_path: Path) -> None:
    for name in ("quick", "failure"):
        (tmp_path / f"{name}.jsonl.gz").write_bytes((RECORDINGS / f"{name}.jsonl.gz").read_bytes())
    assert len(run("replay", tmp_path).stdout.splitlines()) > len(run("replay", FAILURE).stdout.splitlines())


def test_a_replay_at_a_speed_takes_its_time() -> None:
    found = run("replay", FAILURE, "--speed", "100000")
    assert found.exit_code == 0, found.output
    assert found.stdout == run("replay", FAILURE, "--as-fast-as-possible").stdout


def test_who_would_have_been_told_is_asked_of_another_configuration(config: Path) -> None:
    found = run("replay", FAILURE, "--who", "--config", config)
    assert found.exit_code == 0, found.output
    lines = found.stdout.splitlines()
    assert lines[0].endswith("css-test  task.started -> team (held until 2026-03-01 21:00 CST)")
    assert lines[-1].endswith("css-test  task.failed -> team, oncall")
    assert any(line.endswith("-> nobody") for line in run("replay", FAILURE, "--who", "--all", "-c", config).stdout.splitlines())
    as_json = [json.loads(line) for line in run("replay", FAILURE, "--who", "-c", config, "--json").stdout.splitlines()]
    assert set(as_json[-1]["told"]) == {"team", "oncall"}


def test_what_time_tells_is_told_again_with_its_forecasts() -> None:
    found = run("replay", HANG)
    assert found.exit_code == 0, found.output
    (stalled,) = [line for line in found.stdout.splitlines() if "makes no progress" in line]
    assert "for 15 min" in stalled
    events = {event["kind"]: event for event in map(json.loads, run("replay", HANG, "--json").stdout.splitlines())}
    assert events["task.stalled"]["observed_at"].startswith("2026-03-01T02:41:00")
    assert events["task.stalled"]["timing"]["basis"] == "this task's own"
    assert events["node.completed"]["eta"] is None  # Of the last node, with which the task ended.
    assert events["task.resumed"]["eta"]["basis"] == "1 finished node"


def test_who_would_have_heard_of_a_hang_depends_on_the_configuration_s_rule_for_it(config: Path) -> None:
    def heard(stall: str) -> list[str]:
        text = CONFIG.format(folder=config.parent).replace("project_id: p1", "project_id: 6204a5bd270343b5885144cf9c8c158d")
        cluster = f"- {{id: ea244205-d641-45d9-9dcb-ab2236bcd07e, name: search, stall: {stall}}}"
        config.write_text(text.replace("- {id: c1, name: search, labels: {env: prod}}", cluster).replace("100ms", "15s"))
        found = run("replay", HANG, "--who", "--config", config)
        assert found.exit_code == 0, found.output
        return [line for line in found.stdout.splitlines() if "stalled" in line or "resumed" in line]

    assert heard("off") == []
    stalled, resumed = heard("{floor: 30m}")
    assert (
        stalled == "2026-03-01 02:56:00Z  css-test  task.stalled css-test-ess-esn-2-1 -> team (held until 2026-03-01 21:00 CST)"
    )
    assert resumed.startswith("2026-03-01 04:27:20Z  css-test  task.resumed -> team")


def test_who_would_have_been_reminded_while_it_lasted_and_told_how_it_ended(config: Path) -> None:
    """The hang is told at 02:41 and over at 04:27."""
    routes = '- {match: {kind: "task.stalled"}, sinks: [oncall], repeat: 45m, escalate: {after: 30m, to: [other]}}'
    text = CONFIG.format(folder=config.parent).replace("100ms", "15s")
    config.write_text(text[: text.index("routes:")] + f"routes:\n  {routes}\n" + text[text.index("poll:") :])
    found = run("replay", HANG, "--who", "-c", config)
    assert found.exit_code == 0, found.output
    node = "css-test  task.stalled css-test-ess-esn-2-1"
    assert [line for line in found.stdout.splitlines() if not line.endswith("nobody")] == [
        f"2026-03-01 02:41:00Z  {node} -> oncall",
        f"2026-03-01 03:11:00Z  {node}, reminder 1 -> other",
        f"2026-03-01 03:26:00Z  {node}, reminder 1 -> oncall",
        f"2026-03-01 03:26:00Z  {node}, reminder 2 -> other",
        f"2026-03-01 04:11:00Z  {node}, reminder 2 -> oncall",
        f"2026-03-01 04:11:00Z  {node}, reminder 3 -> other",
        "2026-03-01 04:27:20Z  css-test  task.resumed -> other",
    ]
    told = [json.loads(line) for line in run("replay", HANG, "--who", "-c", config, "--json").stdout.splitlines()]
    assert [event["reminder"] for event in told if event["kind"] == "task.stalled"] == [0, 1, 1, 2, 2, 3]


def test_a_sink_of_the_configuration_is_told_what_its_routes_say(config: Path) -> None:
    found = run("replay", FAILURE, "--config", config, "--sink", "oncall")
    assert found.exit_code == 0, found.output
    assert len(found.stdout.splitlines()) == 1
    assert "[REPLAY]" in found.stdout
    assert "1 messages told, 0 not." in found.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--who"], "--who and --sink need a configuration"),
        (["--who", "--sink", "team", "--config", "{config}"], "--who tells nobody"),
        (["--sink", "nobody", "--config", "{config}"], "there is no sink 'nobody'; there is team, oncall, other"),
        (["--speed", "2", "--as-fast-as-possible"], "exclude each other"),
    ],
)
def test_a_replay_that_makes_no_sense_is_refused(config: Path, words: list[str], said: str) -> None:
    found = run("replay", FAILURE, *(word.format(config=config) for word in words))
    assert (found.exit_code, said in found.stderr) == (2, True), found.output


def test_what_could_be_read_of_a_damaged_recording_is_played(tmp_path: Path) -> None:
    cut = tmp_path / "cut.jsonl.gz"
    cut.write_bytes(FAILURE.read_bytes()[:1500])
    found = run("replay", cut)
    assert found.exit_code == 1
    assert "[REPLAY]" in found.stdout
    assert "the file ends in the middle" in found.stderr
    cut.write_text("hello")
    nothing = run("replay", cut)
    assert (nothing.exit_code, "is no recording" in nothing.stderr) == (2, True)


def test_an_answer_that_cannot_be_read_is_named_and_the_others_are_played(tmp_path: Path) -> None:
    path = tmp_path / "odd.jsonl"
    first = '{"recording":"css-upgrade-notifier recording","version":1}'
    who = '{"cluster":1,"is":{"id":"c","name":"n","region":"r","project":"p","project_id":"i"}}'
    path.write_text(f'{first}\n{who}\n{{"at":"2026-03-01T00:00:00Z","of":1,"action":"UPGRADING","pages":[{{"a":1}}]}}\n')
    found = run("replay", path)
    assert found.exit_code == 1
    assert "cannot be read: neither totalSize nor detailList" in found.stderr


def test_record_keeps_what_was_answered_and_replay_reads_it(config: Path, tmp_path: Path) -> None:
    # Of one round of polls, which takes milliseconds on a machine that does nothing else.
    found = run("record", "-c", config, "--into", tmp_path / "rec", "--for", "2")
    assert found.exit_code == 0, found.output
    assert "answers recorded." in found.stderr
    assert not (tmp_path / "notifier.db").exists()
    replayed = run("replay", tmp_path / "rec", "--all")
    assert (replayed.exit_code, replayed.stdout) == (0, "")


def test_redaction_without_a_recording_makes_no_sense(config: Path) -> None:
    found = run("run", "-c", config, "--redact", "names")
    assert (found.exit_code, "add --record DIR" in found.stderr) == (2, True)


def test_a_drill_says_who_heard_of_it_and_who_did_not(config: Path) -> None:
    found = run("drill", "-c", config, "--cluster", "logs", "--yes")
    assert found.exit_code == 0, found.output
    assert "The upgrade of logs failed, as a drill." in found.stdout
    assert "oncall: told after 0." in found.stdout
    assert "team: told after 0." in found.stdout
    assert "other: NOT told: no route that names it matches" in found.stdout
    told = [line for line in found.stdout.splitlines() if "logs  " in line]
    assert told
    assert all("[DRILL]" in line for line in told)


def test_a_drill_and_a_replay_speak_as_the_sink_does(config: Path) -> None:
    own = 'words: {task.failed: {summary: "{{ cluster.name }} needs you"}}'
    text = config.read_text().replace("oncall: {type: console}", f"oncall: {{type: console, language: zh, {own}}}")
    config.write_text(text.replace("team: {type: console,", "team: {type: console, language: zh,"))
    for found in (
        run("drill", "-c", config, "--cluster", "logs", "--yes"),
        run("replay", FAILURE, "-c", config, "--sink", "team"),
    ):
        assert "升级" in found.stdout, found.output
        assert "Upgrade" not in found.stdout
    told = run("replay", FAILURE, "-c", config, "--sink", "oncall").stdout
    assert "css-test needs you" in told


def test_a_drill_leaves_nothing_in_the_store(config: Path) -> None:
    assert run("drill", "-c", config, "--yes").exit_code == 0
    assert run("events", "-c", config).stdout == ""
    assert run("deliveries", "-c", config).stdout == ""


def test_a_drill_as_json_and_its_silences(config: Path) -> None:
    silence = ["--for", "1h", "--reason", "moving", "--author", "li.na", "--severity", ">=info", "--label", "env=prod"]
    assert run("silence", "add", *silence, "-c", config).exit_code == 0
    found = run("drill", "-c", config, "--yes", "--json")
    assert found.exit_code == 1
    done = json.loads(found.stdout)
    assert (done["cluster"], done["told"]) == ("search", [])
    assert done["not_told"]["oncall"].startswith("silenced by li.na: moving")
    assert "nobody heard of the failure" in found.stderr
    assert run("drill", "-c", config, "--yes", "--cluster", "logs").exit_code == 0


def test_a_drill_asks_before_people_are_told(config: Path) -> None:
    found = run("drill", "-c", config, answer="n\n")
    assert found.exit_code == 1
    assert "nobody was told" in found.stderr
    assert "DRILL]" not in found.stdout
    wrong = run("drill", "-c", config, "--cluster", "nothing", "--yes")
    assert (wrong.exit_code, "there is no cluster 'nothing'; there is search, logs" in wrong.stderr) == (2, True)
