"""Drills and replays touch nothing real."""

from notifier.domain.model import Kind
from notifier.domain.rehearsal import set_apart
from notifier.domain.samples import sample


def test_what_is_set_apart_has_ids_of_its_own_and_reads_the_same() -> None:
    for kind in (Kind.TASK_FAILED, Kind.CLUSTER_UNREACHABLE):
        event = sample(kind).event
        one, other = set_apart(event, "DRILL", "r1"), set_apart(event, "DRILL", "r2")
        assert one == set_apart(event, "DRILL", "r1")
        assert len({event.id, one.id, other.id, set_apart(event, "REPLAY", "r1").id}) == 4
        assert len({event.thread, one.thread, other.thread}) == 3
        assert (one.cluster.name, one.cluster.labels, one.kind, one.time) == (
            event.cluster.name,
            event.cluster.labels,
            event.kind,
            event.time,
        )
