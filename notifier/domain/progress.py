"""How far a task is: completed nodes, plus the share of finished stages of the node whose stages are listed."""

from notifier.domain.model import Status, Task


def progress(task: Task) -> float | None:
    """0 to 1; None where the API names no nodes.

    The API lists the stages of one node only, so the other nodes of a batch count when they are completed.
    """
    if task.status == Status.SUCCESS:
        return 1.0
    total = len(set(task.total) | set(task.completed))
    if not total:
        return None
    done = float(len(set(task.completed)))
    if task.stages and task.current_node is not None and task.current_node not in task.completed:
        done += sum(stage.status == Status.SUCCESS for stage in task.stages) / len(task.stages)
    return round(min(done / total, 1.0), 4)
