"""What PagerDuty is sent in one story: an upgrade that stalls, fails twice and succeeds, an outage, a sink that fails, a test.

``pagerduty.golden.json`` beside it is what came of it when a person last looked. Run this file to write it anew, and read the
diff.
"""

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fake_pagerduty import PagerDuty, checked, duty

from notifier.domain.message import Message, Receipt
from notifier.domain.model import Kind
from notifier.domain.samples import sample

GOLDEN = Path(__file__).with_name("pagerduty.golden.json")

KINDS = (
    Kind.TASK_STARTED,
    Kind.NODE_COMPLETED,
    Kind.TASK_STALLED,
    Kind.TASK_RESUMED,
    Kind.TASK_FAILED,
    Kind.TASK_RETRIED,
    Kind.TASK_PARTIALLY_FAILED,
    Kind.TASK_SUCCEEDED,
    Kind.CLUSTER_UNREACHABLE,
    Kind.CLUSTER_RECOVERED,
    Kind.SINK_FAILING,
    Kind.SINK_RECOVERED,
)


async def story() -> list[dict[str, Any]]:
    """Path and body of each request, in order; each is what PagerDuty's documentation allows."""
    lanes: dict[str, Receipt] = {}
    async with duty(PagerDuty().answer, page="https://css-upgrades.example.com") as (sink, receiver):
        for number, kind in enumerate(KINDS, start=1):
            message = _told(kind, number)
            lanes[message.event.thread] = await sink.send(message, lanes.get(message.event.thread))
        await sink.send(sample(Kind.TASK_FAILED), None)
    return [{"path": each.path, "body": checked(each.path, each.body)} for each in receiver.posts]


def _told(kind: Kind, number: int) -> Message:
    """The sample in its place in the story; its second failure is that of the second execution."""
    message = sample(kind, mark=None)
    task = message.event.task
    if kind is Kind.TASK_PARTIALLY_FAILED and task is not None:
        task = replace(task, attempt=2)
    return replace(message, event=replace(message.event, sequence=number, task=task))


def written(requests: list[dict[str, Any]]) -> str:
    """As the golden file holds it."""
    return json.dumps(requests, ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    GOLDEN.write_text(written(asyncio.run(story())), encoding="utf-8")
