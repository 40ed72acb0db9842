"""Why there is an event: the rule of the diff behind each kind, in words for whoever asks."""

from collections.abc import Mapping
from datetime import datetime

from notifier.domain.evidence import CLOCK, AnswerFacts, Evidence, in_words
from notifier.domain.model import Event, Kind, Outage, SinkFacts, Timing

RULES: Mapping[str, str] = {
    "task.started": "a task with this id was listed for the first time",
    "task.retried": "executeTimes rose, or a failed task was RUNNING again",
    "task.succeeded": "its status became SUCCESS",
    "task.failed": "its status became FAILED",
    "task.partially_failed": "its status became PARTIAL_FAILED",
    "task.stalled": "nothing of it had moved for much longer than is usual, although there was data",
    "task.resumed": "something of it moved again after it had been called stalled",
    "task.vanished": "it was RUNNING when it was listed last, and several good answers in a row did not list it",
    "task.deadline_near": "a stage with a time limit had used up a share of it that is warned of",
    "task.window_ending": "the change window of the cluster was about to end while it was not over",
    "node.started": "the node was in the batch at work, or named as the current node",
    "node.completed": "the node was listed in completedNodes",
    "node.failed": "the task failed while the node was at work",
    "stage.started": "the stage was RUNNING, or had a status that it can only have after that",
    "stage.succeeded": "the stage was SUCCESS",
    "stage.failed": "the stage was FAILED",
    "cluster.unreachable": "there was no good answer for longer than poll.unreachable_after",
    "cluster.recovered": "there was a good answer again",
    "cluster.discovered": "the project listed it for the first time",
    "cluster.forgotten": "the project listed it no longer",
    "sink.failing": "the sink refused us, news for it was given up, or it failed for so long that it is told",
    "sink.recovered": "the sink took a message again",
}
"""By kind, what an answer said that the one before it had not."""

CATCH_UP = "it was under way already when it was first looked at"
INFERRED = "nobody saw it happen: it must have, for what was seen later"


def rule(event: Event) -> str:
    """Why there is this event."""
    if event.catch_up:
        return CATCH_UP
    known = RULES.get(event.kind.value, "a rule of the notifier's that has no words yet")
    return known if event.observed else f"{INFERRED} ({known})"


BY_TIME = frozenset({Kind.TASK_STALLED, Kind.TASK_DEADLINE_NEAR, Kind.TASK_WINDOW_ENDING})
"""Kinds that follow from the time that passes over one answer, and not from the difference of two."""

BASELINE = "there was none: the later one was the first good answer that was looked at"
FORGOTTEN = "not known any more: nothing was written down of it"
NOT_KEPT = "two answers; which these were was not kept"


def answers(kind: Kind, evidence: Evidence | None, *, catch_up: bool) -> list[tuple[str, AnswerFacts | None, str]]:
    """The answers that an event rests on, where they are known: which each is, what is remembered of it, and that in words."""
    if evidence is None:
        return []
    later, earlier = evidence.later, evidence.earlier
    if kind in BY_TIME:
        return [("The newest answer then", later, in_words(later))]
    before = in_words(earlier) if earlier is not None else BASELINE if catch_up else FORGOTTEN
    return [("The earlier answer", earlier, before), ("The later answer", later, in_words(later))]


def ground(event: Event) -> str | None:
    """What an event follows from that does not follow from two answers; None where it does."""
    if event.timing is not None and event.kind in BY_TIME:
        return _of_time(event.kind, event.timing)
    if event.outage is not None:
        return _of_outage(event.kind, event.outage)
    if event.sink is not None:
        return _of_sink(event.sink)
    if event.task is None:
        return "the project's list of clusters, compared with the one before it"
    return None if event.evidence is not None else NOT_KEPT


def _of_time(kind: Kind, timing: Timing) -> str:
    since = f"{timing.since:{CLOCK}}"
    if kind is Kind.TASK_STALLED:
        gaps = f", without the {timing.unseen:.0f} s in which there was no data" if timing.unseen else ""
        usual = "nothing is known of its like" if timing.usual is None else f"usual are {timing.usual:.0f} s at the most"
        return f"time: since {since} good answers had shown the same for {timing.lasted:.0f} s{gaps}; {usual}"
    if kind is Kind.TASK_DEADLINE_NEAR:
        return f"time: {timing.share} % of the limit of what began at {since} had passed, and the newest answer showed it at work"
    return f"time: the window ends at {_clock(timing.until)}, and the newest answer showed the task at work"


def _of_outage(kind: Kind, outage: Outage) -> str:
    since = f"{outage.since:{CLOCK}}"
    if kind is Kind.CLUSTER_UNREACHABLE:
        return f"no good answer since {since}; the last failure was {outage.reason}: {outage.detail}"
    return f"a good answer to everything that was asked, for the first time since {since}"


def _of_sink(sink: SinkFacts) -> str:
    why = "" if sink.reason is None else f": {sink.reason}: {sink.detail}"
    return f"what {sink.name} answered to what it was told{why}"


def _clock(moment: datetime | None) -> str:
    return "a time that was not kept" if moment is None else f"{moment:{CLOCK}}"
