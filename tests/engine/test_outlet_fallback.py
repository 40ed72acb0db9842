"""A sink that fails is told of through another, once, and again when it works."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from engine_scripts import QUICK, Sink, eventually, fails, serving, settled, tell

from notifier.domain.errors import DeliveryReason, Outcome, Scope
from notifier.domain.holding import Holding
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Kind
from notifier.domain.plan import Audience
from notifier.domain.retry import Policy
from notifier.domain.routing import Matcher, Route
from notifier.domain.standing import Backlog, Standing
from notifier.engine import outlet as engine
from notifier.engine.fallback import Fallback
from notifier.engine.outlet import Outlet
from notifier.engine.sending import OutletSettings
from notifier.engine.tidying import Tidying
from notifier.store.errors import StoreError
from notifier.store.rows import SinkState, State
from notifier.store.standings import Standings
from notifier.store.store import Store
from notifier.store.transaction import Transaction

AUDIENCE = Audience([Route(Matcher(), ("team",))], fallbacks={"team": "mail", "mail": "pager"})


@pytest.fixture
async def store() -> AsyncIterator[Store]:
    memory = Store("sqlite://").open()
    yield memory
    memory.close()


def watched(store: Store, sink: object, name: str, after: float = 600.0) -> Outlet:
    settings = OutletSettings(name, timeout=40.0, policy=QUICK, concurrency=1, lease=100.0)
    return Outlet(settings, sink, store, "tester", fallback=Fallback(name, AUDIENCE, after))  # type: ignore[arg-type]  # scripted


def refuses_until(opened: list[bool], **how: object) -> Sink:
    def script(message: Message) -> Receipt | Exception:
        return Receipt({"n": message.id}) if opened else fails(**how)  # type: ignore[arg-type]  # a test's own

    return Sink(script)


def names(sink: Sink, kind: Kind) -> set[str]:
    """The sinks of which this one was told so."""
    return {message.event.sink.name for message in sink.heard if message.event.kind is kind and message.event.sink is not None}


REFUSED = {"outcome": Outcome.REJECTED, "reason": DeliveryReason.REFUSED, "scope": Scope.SINK}


async def unpause(store: Store, outlet: Outlet) -> None:
    """As after `deliveries retry`: the sink is met as if its settings had changed."""
    name = outlet.settings.name
    await store.transact(lambda tx: tx.mark(name, SinkState(), recovered=True))
    await store.transact(lambda tx: tx.hasten(name, 0.0))
    outlet.state = SinkState()
    outlet.wake()


async def test_what_arrives_just_when_another_fails_shows_that_the_sink_works(store: Store) -> None:
    """Else the failure would be remembered, and the next one, hours later, taken for the end of hours without an answer."""
    under_way = asyncio.Event()

    async def script(message: Message) -> Receipt:
        if message.event.sequence == 1 and message.attempt == 1:
            # The one that fails comes back first, by a hair.
            if message.event.cluster.name == "good":
                await under_way.wait()
            else:
                await eventually(lambda: len(sink.heard) == 2)
                under_way.set()
            if message.event.cluster.name == "bad":
                raise fails()
        return Receipt({"n": message.id})

    sink = Sink(script)
    team = watched(store, sink, "team")
    team.settings = replace(team.settings, concurrency=2)
    team._next_sweep, team.fallback.troubled = float("inf"), False
    for name in ("bad", "good"):
        await store.transact(tell(name))
    async with serving(team):
        await eventually(settled(store, count=8))
        await eventually(lambda: not team.fallback.troubled)
    assert await store.transact(lambda tx: tx.standing("team")) == Standing()


async def test_what_another_replica_failed_to_tell_shows_that_the_sink_works_once_it_arrives(store: Store) -> None:
    first = Sink(lambda _: fails())
    one, two = watched(store, first, "team"), watched(store, Sink(), "team")
    one.settings = replace(one.settings, policy=Policy(first_retry=1.0))
    two._next_sweep, two.fallback.troubled = float("inf"), False
    await store.transact(tell("search"))
    async with serving(one):
        await eventually(lambda: bool(first.heard) and not one._sends)
        one.close()
    async with serving(two):
        await eventually(settled(store))
    assert await store.transact(lambda tx: tx.standing("team")) == Standing()


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


async def test_the_recovery_says_what_was_merged_into_the_very_message_that_showed_it(store: Store) -> None:
    opened: list[bool] = []
    mail, old = Sink(), datetime.now(UTC) - timedelta(hours=1)
    merging = Audience([Route(Matcher(), ("team",))], {"team": Holding(patience=lambda _: 0.0)})
    events = await store.transact(tell("search", "hook"))
    await store.transact(lambda tx: tx.owe(merging.plan(events, old), old.timestamp()))
    team = watched(store, refuses_until(opened, **REFUSED), "team")
    team.settings = replace(team.settings, policy=Policy())
    async with serving(team, watched(store, mail, "mail")):
        await eventually(lambda: len(mail.heard) == 1)
        opened.append(True)
        await unpause(store, team)
        await eventually(lambda: len(mail.heard) == 2)
    recovered = mail.heard[1].event
    assert recovered.sink is not None
    assert (recovered.kind, recovered.sink.waiting, recovered.sink.merged) == (Kind.SINK_RECOVERED, 0, 3)


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


@pytest.mark.parametrize("first", ["team", "mail"], ids=["the sink fails first", "its fallback fails first"])
async def test_where_a_fallback_fails_the_next_is_told_of_both_and_nothing_goes_round(store: Store, first: str) -> None:
    opened: list[bool] = []
    pager = Sink()
    sinks = {name: watched(store, refuses_until(opened, **REFUSED), name) for name in ("team", "mail")}
    await store.transact(tell("search", "team", "mail"))
    async with serving(sinks.pop(first), watched(store, pager, "pager")):
        await eventually(lambda: len(pager.heard) == (first == "mail"))
        (second,) = sinks.values()
        async with serving(second):
            await eventually(lambda: names(pager, Kind.SINK_FAILING) == {"team", "mail"})
            assert len(await store.transact(lambda tx: tx.events(kind="sink.*"))) == 2
            opened.append(True)
            await unpause(store, second)
            await eventually(lambda: second.settings.name in names(pager, Kind.SINK_RECOVERED))
    assert len(pager.heard) == 3


async def test_what_is_over_is_not_told_by_the_next_of_the_chain(store: Store) -> None:
    """Nobody would tell him that it is over, and his incident would stay open."""
    opened: list[bool] = []
    pager = Sink()
    team = watched(store, refuses_until(opened, **REFUSED), "team")
    await store.transact(tell("search"))
    async with serving(team):
        await eventually(lambda: team.state.paused)
        opened.append(True)
        await unpause(store, team)
        await eventually(settled(store))
    mail = watched(store, Sink(lambda _: fails(**REFUSED)), "mail")  # type: ignore[arg-type]  # a test's own
    async with serving(mail, watched(store, pager, "pager")):
        await eventually(lambda: names(pager, Kind.SINK_FAILING) != set())
        await eventually(settled(store, count=5))
    assert names(pager, Kind.SINK_FAILING) == {"mail"}


async def test_what_a_fallback_gave_up_is_told_by_the_next_of_the_chain(store: Store) -> None:
    pager = Sink()
    hasty = watched(store, Sink(lambda _: fails()), "mail")
    hasty.settings = replace(hasty.settings, policy=Policy(first_retry=0.1, max_retry=0.1, give_up_after=0.2))
    await store.transact(tell("search"))
    async with serving(watched(store, Sink(lambda _: fails(**REFUSED)), "team"), hasty, watched(store, pager, "pager")):  # type: ignore[arg-type]  # a test's own
        await eventually(lambda: names(pager, Kind.SINK_FAILING) == {"team", "mail"})


async def test_whoever_heard_that_it_fails_hears_that_it_works_though_its_fallback_is_another_now(store: Store) -> None:
    opened: list[bool] = []
    mail, pager = Sink(), Sink()
    await store.transact(tell("search"))
    async with serving(watched(store, refuses_until(opened, **REFUSED), "team"), watched(store, mail, "mail")):
        await eventually(lambda: names(mail, Kind.SINK_FAILING) == {"team"})
    opened.append(True)
    team = watched(store, refuses_until(opened), "team")
    assert team.fallback is not None
    team.fallback.audience = replace(AUDIENCE, fallbacks={"team": "pager"})
    await unpause(store, team)
    async with serving(team, watched(store, mail, "mail"), watched(store, pager, "pager")):
        await eventually(lambda: names(mail, Kind.SINK_RECOVERED) == names(pager, Kind.SINK_RECOVERED) == {"team"})


async def test_a_sink_that_is_gone_fails_no_more(store: Store) -> None:
    mail = Sink()
    await store.transact(tell("search"))
    async with serving(watched(store, Sink(lambda _: fails(**REFUSED)), "team"), watched(store, mail, "mail")):  # type: ignore[arg-type]  # a test's own
        await eventually(lambda: len(mail.heard) == 1)
    woken: list[frozenset[str]] = []
    tidying = Tidying(store, frozenset({"mail"}), Audience(()), woken.append)
    async with serving(watched(store, mail, "mail")):
        await tidying.retire()
        await eventually(lambda: len(mail.heard) == 2)
        await tidying.retire()
    assert woken == [frozenset({"mail"})]
    over = mail.heard[1].event
    assert over.sink is not None
    assert (over.kind, over.sink.reason, over.sink.lost) == (Kind.SINK_RECOVERED, "removed", 4)
    assert await store.transact(lambda tx: tx.standing("team")) == Standing(sequence=2)


async def test_what_a_fallback_that_is_gone_has_not_told_is_told_by_the_one_in_its_place(store: Store) -> None:
    pager = Sink()
    team = watched(store, Sink(lambda _: fails(**REFUSED)), "team")  # type: ignore[arg-type]  # a test's own
    await store.transact(tell("search"))
    async with serving(team):
        await eventually(lambda: team.state.paused)
    woken: list[frozenset[str]] = []
    now_pager = replace(AUDIENCE, fallbacks={"team": "pager"})
    tidying = Tidying(store, frozenset({"team", "pager"}), now_pager, woken.append)
    for _hour in range(2):
        await tidying.retire()
    assert woken == [frozenset({"pager"})]
    async with serving(watched(store, pager, "pager")):
        await eventually(lambda: names(pager, Kind.SINK_FAILING) == {"team"})


@pytest.mark.parametrize("scope", Scope)
async def test_a_sink_that_asks_for_long_patience_is_told_of_when_it_has_failed_for_long(
    store: Store, scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not only when it is tried again."""
    monkeypatch.setattr(engine, "SWEEP", 0.1)
    mail, asks = Sink(), fails(reason=DeliveryReason.THROTTLED, retry_after=3000.0, scope=scope)
    team = watched(store, Sink(lambda _: asks), "team", after=0.3)
    await store.transact(tell("search"))
    async with serving(team, watched(store, mail, "mail")):
        await eventually(lambda: names(mail, Kind.SINK_FAILING) == {"team"})
    (heard,) = mail.heard
    assert heard.event.sink is not None
    assert (heard.event.sink.reason, heard.event.sink.detail) == ("throttled", "as the script says")


async def never(_: Message) -> Receipt:
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


@pytest.mark.parametrize("script", [never, lambda _: fails()], ids=["broken off by the stop", "failed once before it"])
async def test_a_sink_is_not_told_of_for_the_time_in_which_the_program_was_not_running(
    store: Store, script: Callable[[Message], Awaitable[Receipt] | Exception]
) -> None:
    def patient(sink: Sink) -> Outlet:
        made = watched(store, sink, "team")
        made.settings = replace(made.settings, policy=Policy(first_retry=600.0))
        return made

    await store.transact(tell("search"))
    hasty = Sink(script)
    team = patient(hasty)
    async with serving(team, grace=0.05):
        await eventually(lambda: bool(hasty.heard) and (script is never or not team._sends))
    assert bool(team.state.failures) is (script is not never), "that we stopped says nothing of the sink"
    with time_machine.travel(datetime.now(UTC) + timedelta(hours=1), tick=True):
        async with serving(patient(Sink())):
            await eventually(settled(store))
    assert await store.transact(lambda tx: tx.events(kind="sink.*")) == []


async def test_what_one_replica_failed_to_tell_and_another_told_is_held_against_nobody(store: Store) -> None:
    await store.transact(tell("search"))
    first = Sink(lambda _: fails())
    one = watched(store, first, "team")
    one.settings = replace(one.settings, policy=Policy(first_retry=1.0))
    async with serving(one):
        await eventually(lambda: bool(first.heard) and not one._sends)
        one.close()
    assert one.state.failures
    async with serving(watched(store, Sink(), "team")):
        await eventually(settled(store))
    await store.transact(lambda tx: one._swept(tx, datetime.now(UTC).timestamp()))
    assert await store.transact(lambda tx: tx.standing("team")) == Standing(), "nothing waits, so nothing is failing"


async def test_that_news_was_given_up_is_told_however_long_a_sink_may_fail(store: Store) -> None:
    mail = Sink()
    settings = OutletSettings("team", policy=Policy(first_retry=0.05, max_retry=0.05, give_up_after=0.1))
    team = Outlet(settings, Sink(lambda _: fails()), store, "tester", fallback=Fallback("team", AUDIENCE))
    team._next_sweep = float("inf")  # It is a try that shows it.
    await store.transact(tell("search"))
    async with serving(team, watched(store, mail, "mail")):
        await eventually(lambda: names(mail, Kind.SINK_FAILING) == {"team"})


@pytest.mark.parametrize("fails_now", [True, False], ids=["while it fails", "while it is only slow"])
async def test_that_news_waited_too_long_is_told_if_the_sink_fails(store: Store, *, fails_now: bool) -> None:
    mail = Sink()
    team = watched(store, Sink(), "team")
    await store.transact(tell("search"))
    old = datetime.now(UTC) - timedelta(days=3)

    def age(tx: Transaction) -> None:
        tx.enrol("team", "", old.timestamp())
        tx.stand("team", Standing(old if fails_now else None))
        later = (old + timedelta(days=9)).timestamp()
        told = team._swept(tx, later)
        assert (told is not None) is fails_now

    await store.transact(age)
    async with serving(watched(store, mail, "mail")):
        events = await store.transact(lambda tx: tx.events(kind="sink.*"))
        await eventually(lambda: len(mail.heard) == len(events))
    assert len(events) == fails_now
    assert {row.state for row in await store.transact(lambda tx: tx.deliveries(sink="team"))} == {State.DEAD}


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


async def test_a_sink_that_refuses_every_message_for_long_is_told_of_and_works_only_once_one_arrives(store: Store) -> None:
    mail = Sink()
    team = Sink(lambda _: fails(Outcome.REJECTED, DeliveryReason.INVALID) if len(team.heard) <= 4 else Receipt({}))
    await store.transact(tell("search"))
    async with serving(watched(store, team, "team", after=0.001), watched(store, mail, "mail")):
        await eventually(settled(store, State.DEAD))
        await eventually(lambda: [message.event.kind for message in mail.heard] == [Kind.SINK_FAILING])
        await store.transact(tell("logs"))
        await eventually(lambda: [message.event.kind for message in mail.heard] == [Kind.SINK_FAILING, Kind.SINK_RECOVERED])
    assert mail.heard[1].event.sink is not None
    assert mail.heard[1].event.sink.lost == 4


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
    backlog = await store.transact(lambda tx: tx.backlog("team", now, now))
    assert (backlog.waiting, backlog.lost, backlog.merged) == (0, 4, 0)


async def test_what_waits_and_is_old_enough_to_be_merged_is_counted(store: Store) -> None:
    old = datetime.now(UTC) - timedelta(hours=1)
    merging = Audience([Route(Matcher(), ("team",))], {"team": Holding(patience=lambda _: 0.0)})
    events = await store.transact(tell("search", "hook"))
    await store.transact(lambda tx: tx.owe(merging.plan(events, old), old.timestamp()))
    now = datetime.now(UTC)
    assert await store.transact(lambda tx: tx.backlog("team", now, now)) == Backlog(4, 0, 3)  # with the newest
    assert await store.transact(lambda tx: tx.backlog("team", now, old)) == Backlog(4, 0, 0)
    assert await store.transact(lambda tx: tx.backlog("hook", now, now + timedelta(days=1))) == Backlog(4, 0, 0)
