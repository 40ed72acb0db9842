"""What is browsed, page by page and one by one, is the same on both databases."""

from datetime import UTC, datetime

from store_scenes import NOW, Scene, claim, cluster, given_up, running

from notifier.domain.model import Action, Status, Task
from notifier.domain.outage import unreachable
from notifier.store.catalogue import read_event
from notifier.store.rows import State
from notifier.store.store import Store
from notifier.store.transaction import Transaction

NAMES = ("alpha", "beta", "gamma", "delta")


def many(tx: Transaction) -> None:
    for name in NAMES:
        scene = Scene(cluster(name), ("team", "hook"))
        scene.see([])(tx)
        scene.see([running(f"task-of-{name}")])(tx)
    Scene(cluster("beta")).see([Task("task-of-beta", Status.FAILED, 1, ("n1",))])(tx)
    Scene(cluster("beta")).see([Task("moved", Status.SUCCESS, 1, ("n1",))], action=Action.AZ_MIGRATION)(tx)


async def test_clusters_and_tasks_are_paged_through_in_one_order(store: Store) -> None:
    def through(tx: Transaction) -> tuple[list[str], list[str]]:
        names, places = [], []
        after = ""
        while page := tx.clusters_page(after=after, limit=2):
            names += [row.cluster.name for row in page]
            after = page[-1].cluster.key
        place = None
        while rows := tx.tasks(after=place, limit=2):
            places += [row.known.task.id for row in rows]
            place = rows[-1].place
        return names, places

    await store.transact(many)
    names, places = await store.transact(through)
    assert sorted(names) == sorted(NAMES)
    assert sorted(places) == sorted(["moved", *(f"task-of-{name}" for name in NAMES)])


async def test_tasks_are_found_by_what_is_known_of_them(store: Store) -> None:
    await store.transact(many)
    for asked, wanted in (
        ({"status": "FAILED"}, ["task-of-beta"]),
        ({"status": "failed"}, []),
        ({"cluster": "id-of-beta"}, ["moved", "task-of-beta"]),
        ({"cluster": "ID-OF-beta"}, []),
        ({"cluster": "f-beta"}, []),
        ({"cluster": "%"}, []),
        ({"action": Action.AZ_MIGRATION}, ["moved"]),
    ):
        rows = await store.transact(lambda tx, asked=asked: tx.tasks(**asked))  # type: ignore[misc]
        assert sorted(row.known.task.id for row in rows) == wanted, asked


async def test_one_task_and_its_events_are_found(store: Store) -> None:
    await store.transact(many)

    def ask(tx: Transaction) -> None:
        row = tx.task("id-of-beta", Action.UPGRADING, "task-of-beta")
        assert row is not None
        assert row.cluster == cluster("beta")
        assert tx.task("id-of-beta", Action.AZ_MIGRATION, "task-of-beta") is None
        assert tx.task("id-of-alpha", Action.UPGRADING, "task-of-beta") is None
        events = tx.task_events(row.thread)
        assert [event.sequence for _, event in events] == list(range(1, len(events) + 1))
        assert [event.sequence for _, event in tx.task_events(row.thread, after=1, limit=1)] == [2]
        written = tx.written(row.thread, limit=2)
        assert [(each.position, read_event(each)) for each in written] == events[-2:]
        assert [(each.id, each.severity) for each in written] == [(event.id, event.severity) for _, event in events[-2:]]
        last = events[-1][1]
        assert tx.newest([(row.thread, last.sequence), ("nothing", 1)]) == {row.thread: last}
        assert tx.newest([]) == {}

    await store.transact(ask)


async def test_who_is_watched_no_more_is_listed_and_counted_no_more_but_found(store: Store) -> None:
    await store.transact(many)
    keys = {name: cluster(name).key for name in NAMES}

    def listed(tx: Transaction) -> list[str]:
        names = [row.cluster.name for row in tx.clusters()]
        assert sorted(row.cluster.name for row in tx.clusters_page()) == sorted(names) == tx.cluster_names()
        assert tx.cluster_counts() == (len(names), 0)
        return names

    await store.transact(lambda tx: tx.watch_only({keys["beta"], keys["delta"], "p/never-met"}))
    assert await store.transact(listed) == ["beta", "delta"]
    await store.transact(lambda tx: tx.watch({keys["alpha"]: True, "p/never-met": True}))
    await store.transact(lambda tx: tx.watch({keys["delta"]: False}))
    assert await store.transact(listed) == ["alpha", "beta"]
    # What is noted of it later does not bring it back: a poll may have been under way.
    await store.transact(Scene(cluster("gamma")).see([Task("late", Status.SUCCESS, 1, ("n1",))]))
    assert await store.transact(listed) == ["alpha", "beta"]
    assert await store.transact(lambda tx: tx.cluster("id-of-gamma")) is not None


async def test_clusters_are_counted_named_and_found(store: Store) -> None:
    assert await store.transact(lambda tx: tx.cluster_counts()) == (0, 0)
    await store.transact(many)

    def silent(tx: Transaction) -> None:
        known, version = tx.known(cluster("gamma"))
        step = unreachable(known, cluster("gamma"), ("server", "HTTP 503"), datetime.fromtimestamp(NOW, UTC), 0.0)
        tx.save(cluster("gamma"), (known, version), step.known, (step.events, ()), NOW)

    await store.transact(silent)
    assert await store.transact(lambda tx: tx.cluster_counts()) == (4, 1)
    assert await store.transact(lambda tx: tx.cluster_names()) == sorted(NAMES)
    found = await store.transact(lambda tx: tx.cluster("id-of-gamma"))
    assert found is not None
    assert found.outage is not None
    assert [known.task.id for _, known in found.tasks] == ["task-of-gamma"]
    assert await store.transact(lambda tx: tx.cluster("gamma")) is None


async def test_deliveries_are_paged_back_through_without_gap_or_repeat(store: Store) -> None:
    await store.transact(many)

    def back(tx: Transaction) -> tuple[list[str], list[str]]:
        found: list[str] = []
        before = None
        while page := tx.deliveries(before=before, limit=3):
            found = [row.id for row in page] + found
            before = page[0].id
        return found, [row.id for row in tx.deliveries(limit=1000)]

    found, everything = await store.transact(back)
    assert found == everything
    assert len(set(found)) == len(found) > 8


async def test_what_became_of_several_events_is_asked_at_once(store: Store) -> None:
    await store.transact(many)
    for claimed in await store.transact(claim()):
        await store.transact(given_up(claimed))

    def ask(tx: Transaction) -> None:
        ids = [event.id for _, event in tx.events(limit=200)]
        fates = tx.fates(ids)
        assert set(fates) == set(ids)
        assert all(tx.fate(event) == fates[event] for event in ids)
        dead = [tries for fate in fates.values() for row, tries in fate if row.state is State.DEAD]
        assert len(dead) == len(NAMES)
        assert all([each.outcome for each in tries] == ["rejected"] for tries in dead)
        assert tx.fates([]) == {}
        assert tx.fate("unknown") == []

    await store.transact(ask)
