"""Where a person looks next: the pages of a message's task and of its cluster, here and at the cloud."""

from urllib.parse import quote

from notifier.domain.model import Event
from notifier.domain.plain_text import one_line


def console(event: Event) -> str | None:
    """The console of the cluster's region; None where there is none, as for what is told of a sink."""
    region = quote(one_line(event.cluster.region, 60), safe="-")
    return f"https://console.huaweicloud.com/css/?region={region}" if region else None


def task_page(page: str, event: Event, mark: str | None) -> str:
    """The page of the event's task below the status page; the status page itself where there is no such task.

    Args:
        page: The status page's address, without a slash at its end.
        event: What it is about.
        mark: See `Message`; the tasks of tests, drills and replays are on no page.
    """
    task = event.task
    if task is None or mark is not None:
        return page
    return page + "/tasks/" + "/".join(quote(one_line(part), safe="") for part in (event.cluster.id, task.action.value, task.id))
