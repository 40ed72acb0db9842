"""What a receipt of PagerDuty's remembers of a task, a cluster or a sink, and what follows from the next message about it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, Self

from notifier.domain.conditions import Condition, Heard
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Event, Kind
from notifier.sinks.contract import KEEP

Action = Literal["trigger", "acknowledge", "resolve"]


@dataclass(slots=True)
class Standing:
    """What the receipt remembers of a task, a cluster or a sink.

    Attributes:
        held: The conditions that we opened.
        attempt: The execution of the task whose failure was told last; 0 where none was.
        heard: What was last said of each condition.
        about: With what the keys of all of them begin, so that they can be resolved when no message says it any more.
        perhaps: The conditions that may be open: we tried to open them and were not told that it was done. By itself it is
            nothing that has been achieved.
    """

    held: set[str] = field(default_factory=set)
    attempt: int = 0
    heard: Heard = field(default_factory=Heard)
    about: str = field(default="", compare=False)
    perhaps: set[str] = field(default_factory=set, compare=False)

    @classmethod
    def read(cls, receipt: Receipt | None) -> Self:
        """From a receipt; what is none of ours is nothing."""
        fields = {} if receipt is None else receipt.fields
        attempt = fields.get("attempt", "")
        return cls(
            {name for name in fields.get("open", "").split(",") if name},
            int(attempt) if attempt.isascii() and attempt.isdecimal() else 0,
            Heard.read(fields.get("heard", "")),
            fields.get(KEEP, ""),
            {name for name in fields.get("perhaps", "").split(",") if name},
        )

    @classmethod
    def before(cls, message: Message, last: Receipt | None) -> Self:
        """As it was before a message: how far earlier tries of it came, unless it is sent again behind what came after it."""
        newest = cls.read(last)
        return newest if message.progress is None or newest.heard.beyond(message.event) else cls.read(message.progress)

    @property
    def unsettled(self) -> set[str]:
        """The conditions that are open, or may be."""
        return self.held | self.perhaps

    @property
    def receipt(self) -> Receipt:
        """As a receipt remembers it."""
        fields = {"open": ",".join(sorted(self.held)), "attempt": str(self.attempt), "heard": self.heard.text}
        if self.perhaps:
            fields["perhaps"] = ",".join(sorted(self.perhaps))
        return Receipt(fields | {KEEP: self.about} if self.unsettled else fields)

    def steps(self, message: Message) -> Iterator[tuple[Action, str]]:
        """What follows from a message, one by one; `done` is to be called between."""
        event = message.event
        opened = self.heard.opened(event)
        for condition in self.heard.ended(event):
            # What was given up may have been taken all the same, and whether an outage was told by us is not always known: to
            # resolve what is not open does no harm.
            if self._may_be_open(condition, message) or event.kind in _ALWAYS:
                yield "resolve", condition
        if event.kind is Kind.TASK_RETRIED and self._may_be_open(Condition.FAILURE, message):
            yield "acknowledge", Condition.FAILURE
        again = opened is Condition.FAILURE and self._once_more(message)
        if opened is None or (self.knows(message) and not again):
            return
        if again:
            yield "resolve", opened
        yield "trigger", opened

    def knows(self, message: Message) -> bool:
        """Whether it is a reminder of what we opened, which pages nobody.

        PagerDuty escalates by itself, and whoever resolved the incident by hand wants no other.
        """
        return message.reminder > 0 and self.heard.opened(message.event) in self.held

    def done(self, action: Action, condition: str, event: Event) -> None:
        """Note what PagerDuty has taken."""
        self.perhaps.discard(condition)
        if action == "resolve":
            self.held.discard(condition)
        else:
            self.held.add(condition)
        if condition == Condition.FAILURE and action != "acknowledge" and event.task is not None:
            self.attempt = event.task.attempt

    def _once_more(self, message: Message) -> bool:
        """Whether an earlier execution's failure may be open: somebody has acknowledged it, and it would page nobody again."""
        attempt = 0 if message.event.task is None else message.event.task.attempt
        return attempt > self.attempt and (Condition.FAILURE in self.unsettled or (message.skipped > 0 and attempt > 1))

    def _may_be_open(self, condition: str, message: Message) -> bool:
        return condition in self.unsettled or message.skipped > 0


_ALWAYS = frozenset({Kind.CLUSTER_RECOVERED, Kind.CLUSTER_FORGOTTEN, Kind.SINK_RECOVERED})
"""What ends something though we may not know that we opened it."""
