"""What a template is given: the ``data`` of the webhook's body, which is a contract, and our own words for the event."""

from typing import Any

from notifier.domain.model import Event
from notifier.domain.render import payload
from notifier.domain.words import Words
from notifier.wording.sandbox import Labels


def data_of(event: Event, words: Words) -> dict[str, Any]:
    """The names a template may use. ``title`` and ``summary`` are ours, in the sink's language."""
    body: dict[str, Any] = {**payload(event), "title": words.title(event), "summary": words.summary(event)}
    body["cluster"] = {**body["cluster"], "labels": Labels(event.cluster.labels)}
    return body
