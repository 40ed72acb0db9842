"""Why there is an event: the rule of the diff behind each kind, in words for whoever asks."""

from collections.abc import Mapping

from notifier.domain.model import Event

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
    "sink.failing": "the sink was left alone because it kept failing",
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
