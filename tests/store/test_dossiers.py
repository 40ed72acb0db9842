"""All that is kept of a task can be had at once, on both databases."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from store_scenes import NOW, Scene, arrived, claim, cluster, put_off, running

from notifier.domain.model import Action, Stage, Task
from notifier.domain.routing import Matcher
from notifier.domain.silences import Silence
from notifier.store.store import Store

MOMENT = datetime.fromtimestamp(NOW, UTC)


def silence(name: str, **facts: object) -> Silence:
    usual = Silence(name, Matcher(), MOMENT - timedelta(hours=1), MOMENT + timedelta(hours=1), "li.na", "known")
    return replace(usual, **facts)  # type: ignore[arg-type]


async def test_a_dossier_holds_events_deliveries_and_who_silenced(store: Store) -> None:
    scene = Scene(sinks=("team", "mail"), silences=())
    events = await store.transact(scene.three_events())
    (first,) = await store.transact(claim(sink="team"))
    await store.transact(arrived(first, NOW + 3))
    (other,) = await store.transact(claim(sink="mail"))
    await store.transact(put_off(other, NOW + 60))
    for each in (
        silence("ours", task="t1", reminders_only=True),
        silence("theirs", task="t2"),
        silence("of all"),
        silence("long over", ends_at=MOMENT - timedelta(minutes=30)),
        silence("of others", matcher=Matcher(cluster=("logs",))),
    ):
        await store.transact(lambda tx, each=each: tx.silence(each))  # type: ignore[misc]
    (gathered,) = await store.transact(lambda tx: tx.gathered_named("t1"))
    dossier = gathered.dossier()
    assert list(dossier.events) == events
    fate = {(told.event, told.sink): told for told in dossier.told}
    assert len(fate) == 2 * len(events)
    told, waiting = fate[events[0].id, "team"], fate[events[0].id, "mail"]
    assert (told.state, told.tries, told.latency) == ("delivered", 1, timedelta(seconds=3))
    assert (waiting.state, waiting.tries, waiting.reason) == ("pending", 1, "server")
    assert {each.id for each in dossier.silences} == {"ours", "of all"}


async def test_what_a_silence_stopped_names_it_even_when_it_is_over(store: Store) -> None:
    stopping = silence("s-9")
    await store.transact(lambda tx: tx.silence(stopping))
    await store.transact(Scene(silences=[stopping]).three_events())
    over = replace(stopping, starts_at=MOMENT - timedelta(days=2), ends_at=MOMENT - timedelta(days=1))
    await store.transact(lambda tx: tx.silence(over))
    (gathered,) = await store.transact(lambda tx: tx.gathered_named("t1"))
    dossier = gathered.dossier()
    assert {told.state for told in dossier.told} == {"silenced"}
    assert [each.id for each in dossier.silences] == ["s-9"]


async def test_stages_of_other_tasks_say_what_is_usual(store: Store) -> None:
    ended = Stage(0, "Data migration", "SUCCESS", "", MOMENT, MOMENT + timedelta(seconds=90))
    timeless = Stage(1, "Node creation", "SUCCESS")
    for name in ("t1", "t2", "t3"):
        scene = Scene(cluster(name))
        at_work = running(name)
        await store.transact(scene.see([]))
        await store.transact(scene.see([replace(at_work, stages=(ended, timeless))]))
    (gathered,) = await store.transact(lambda tx: tx.gathered_named("t1"))
    dossier = gathered.dossier()
    (times,) = dossier.elsewhere
    assert (times.order, times.name, times.seconds) == (0, "Data migration", (90.0, 90.0))


async def test_a_task_is_meant_by_its_id_its_beginning_or_its_cluster(store: Store) -> None:
    for name, action, task, seconds in (
        ("search", Action.UPGRADING, "abc-1", 0),
        ("search", Action.UPGRADING, "abc-2", 10),
        ("logs", Action.AZ_MIGRATION, "xyz-1", 20),
    ):
        scene = Scene(cluster(name))
        await store.transact(scene.see([], NOW + seconds, action))
        await store.transact(scene.see([running(task)], NOW + seconds, action))

    async def meant(word: str) -> list[str]:
        return [each[2] for each in await store.transact(lambda tx: tx.tasks_named(word))]

    assert await meant("abc-1") == ["abc-1"]
    assert sorted(await meant("abc")) == ["abc-1", "abc-2"]
    assert await meant("search") == ["abc-2"]
    assert await meant("id-of-logs") == ["xyz-1"]
    assert await meant("nothing") == []
    assert await meant("") == []


async def test_a_task_that_was_over_before_anybody_looked_has_no_dossier(store: Store) -> None:
    await store.transact(Scene().see([Task("t1", "SUCCESS", 1, ("n1",), ("n1",))]))
    assert await store.transact(lambda tx: tx.tasks_named("t1"))
    assert await store.transact(lambda tx: tx.gathered_named("t1")) == []
