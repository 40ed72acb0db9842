"""The end of a task brings its report along, where a sink is configured to have it; nothing waits for it for long."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from engine_scripts import Sink, cluster, eventually, failing, running, serving, settled

from notifier.domain.diff import diff
from notifier.domain.message import Report
from notifier.domain.model import Action, Kind, Snapshot
from notifier.domain.plan import AT_ONCE, Audience, Planned
from notifier.domain.routing import Matcher, Route
from notifier.domain.silences import Silence
from notifier.domain.words import Words
from notifier.engine import reports
from notifier.engine.outlet import Outlet
from notifier.engine.reports import Draw, Reports
from notifier.engine.sending import OutletSettings
from notifier.report.picture import NARROW, WIDTH
from notifier.report.png import NoPictureError
from notifier.store.errors import StoreError
from notifier.store.store import Store
from notifier.store.transaction import Transaction


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that does other things too may need long to draw."""
    monkeypatch.setattr(reports, "LONGEST", 60.0)


@pytest.fixture
def store() -> Iterator[Store]:
    opened = Store("sqlite://").open()
    yield opened
    opened.close()


async def told(store: Store, draw: Draw | None) -> Sink:
    sink = Sink()
    await store.transact(failing)
    outlet = Outlet(OutletSettings("team", timeout=20.0, lease=300.0), sink, store, "tester", draw=draw)
    async with serving(outlet):
        await eventually(settled(store, count=2))
    assert [message.event.kind for message in sink.heard] == [Kind.TASK_STARTED, Kind.TASK_FAILED]
    return sink


async def test_the_end_of_a_task_has_its_report_and_nothing_else_has(store: Store) -> None:
    started, failed = (await told(store, Reports(store, Words("zh")))).heard
    assert started.report is None
    assert failed.report is not None
    assert "出现的问题" in failed.report.html
    assert "no quota" in failed.report.html
    assert failed.report.svg.startswith("<svg")
    assert f'viewBox="0 0 {NARROW:g} ' in failed.report.svg, "it is read in a mail"
    assert f'viewBox="0 0 {WIDTH:g} ' in failed.report.html


@pytest.mark.usefixtures("chinese_font")
async def test_its_picture_is_drawn_where_there_is_a_font(store: Store) -> None:
    _, failed = (await told(store, Reports(store, Words("zh")))).heard
    assert failed.report is not None
    assert failed.report.png is not None
    assert failed.report.png.startswith(b"\x89PNG")


async def test_a_sink_that_wants_no_report_gets_none(store: Store) -> None:
    assert [message.report for message in (await told(store, None)).heard] == [None, None]


async def test_without_a_font_the_page_goes_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_font(_: str) -> bytes:
        raise NoPictureError("no font")

    monkeypatch.setattr(reports, "png", no_font)
    *_, failed = (await told(store, Reports(store, Words()))).heard
    assert failed.report is not None
    assert failed.report.png is None


@pytest.mark.parametrize("error", [StoreError("gone"), ValueError("a fault"), MemoryError()])
async def test_a_report_that_cannot_be_made_loses_no_message(
    store: Store, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object) -> Report:
        raise error

    monkeypatch.setattr(reports, "report", fails)
    *_, failed = (await told(store, Reports(store, Words()))).heard
    assert failed.report is None


async def test_a_report_that_takes_too_long_is_not_waited_for(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reports, "LONGEST", 0.05)

    async def never(_: object) -> None:
        await asyncio.Event().wait()

    slow = Reports(store, Words())
    monkeypatch.setattr(slow, "_store", type("Stuck", (), {"transact": staticmethod(never)})())
    *_, failed = (await told(store, slow)).heard
    assert failed.report is None


async def test_a_task_of_which_nothing_is_kept_has_none(store: Store) -> None:
    events = await store.transact(failing)
    stranger = replace(events[-1], cluster=cluster("other"))
    assert await Reports(store, Words())(stranger) is None


async def test_a_repeat_brings_the_same_report_though_time_has_passed_and_others_were_told(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only a report that is handed in twice, but one that is drawn again: after a failed try, a retry and a silence."""
    failed = next(event for event in await store.transact(failing) if event.kind is Kind.TASK_FAILED)
    draw = Reports(store, Words())
    monkeypatch.setattr(store, "now", lambda: failed.observed_at + timedelta(seconds=2))
    first = await draw(failed)
    assert first is not None
    assert "team" not in first.html
    assert "Who was told" not in first.html

    def later(tx: Transaction) -> None:
        subject, now = cluster(), failed.observed_at + timedelta(minutes=20)
        known, version = tx.known(subject)
        step = diff(known, Snapshot(subject, Action.UPGRADING, (replace(running("n1"), executions=2),)), now)
        owed = Audience([Route(Matcher(kind=("task.*",)), ("team",))]).plan(step.events, now)
        tx.save(subject, (known, version), step.known, (step.events, owed), now.timestamp())
        tx.silence(Silence("s1", Matcher(), now, now + timedelta(hours=1), "somebody", "maintenance"))

    await store.transact(later)
    monkeypatch.setattr(store, "now", lambda: failed.observed_at + timedelta(hours=3))
    assert await draw(failed) == first
    told_all = (await store.transact(lambda tx: tx.gathered(failed.cluster.key, "UPGRADING", "t1"))).dossier()
    assert len(told_all.events) > 2, "what came later is kept, and is in the report that is asked for"


async def test_a_reminder_does_not_bring_the_report_again(store: Store) -> None:
    failed = next(event for event in await store.transact(failing) if event.kind is Kind.TASK_FAILED)
    now = datetime.now(UTC)
    await store.transact(lambda tx: tx.remind([Planned(failed, "team", AT_ONCE.hold(failed, now), reminder=1)], now))
    sink = Sink()
    async with serving(
        Outlet(OutletSettings("team", timeout=20.0, lease=300.0), sink, store, "tester", draw=Reports(store, Words()))
    ):
        await eventually(settled(store, count=3))
    told = [(message.event.kind, message.reminder, message.report is not None) for message in sink.heard]
    assert told == [(Kind.TASK_STARTED, 0, False), (Kind.TASK_FAILED, 0, True), (Kind.TASK_FAILED, 1, False)]
