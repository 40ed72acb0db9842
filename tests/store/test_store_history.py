"""How long things took, in the store: once each, for the right cluster and action, until it is too old to matter."""

import math
from datetime import UTC, datetime, timedelta

from sqlalchemy import create_engine, text
from store_scenes import NOW, Scene, claim, cluster, driver

from notifier.domain.course import Length
from notifier.domain.known import Known
from notifier.domain.message import Receipt
from notifier.domain.model import Action, Eta, Kind
from notifier.domain.timekeeping import Ended, Forecast, Timed
from notifier.store import schema
from notifier.store.store import Store
from notifier.store.transaction import Transaction

AT = datetime.fromtimestamp(NOW, UTC)
NODE = "css-test-ess-esn-1-1"
UPGRADE = (Action.UPGRADING, "t1")


def took(seconds: float, number: int = 0, kind: str = "0/Data migration") -> Length:
    return Length(kind, NODE, AT + timedelta(hours=number), seconds)


def timed(*lengths: Length, task: tuple[Action, str] = UPGRADE) -> Timed:
    return Timed(Known(), lengths=tuple((task, length) for length in lengths))


async def test_a_history_is_of_the_cluster_and_of_all_others_and_of_one_action(store: Store) -> None:
    ours, other = cluster("search"), cluster("logs")
    moved = (Action.AZ_MIGRATION, "t9")

    def write(tx: Transaction) -> None:
        tx.remember(ours, timed(took(100), took(200, 1), took(400, 2)), NOW)
        tx.remember(ours, timed(took(9999), task=(Action.UPGRADING, "running")), NOW)
        tx.remember(other, timed(took(1000)), NOW)
        tx.remember(other, timed(took(5), task=moved), NOW)

    await store.transact(write)
    found = await store.transact(lambda tx: tx.history(ours.key, Action.UPGRADING, ["running"]))
    assert [(name, each.count, round(math.exp(each.middle))) for name, each in found.cluster.items()] == [
        ("ess:0/Data migration", 3, 200)
    ]
    assert [(each.count, round(math.exp(each.middle))) for each in found.fleet.values()] == [(1, 1000)]
    elsewhere = await store.transact(lambda tx: tx.history(other.key, Action.AZ_MIGRATION))
    assert [round(math.exp(each.middle)) for each in elsewhere.cluster.values()] == [5]
    assert elsewhere.fleet == {}


async def test_a_span_that_is_told_twice_is_kept_once(store: Store) -> None:
    for _ in range(2):
        await store.transact(lambda tx: tx.remember(cluster(), timed(took(100)), NOW))
    found = await store.transact(lambda tx: tx.history(cluster().key, Action.UPGRADING))
    assert [each.count for each in found.cluster.values()] == [1]


async def test_forecasts_are_judged_when_their_attempt_succeeds_and_forgotten_with_their_time(store: Store) -> None:
    eta = Eta(AT + timedelta(hours=1), AT + timedelta(hours=2), "1 finished node")
    made = [Forecast(*UPGRADE, attempt, AT + timedelta(minutes=attempt), 0.25, eta) for attempt in (1, 2)]
    await store.transact(lambda tx: tx.remember(cluster(), Timed(Known(), forecasts=tuple(made)), NOW))
    assert await store.transact(lambda tx: tx.judged()) == []
    end = AT + timedelta(minutes=90)
    await store.transact(lambda tx: tx.remember(cluster(), Timed(Known(), ended=(Ended(*UPGRADE, 2, end),)), NOW))
    (judged,) = await store.transact(lambda tx: tx.judged())
    assert (judged.made_at, judged.ended_at, judged.held) == (made[1].made_at, end, True)
    assert await store.transact(lambda tx: tx.judged(since=NOW + 3600)) == []
    assert await store.transact(lambda tx: tx.forecasts(cluster().key, *UPGRADE)) == made
    await store.transact(lambda tx: tx.remember(cluster(), timed(took(100)), NOW))
    await store.transact(lambda tx: tx.forget_history(NOW + 86400))
    assert await store.transact(lambda tx: tx.forecasts(cluster().key, *UPGRADE)) == []
    assert (await store.transact(lambda tx: tx.history(cluster().key, Action.UPGRADING))).cluster == {}


OF_THE_FIRST_SCHEMA = {"cluster", "task", "event", "lane", "delivery", "attempt", "sink", "silence"}


async def test_what_was_owed_before_there_were_reminders_keeps_its_order(empty_url: str) -> None:
    """A store of the first schema, with three events owed, is migrated: they come out in the order they went in."""
    store = Store(empty_url).open()
    await store.transact(Scene().three_events())
    store.close()
    engine = create_engine(driver(empty_url))
    with engine.begin() as connection:
        connection.execute(text(f"UPDATE delivery SET position = position / {schema.STRIDE}"))  # noqa: S608 - a number
        connection.execute(text("ALTER TABLE delivery DROP COLUMN reminder"))
        for column in ("answers", "watched"):
            connection.execute(text(f"ALTER TABLE cluster DROP COLUMN {column}"))
        for column in ("next_send", "failing_since", "failing_told", "sequence"):
            connection.execute(text(f"ALTER TABLE sink DROP COLUMN {column}"))
        for table in schema.metadata.tables.keys() - OF_THE_FIRST_SCHEMA:
            connection.execute(text(f"DROP TABLE {table}"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    engine.dispose()
    store = Store(empty_url).open()
    try:
        assert store.schema_before == "0001"
        told = []
        now = datetime.now(UTC).timestamp() + 5
        while claims := await store.transact(claim(now=now)):
            told.append((claims[0].event.kind, claims[0].event.sequence, claims[0].reminder))
            await store.transact(lambda tx, c=claims[0]: tx.delivered(c, Receipt({"ts": "1"}), now))  # type: ignore[misc]  # bound now
        assert [sequence for _, sequence, _ in told] == [1, 2, 3, 4]
        assert told[0] == (Kind.TASK_STARTED, 1, 0)
    finally:
        store.close()
