"""A sink that fails is told of through another, once, and again when it works."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
from engine_scripts import QUICK, Sink, eventually, fails, serving, settled, tell

from notifier.domain.errors import DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Kind
from notifier.domain.plan import Audience
from notifier.domain.routing import Matcher, Route
from notifier.domain.standing import Standing
from notifier.engine.dispatcher import Outlet
from notifier.engine.fallback import Fallback
from notifier.engine.sending import OutletSettings
from notifier.store.errors import StoreError
from notifier.store.rows import SinkState, State
from notifier.store.standings import Standings
from notifier.store.store import Store

AUDIENCE = Audience([Route(Matcher(), ("team",))], fallbacks={"team": "mail", "mail": "pager"})


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    memory = Store("sqlite://").open()
    yield memory
    memory.close()


def watched(store: Store, sink: object, name: str, after: float = 600.0) -> Outlet:
    settings = OutletSettings(name, timeout=2.0, policy=QUICK, concurrency=1)
    return Outlet(settings, sink, store, "tester", fallback=Fallback(name, AUDIENCE, after))  # type: ignore[arg-type]  # scripted


def refuses_until(opened: list[bool], **how: object) -> Sink:
    def script(message: Message) -> Receipt | Exception:
        return Receipt({"n": message.id}) if opened else fails(**how)  # type: ignore[arg-type]  # a test's own

    return Sink(script)


REFUSED = {"outcome": Outcome.REJECTED, "reason": DeliveryReason.REFUSED, "scope": Scope.SINK}


async def unpause(store: Store, outlet: Outlet) -> None:
    """As after `deliveries retry`: the sink is met as if its settings had changed."""
    await store.transact(lambda tx: tx.mark("team", SinkState(), recovered=True))
    await store.transact(lambda tx: tx.hasten("team", 0.0))
    outlet.state = SinkState()
    outlet.wake()


async def test_a_refusal_is_told_at_once_and_the_recovery_with_what_waited(store: Store) -> None:
    opened: list[bool] = []
    mail = Sink()
    team = watched(store, refuses_until(opened, **REFUSED), "team")
    await store.transact(tell("search"))
    async with serving(team, watched(store, mail, "mail")):
        await eventually(lambda: len(mail.heard) == 1)
        opened.append(True)
        await unpause(store, team)
        await eventually(lambda: len(mail.heard) == 2)
        await eventually(settled(store, count=6))
    failing, recovered = (message.event for message in mail.heard)
    assert (failing.kind, recovered.kind) == (Kind.SINK_FAILING, Kind.SINK_RECOVERED)
    assert failing.sink is not None
    assert (failing.sink.name, failing.sink.reason, failing.sink.waiting) == ("team", "refused", 4)
    assert recovered.sink is not None
    assert (recovered.sink.since, recovered.sink.waiting, recovered.sink.lost) == (failing.sink.since, 3, 0)
    kinds = [event.kind for _, event in await store.transact(lambda tx: tx.events(kind="sink.*"))]
    assert kinds == [Kind.SINK_FAILING, Kind.SINK_RECOVERED]


async def test_what_fails_only_for_a_moment_is_not_told_and_what_lasts_is(store: Store) -> None:
    mail = Sink()
    team = Sink(lambda message: fails() if len(team.heard) <= 3 else Receipt({"n": message.id}))  # fewer than pause a sink
    await store.transact(tell("search"))
    async with serving(watched(store, team, "team"), watched(store, mail, "mail")):
        await eventually(settled(store))
    assert len(team.heard) == 3 + 4
    assert mail.heard == []
    assert await store.transact(lambda tx: tx.standing("team")) == Standing()
    await store.transact(tell("logs"))
    late = Sink(lambda message: fails() if len(late.heard) <= 3 else told(message))

    async def told(message: Message) -> Receipt:
        await eventually(lambda: len(mail.heard) >= 1)
        return Receipt({"n": message.id})

    impatient = watched(store, late, "team", after=0.001)
    async with serving(impatient, watched(store, mail, "mail")):
        await eventually(lambda: len(mail.heard) == 2)
    assert [message.event.kind for message in mail.heard] == [Kind.SINK_FAILING, Kind.SINK_RECOVERED]


async def test_a_fallback_that_fails_is_told_of_through_its_own_and_nothing_goes_round(store: Store) -> None:
    pager = Sink()
    await store.transact(tell("search"))
    async with serving(
        watched(store, Sink(lambda _: fails(**REFUSED)), "team"),  # type: ignore[arg-type]  # a test's own
        watched(store, Sink(lambda _: fails(**REFUSED)), "mail"),  # type: ignore[arg-type]  # likewise
        watched(store, pager, "pager"),
    ):
        await eventually(lambda: len(pager.heard) == 1)
    (heard,) = pager.heard
    assert heard.event.sink is not None
    assert heard.event.sink.name == "mail"
    assert len(await store.transact(lambda tx: tx.events(kind="sink.*"))) == 2


async def test_two_replicas_see_it_and_it_is_told_once(store: Store) -> None:
    mail = Sink()
    await store.transact(tell("search", "team"))
    await store.transact(tell("logs", "team"))
    both = [watched(store, Sink(lambda _: fails(**REFUSED)), "team") for _ in range(2)]  # type: ignore[arg-type]  # a test's own
    async with serving(both[0]), serving(both[1]), serving(watched(store, mail, "mail")):
        await eventually(lambda: all(outlet.state.paused for outlet in both))
        await eventually(lambda: len(mail.heard) == 1)
    assert len(await store.transact(lambda tx: tx.events(kind="sink.*"))) == 1


async def test_a_message_that_is_refused_says_nothing_of_its_sink(store: Store) -> None:
    mail = Sink()
    refuses = fails(Outcome.REJECTED, DeliveryReason.INVALID)
    await store.transact(tell("search"))
    async with serving(watched(store, Sink(lambda _: refuses), "team"), watched(store, mail, "mail")):
        await eventually(settled(store, State.DEAD))
    assert await store.transact(lambda tx: tx.events(kind="sink.*")) == []


async def test_it_is_written_with_the_try_that_showed_it_or_not_at_all(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    team = watched(store, Sink(lambda _: fails(**REFUSED)), "team")  # type: ignore[arg-type]  # a test's own
    await store.transact(tell("search"))

    def broken(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(Standings, "tell", broken)
    async with serving(team):
        await eventually(lambda: team.state.paused)
    assert await store.transact(lambda tx: tx.standing("team")) == Standing()
    assert {row.state for row in await store.transact(lambda tx: tx.deliveries())} == {State.SENDING, State.PENDING}


async def test_what_was_given_up_meanwhile_is_counted(store: Store) -> None:
    await store.transact(tell("search"))
    now = datetime.now(UTC)
    await store.transact(lambda tx: tx.expire("team", now.timestamp() + 1, now.timestamp(), reason="expired", detail="old"))
    backlog = await store.transact(lambda tx: tx.backlog("team", now))
    assert (backlog.waiting, backlog.lost) == (0, 4)
