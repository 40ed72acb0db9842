"""How far a task is: completed nodes, plus the share of finished stages of those in flight."""

from notifier.domain.model import Status, Task


def progress(task: Task) -> float | None:
    """0 to 1; None where the API names no nodes.

    The API lists the stages of one node only; the others of its batch are taken to keep step with it.
    """
    if task.status == Status.SUCCESS:
        return 1.0
    total = len(set(task.total) | set(task.completed))
    if not total:
        return None
    done = float(len(set(task.completed)))
    if task.stages and task.current_node is not None and task.current_node not in task.completed:
        batch = len(set(task.in_flight) - set(task.completed)) if task.current_node in task.in_flight else 1
        done += batch * sum(stage.status == Status.SUCCESS for stage in task.stages) / len(task.stages)
    return round(min(done / total, 1.0), 4)
