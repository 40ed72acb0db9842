"""What a configuration says of time: stalls, windows, reminders, escalation."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from config_files import MINIMAL, load_text, refused, told

from notifier.domain.routing import Escalation
from notifier.domain.stall import StallRule
from notifier.domain.timekeeping import Limits
from notifier.domain.window import Weekly, Window


def limits(folder: Path, entry: str) -> Limits:
    text = MINIMAL.replace("[{id: c-1}]", f"[{{id: c-1, {entry}}}]" if entry else "[{id: c-1}]")
    return load_text(folder, text).projects[0].clusters[0].limits(60.0)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("", Limits()),
        ("stall: off", Limits(None)),
        ("stall: false", Limits(None)),
        ("stall: {floor: 5m, factor: 2, unknown: 2h}", Limits(StallRule(300.0, 2.0, 7200.0))),
        (
            'window: {ends: "2026-03-01T06:00+08:00", warn: 30m}',
            Limits(window=Window(ends=datetime(2026, 2, 28, 22, tzinfo=UTC), warn=timedelta(minutes=30))),
        ),
        (
            'window: {ends: "2026-03-01 06:00", zone: Asia/Shanghai}',
            Limits(window=Window(ends=datetime(2026, 2, 28, 22, tzinfo=UTC))),
        ),
        (
            'window: {days: [sat, sun], from: "22:00", to: "06:00", zone: Asia/Shanghai}',
            Limits(window=Window(weekly=Weekly(frozenset({5, 6}), time(22), time(6), ZoneInfo("Asia/Shanghai")))),
        ),
        ('window: {from: "1:00", to: "5:00"}', Limits(window=Window(weekly=Weekly(frozenset(range(7)), time(1), time(5), UTC)))),
    ],
)
def test_each_cluster_says_for_itself_what_is_told_of_time(entry: str, expected: Limits, tmp_path: Path) -> None:
    assert limits(tmp_path, entry) == expected


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ("stall: {flor: 5m}", "stall.flor: unknown key 'flor'; did you mean 'floor'?"),
        ("stall: {factor: 1}", "stall.factor: "),
        ("stall: {factor: true}", "stall.factor: must be a number"),
        ("stall: {floor: 15}", "stall.floor: a duration needs a unit; write 15s"),
        ("window: {ends: tomorrow}", 'window.ends: not a moment; write it as "2026-03-01T06:00+08:00"'),
        ("window: {ends: 5}", "window.ends: not a moment"),
        ("window: {}", "window: a window needs its end; give ends, or from and to"),
        ('window: {from: "22:00"}', "window: a window needs its end"),
        ('window: {ends: "2026-03-01T06:00Z", to: "6:00"}', "window: a window ends at one moment or has weekly hours"),
        ('window: {ends: "2026-03-01T06:00Z", days: [sat]}', "window: a window ends at one moment or has weekly hours"),
        ('window: {days: [saturday], from: "1:00", to: "5:00"}', "window.days.0: "),
    ],
)
def test_what_makes_no_sense_is_said_in_its_place(entry: str, problem: str, tmp_path: Path) -> None:
    text = MINIMAL.replace("[{id: c-1}]", f"[{{id: c-1, {entry}}}]")
    [found] = told(refused(tmp_path, text))
    assert f"projects.0.clusters.0.{problem}" in found


def test_a_route_repeats_and_escalates(tmp_path: Path) -> None:
    text = (
        MINIMAL + "sinks: {a: {type: plain}, b: {type: plain}}\nroutes: [{sinks: a, repeat: 1h, escalate: {after: 30m, to: b}}]\n"
    )
    settings = load_text(tmp_path, text)
    assert [(route.repeat, route.escalate) for route in settings.routes] == [(3600.0, Escalation(1800.0, ("b",)))]
    assert settings.warnings == ()  # Whoever is only escalated to does hear of something.


def test_an_escalation_to_nobody_is_refused(tmp_path: Path) -> None:
    text = (
        MINIMAL
        + "sinks: {a: {type: plain}}\nroutes: [{sinks: a, escalate: {after: 30m, to: [bs]}}, {sinks: a, escalate: {after: 1h}}]\n"
    )
    assert [line.partition(": ")[2] for line in told(refused(tmp_path, text))] == [
        "routes.0.escalate.to.0: there is no sink 'bs'; name one of sinks",
        "routes.1.escalate.to: the key is missing; ",
    ]
