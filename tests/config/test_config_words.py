"""The words a configuration may give instead of ours: what is allowed, what is refused, what happens when one fails."""

import os
import re
import time
from dataclasses import replace
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from config_files import MINIMAL
from structlog.testing import capture_logs

from notifier import app, telemetry
from notifier.config import ConfigError
from notifier.domain.model import Kind, Stage
from notifier.domain.render import payload, render
from notifier.domain.samples import FAIL_MESSAGE, sample
from notifier.domain.words import Words
from notifier.outlets import outlet_settings
from notifier.wording import trial
from notifier.wording.overrides import Overrides
from notifier.wording.sandbox import LONGEST, compiled
from notifier.wording.syntax import LONGEST_TEMPLATE, Refused
from notifier.wording.trial import tried, verdict

FAILED = sample(Kind.TASK_FAILED, mark=None).event


def said(text: str, kind: Kind = Kind.TASK_FAILED) -> str:
    return Words(given=Overrides("team", {kind: {"summary": text}})).summary(sample(kind).event)


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{{ cluster.name }} is in trouble", "sample-cluster is in trouble"),
        ("{{ summary }} Runbook: https://wiki/{{ cluster.labels.env }}", None),
        ("{{ cluster.labels.team }}nobody", "nobody"),
        ("{{ cluster['name']|upper }}", "SAMPLE-CLUSTER"),
        ("done: {{ task.nodes.completed|join(' + ') }}", "done: css-sample-ess-esn-1-1"),
        ("{% if task.nodes.completed %}{{ task.nodes.completed[0] }}{% else %}-{% endif %}", "css-sample-ess-esn-1-1"),
        ("{{ task.nodes.completed|length }} of {{ task.nodes.total }}", "1 of 3"),
        ("{{ progress|percent if progress is not none else '?' }}", "33%"),
        ("{% if task.attempt > 1 %}again{% else %}first{% endif %} {{ severity|lower }}", "first critical"),
        ("{{ task.fail_message|default('no reason')|truncate(10) }}", "[402c6c3]…"),
        ("a\nb\x1b[31m", "a b�[31m"),
        ("{{ observed_at|moment }}", "2026-03-01 06:35:04 UTC"),
    ],
)
def test_a_template_says_what_the_event_says(text: str, line: str | None) -> None:
    assert verdict(Kind.TASK_FAILED, text) is None
    assert said(text) == (line or f"{Words().summary(FAILED)} Runbook: https://wiki/sample")


def test_a_stage_and_a_status_are_called_what_the_reader_calls_them() -> None:
    text = "{{ stage.name|stage }} ({{ stage.status|status }}), {{ 'Moon landing'|stage }}"
    given = Overrides("team", {Kind.STAGE_STARTED: {"title": text}})
    event = sample(Kind.STAGE_STARTED).event
    assert Words("zh", given=given).title(event) == "数据迁移 (进行中), Moon landing"
    assert Words(given=given).title(event) == "Data migration (running), Moon landing"


def test_a_moment_is_the_readers() -> None:
    given = Overrides("team", {Kind.TASK_FAILED: {"title": "{{ time|moment }}"}})
    assert Words("zh", ZoneInfo("Asia/Shanghai"), given).title(FAILED) == "2026-03-01 14:35:00 CST"


ESCAPES = [
    "{{ cluster.__class__ }}",
    "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "{{ cluster.name.__init__.__globals__ }}",
    "{{ '{0.__class__}'.format(cluster) }}",
    "{{ self.__init__ }}",
    "{{ self._TemplateReference__context }}",
    "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "{{ lipsum.__globals__['os'] }}",
    "{{ cluster|attr('__class__') }}",
    "{{ config }}",
    "{{ namespace() }}",
    "{{ cluster.labels.items() }}",
    "{{ cluster.labels.__class__.__base__ }}{{ summary.join }}",
    "{{ _words.zone }}",
    "{% include '/etc/passwd' %}",
    "{% import 'os' as os %}",
    "{% extends 'x' %}",
]
COSTLY = [
    "{{ 'a' * 10**8 }}",
    "{{ '%0999999999d' % 1 }}",
    "{{ 10**10**10 }}",
    "{% for a in task.nodes.completed %}x{% endfor %}",
    "{% for a in range(10**9) %}x{% endfor %}",
    "{{ range(10**9)|list }}",
    "{% set x = 'a' %}{{ x ~ x }}",
    "{{ 'a' + 'b' }}",
    "{{ 'a'|center(99999999) }}",
    "{{ 'a'|format(1) }}",
    "{{ 'aaaaaaaa'|replace('a', 'aaaaaaaaaaaaa') }}",
    "{{ summary|join(summary) }}",
    "{{ task.nodes.completed|join(summary) }}",
    "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "{{ summary[0:99] }}",
    "{{ " + "(" * 900 + "1" + ")" * 900 + " }}",
    "{{ " + "not " * 480 + "1 }}",
    "x" * (LONGEST_TEMPLATE + 1),
    "{{ summary }}" * 150,
]
WRONG = [
    "{{ clustre.name }}",
    "{{ cluster.nmae }}",
    "{{ task.nodes.completed }}",
    "{{ task.nodes.completed[99] }}",
    "{{ cluster }}",
    "{{ eta.latest|moment }}",
    "{{ summary|moment }}",
    "{{ attempt|percent }}",
    "{{ task.status|percent }}",
    "{{ 3|length }}",
    "{{ summary|truncate(0) }}",
    "{{ summary|truncate(length=3) }}",
    "{{ summary is matching('x') }}",
    "{{ summary|nope }}",
    "{{ unclosed",
    "{% if %}",
    "{{ 1|moment }}",
    "{{ summary|truncate('x') }}",
    "  ",
]


@pytest.mark.parametrize("text", [*ESCAPES, *COSTLY, *WRONG], ids=lambda text: text[:40])
def test_what_reaches_out_costs_too_much_or_is_wrong_is_refused(text: str) -> None:
    began = time.process_time()
    what = verdict(Kind.TASK_FAILED, text)
    assert what
    assert "\n" not in what
    assert not re.search("jinja|token|statement|undefined object|attribute|Error|None", what.partition("; there is")[0])
    assert time.process_time() - began < 1


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{{ clustre.name }}", "names 'clustre', which does not exist; did you mean 'cluster'?"),
        ("{{ clustre > 3 }}", "names 'clustre', which does not exist; did you mean 'cluster'?"),
        ("{{ xyz|upper }}", "names 'xyz', which does not exist"),
        ("{{ cluster.nmae.length }}", "names 'nmae', which does not exist; did you mean 'name'?"),
        ("{{ _words }}", "names '_words', which does not exist"),
        ("{{ summary.length }}", "names 'length' of what has no parts"),
        ("{{ task.nodes.completed.first }}", "names 'first' of a list of 1"),
        ("{{ task.nodes.completed[7] }}", "names 7 of a list of 1"),
        ("{{ none.x }}", "names 'x' of what is absent"),
        ("{{ summary|moment }}", "shows as a moment what is none"),
        ("{{ " + "9" * 400 + "|percent }}", "shows as a percentage what is too large"),
        (
            "{{ 'late' if progress > 'x' }}",
            "compares what cannot be compared, such as a text with a number, or with what is absent",
        ),
        ("{{ summary|upper(3) }}", "may not give the filter 'upper' an argument"),
        ("{{ summary|truncate(3, 4) }}", "may not give the filter 'truncate' a second argument"),
        ("{{ summary is none(3) }}", "may not give the test 'none' an argument"),
        ("{% from 'x' import y %}", "may not use from"),
        ("{% autoescape true %}{% endautoescape %}", "may not use autoescape"),
        ("{% for a in %}", "may not use loops"),
        ("{% endfor %}", "may not use the tag 'endfor'; there is if, elif, else, endif"),
        ("{{ a, b }}", "may not use commas: write {{ a }}, {{ b }}"),
        ("{{ a b }}", "is no template: expected '}}', got 'b'"),
        ("{{ a", "is no template: it ends too soon, expected '}}'"),
        ("{{", "is no template: it ends too soon"),
        ("{% if %}", "is no template: expected a name or a value, got '%}'"),
        ("{% if a %}", "is no template: it ends too soon, expected 'elif' or 'else' or 'endif', still open is 'if'"),
        ("{% endif %}", "is no template: there is no tag 'endif'"),
        ("{# a", "is no template: what {# begins needs #} at its end"),
    ],
)
def test_what_is_wrong_is_said_in_the_words_of_whoever_wrote_it(text: str, told: str) -> None:
    assert verdict(Kind.TASK_FAILED, text) == told


def test_a_label_may_be_asked_for_by_anything() -> None:
    assert said("{{ cluster.labels[task.nodes.completed] }}nobody") == "nobody"


def test_a_template_that_forgets_what_may_be_missing_is_told_so() -> None:
    assert verdict(Kind.NODE_COMPLETED, "until {{ eta.latest|moment }}") == (
        "fails where the API says little: names 'latest' of what is absent; ask first, as in {% if eta %}…{% endif %}"
    )
    assert verdict(Kind.NODE_COMPLETED, "{% if eta %}until {{ eta.latest|moment }}{% else %}?{% endif %}") is None


def test_templates_are_tried_in_another_process_which_says_what_is_wrong_with_each() -> None:
    assert tried([]) == []
    verdicts = tried([(Kind.TASK_FAILED, "{{ summary }}"), (Kind.TASK_FAILED, "{{ sumary }}"), (Kind.NODE_STARTED, "{{ node }}")])
    assert verdicts == [None, "names 'sumary', which does not exist; did you mean 'summary'?", None]


def test_words_that_many_sinks_share_are_tried_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import pathlib\nimport notifier.wording.sandbox as s\nours = s.compiled\n"
        "def counted(text):\n    with open(pathlib.Path(__file__).with_name('tried'), 'a') as log: log.write(text + '\\n')\n"
        "    return ours(text)\ns.compiled = counted\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    words = [(kind, text) for kind in (Kind.TASK_FAILED, Kind.NODE_STARTED) for text in ("{{ node }}", "{{ nope }}", "good")]
    verdicts = tried(words * 40)
    assert verdicts == verdicts[:6] * 40
    assert [verdict is None for verdict in verdicts[:6]] == [False, False, True, True, False, True]
    assert (tmp_path / "tried").read_text().split("\n") == [*(text for _, text in words), ""]


@pytest.mark.parametrize(
    "deed", ["bytearray(10**10)", "bytearray(10**9).decode()", "exec('while True: pass')", "__import__('os')._exit(9)"]
)
def test_a_template_that_gets_past_the_fence_is_cut_off_and_the_blame_is_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, deed: str
) -> None:
    # A hole in the fence: whatever is rendered runs code.
    (tmp_path / "sitecustomize.py").write_text(
        f"import notifier.wording.sandbox as s\nours = s.rendered\n"
        f"s.rendered = lambda t, d, w: {deed} if t.render(d).startswith('evil') else ours(t, d, w)\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(trial, "SECONDS", 1)
    verdicts = tried([(Kind.TASK_FAILED, "good"), (Kind.TASK_FAILED, "evil"), (Kind.TASK_FAILED, "after")])
    assert verdicts == [None, "takes too much time or memory", "was not tried, because of the one before"]


def test_a_process_that_hangs_without_working_is_not_waited_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import time\ntime.sleep(60)\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr(trial, "PATIENCE", 0.5)
    assert tried([(Kind.TASK_FAILED, "good")]) == ["could not be tried: the process for that did not start"]


def test_nothing_that_lies_in_the_working_directory_is_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "resource.py").write_text("import pathlib\npathlib.Path(__file__).with_name('ran').touch()\n")
    (tmp_path / "notifier").mkdir()
    (tmp_path / "notifier" / "__init__.py").touch()
    monkeypatch.chdir(tmp_path)
    assert tried([(Kind.TASK_FAILED, "good")]) == [None]
    assert not (tmp_path / "ran").exists()


def test_where_a_template_fails_our_own_words_are_said_counted_and_logged() -> None:
    labels = {"sink": "team", "kind": "task.failed"}
    before = telemetry.registry.get_sample_value("notifier_template_failures_total", labels) or 0.0
    with capture_logs() as logs:
        # In earnest there may be a node with another name than any sample has.
        assert said("{{ task.nodes.completed[1] }}") == Words().summary(FAILED)
    assert [(line["action"], line["sink"], line["slot"]) for line in logs] == [("template.failed", "team", "summary")]
    assert telemetry.registry.get_sample_value("notifier_template_failures_total", labels) == before + 1


def test_text_of_a_stranger_is_never_a_template_and_never_longer_than_allowed() -> None:
    assert FAILED.task is not None
    hostile = replace(FAILED, task=replace(FAILED.task, fail_message="{{ 7*7 }}{% raw %}" + "x" * 10_000))
    words = Words(given=Overrides("team", {Kind.TASK_FAILED: {"summary": "{{ task.fail_message }}"}}))
    assert words.summary(hostile).startswith("{{ 7*7 }}{% raw %}xxx")
    assert len(words.summary(hostile).encode()) <= LONGEST


def test_only_what_is_given_is_replaced_and_machines_hear_what_they_always_heard() -> None:
    words = Words("zh", given=Overrides("team", {Kind.TASK_FAILED: {"title": "🔥 {{ title }}"}}))
    message = render(FAILED, delivery_id="d", attempt=1, may_repeat=False, skipped=0, now=FAILED.observed_at, words=words)
    assert message.title == f"🔥 {Words('zh').title(FAILED)}"
    assert message.summary == Words("zh").summary(FAILED)
    assert FAIL_MESSAGE in str(payload(FAILED)["summary"])


def test_a_template_that_was_never_tried_is_refused_all_the_same() -> None:
    with pytest.raises(Refused, match="may not use calls"):
        compiled("{{ range(3) }}")


CONFIGURATION = (
    MINIMAL
    + """\
sinks:
  out:
    type: console
    words:
      task.failed: {title: "{{ cluster.name }}: call {{ cluster.labels.team }}"}
"""
)


def test_the_words_of_a_configuration_reach_the_sink(tmp_path: Path) -> None:
    path = tmp_path / "notifier.yaml"
    path.write_text(CONFIGURATION)
    (entry,) = app.load(path).sinks
    assert entry.words.title(FAILED) == "sample-cluster: call"
    assert outlet_settings(entry).words == entry.words


def test_a_stage_is_called_what_the_configuration_calls_it(tmp_path: Path) -> None:
    path = tmp_path / "notifier.yaml"
    own = "language: zh\n    stages: {Quantum alignment: 量子校准, Data migration: 迁移数据}\n    words:\n"
    told = '      stage.failed: {title: "{{ stage.name|stage }}"}\n'
    path.write_text(CONFIGURATION.replace("words:\n", own) + told)
    (entry,) = app.load(path).sinks
    event = sample(Kind.STAGE_FAILED).event
    for name, called in (("Quantum alignment", "量子校准"), ("Data migration", "迁移数据"), ("Node creation", "节点创建")):
        of_stage = replace(event, stage=Stage(5, name, "FAILED"))
        assert f"阶段 5“{called}”失败" in entry.words.summary(of_stage)
        assert entry.words.title(of_stage) == called
        assert called in dict(entry.words.facts(of_stage)).values()


def test_a_stage_is_not_called_nothing(tmp_path: Path) -> None:
    path = tmp_path / "notifier.yaml"
    path.write_text(CONFIGURATION.replace("words:\n", 'stages: {Data migration: ""}\n    words:\n'))
    with pytest.raises(
        ConfigError, match=r"sinks\.out\.stages\.Data migration: must be a text of 1 to 100 characters on one line"
    ):
        app.load(path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "cluster.name",
            "cluster.nmae",
            "11:28: sinks.out.words.task.failed.title: the template names 'nmae', which does not exist; did you mean 'name'?",
        ),
        ("{{ cluster.name }}", "{{ 'a' * 10**8 }}", "11:28: sinks.out.words.task.failed.title: the template may not use *"),
        ("task.failed", "task.fail", "no kind of event is called that; did you mean 'task.failed'?"),
        ("title", "titel", "unknown key 'titel'; did you mean 'title'?"),
    ],
)
def test_what_is_wrong_with_a_template_is_told_with_its_line(tmp_path: Path, old: str, new: str, told: str) -> None:
    path = tmp_path / "notifier.yaml"
    path.write_text(CONFIGURATION.replace(old, new, 1))
    with pytest.raises(ConfigError) as caught:
        app.load(path)
    assert told in str(caught.value)


MACHINE = (
    MINIMAL + "sinks:\n  hook:\n    type: webhook\n    url: https://example.com/\n    language: zh\n    zone: Asia/Shanghai\n"
)


def test_words_for_a_program_are_warned_of_and_not_used(tmp_path: Path) -> None:
    path = tmp_path / "notifier.yaml"
    path.write_text(MACHINE + "    words: {task.failed: {summary: ours}}\n    stages: {Data migration: ours}\n")
    path.chmod(0o600)
    settings = app.load(path, {})
    assert [(each.line, each.path) for each in settings.warnings if "changes nothing" in each.what] == [
        (11, "sinks.hook.language"),
        (12, "sinks.hook.zone"),
        (13, "sinks.hook.words"),
        (14, "sinks.hook.stages"),
    ]
    assert "leave it out, or give it to a sink that people read" in str(settings.warnings[0])
    # What lasts is said again in the words of the sink, and docs/words.md promises English to programs.
    assert settings.sinks[0].words == Words()


def test_the_zone_of_a_sink_for_a_program_is_that_of_its_quiet_hours(tmp_path: Path) -> None:
    path = tmp_path / "notifier.yaml"
    path.write_text(MACHINE.replace("language: zh", 'quiet: {from: "22:00", to: "06:00"}'))
    settings = app.load(path, {})
    assert not [each for each in settings.warnings if "changes nothing" in each.what]
    quiet = settings.sinks[0].quiet
    assert quiet is not None
    assert quiet.zone == ZoneInfo("Asia/Shanghai")
