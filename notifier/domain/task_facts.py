"""What an event says of its task."""

from notifier.domain.known import KnownTask
from notifier.domain.model import Action, Nodes, TaskFacts


def facts_of(action: Action, state: KnownTask) -> TaskFacts:
    """The task as it is known."""
    task = state.task
    total = len(set(task.total) | set(task.completed))
    return TaskFacts(
        id=task.id,
        action=action,
        status=task.status,
        attempt=state.attempt,
        started_at=task.started_at,
        ended_at=task.ended_at,
        nodes=Nodes(total, task.completed, task.in_flight),
        target=task.target,
        fail_message=task.fail_message,
    )
