"""Prints one line an event, for people or for machines. The smallest sink: the one to copy."""

import asyncio
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Literal, Self, TextIO

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Severity
from notifier.domain.plain_text import json_line, one_line
from notifier.domain.render import payload
from notifier.domain.words import Words
from notifier.sinks.contract import SinkSettings, Surroundings

_SIGNS = {
    Severity.DEBUG: ("·", "2"),
    Severity.INFO: ("●", "32"),
    Severity.WARNING: ("▲", "33"),
    Severity.ERROR: ("✖", "31"),
    Severity.CRITICAL: ("‼", "1;31"),
}
"""A symbol and a colour (ANSI SGR) for each severity; the word stands beside them, for whoever sees neither."""


class Settings(SinkSettings):
    """``colour: auto`` means: on a terminal, unless ``NO_COLOR`` is set. ``json`` has no colour."""

    stream: Literal["stdout", "stderr"] = "stdout"
    colour: Literal["auto", "always", "never"] = "auto"
    format: Literal["text", "json"] = "text"


class Sink:
    """Writes in a thread of its own: a reader that stops reading (``| less``) holds back this sink and nothing else."""

    def __init__(self, settings: Settings, surroundings: Surroundings) -> None:
        self._settings = settings
        self._words = surroundings.words
        self._writer = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"sink-{surroundings.name}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._writer.shutdown(wait=False, cancel_futures=True)

    async def send(self, message: Message, last: Receipt | None) -> Receipt:  # noqa: ARG002 - a printed line is not edited
        """Print the message.

        Raises:
            DeliveryError: The stream is closed, full or has no reader. Part of the line may have got through.
        """
        try:
            await asyncio.get_running_loop().run_in_executor(self._writer, self._write, message)
        except (OSError, ValueError) as error:
            why = one_line(getattr(error, "strerror", None) or str(error), 200)
            detail = f"{self._settings.stream} cannot be written to: {why}"
            raise DeliveryError(Outcome.UNCERTAIN, DeliveryReason.NETWORK, detail, scope=Scope.SINK) from None
        return Receipt()

    def _write(self, message: Message) -> None:
        stream: TextIO | None = getattr(sys, self._settings.stream)
        if stream is None:  # Python sets it so where the program was started with the stream closed
            raise ValueError("it is closed")
        if self._settings.format == "json":
            line = as_json(message)
        else:
            line = as_text(message, self._words, colour=self._coloured(stream))
        encoding = stream.encoding or "utf-8"
        stream.write(line.encode(encoding, "replace").decode(encoding) + "\n")
        stream.flush()

    def _coloured(self, stream: TextIO) -> bool:
        if self._settings.colour == "auto":
            return stream.isatty() and not os.environ.get("NO_COLOR")
        return self._settings.colour == "always"


def as_text(message: Message, words: Words, *, colour: bool) -> str:
    """One line for a person: time, mark, severity, cluster, what happened, and what is to be known about the telling."""
    event = message.event
    symbol, sgr = _SIGNS[event.severity]
    width = max(len(words.severity(each)) for each in Severity)
    severity = f"{symbol} {words.severity(event.severity):<{width}}"
    remarks = words.together(*words.remarks(message))
    parts = [
        event.time.astimezone(words.zone).isoformat(sep=" ", timespec="seconds").replace("+00:00", "Z"),
        one_line(words.mark(message), 20).strip(),
        f"\x1b[{sgr}m{severity}\x1b[0m" if colour else severity,
        one_line(event.cluster.name, 80),
        one_line(message.summary, 1000),
        words.phrases.around.aside.format(text=remarks).strip() if remarks else "",
    ]
    return "  ".join(filter(None, parts))


def as_json(message: Message) -> str:
    """One line for a machine: the ``data`` of the webhook body, and how the message was told."""
    late_by = message.late_by and message.late_by.total_seconds()
    telling = {"mark": message.mark, "late_by": late_by, "skipped": message.skipped, "may_repeat": message.may_repeat}
    return json_line({**payload(message.event), **telling})
