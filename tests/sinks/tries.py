"""Tries of a sink, as its own tests make them: told in vain, told again, told a story."""

from dataclasses import replace

import pytest

from notifier.domain.errors import DeliveryError
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Kind
from notifier.domain.samples import sample
from notifier.sinks.contract import Sink

NEWS = sample(Kind.TASK_FAILED, mark=None)


async def failure(sink: Sink, message: Message = NEWS, last: Receipt | None = None) -> DeliveryError:
    """Why it cannot be told; never with anything that a terminal would act on."""
    with pytest.raises(DeliveryError) as caught:
        await sink.send(message, last)
    assert caught.value.detail.isprintable()
    return caught.value


def after(error: DeliveryError, message: Message = NEWS) -> Message:
    """The message as the engine hands it to the next try."""
    return replace(message, attempt=message.attempt + 1, progress=error.receipt or message.progress)


async def told(sink: Sink, *kinds: Kind, last: Receipt | None = None) -> Receipt:
    """The receipt of the last of some news."""
    for kind in kinds:
        last = await sink.send(sample(kind, mark=None), last)
    assert last is not None
    return last
