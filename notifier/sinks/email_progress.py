"""How far the mail of one delivery has come: who has it, who never will, how it read at first, since when some are waited for.

It is kept in the receipt, so that each try goes on where the one before it ended, and it is a recipient's own trouble that his
copy waits: the lane goes on without him when his time is up. Pure.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Self

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.model import Severity
from notifier.domain.timeline import ENDS
from notifier.sinks.email_letter import Letter
from notifier.sinks.smtp import GREYLISTED, Score

PATIENCE = 600.0
"""Seconds for which those who have a mail wait for those who were put off: what comes after it in its lane waits as long.
Greylisting is over after five minutes as a rule; a full mailbox is not, and the others must hear of a failure."""

MOST_DOUBTS = 3
"""Tries whose answer was lost, after which a mail is no longer sent."""

MOST_SILENCES = 2
"""The same where the server says nothing for as long as a send may take: it thinks for longer, and has the mail each time."""


@dataclass(frozen=True, slots=True)
class Progress:
    """What earlier tries have achieved, and what the lane's mail before this one has shown.

    Attributes:
        have: Who has accepted it, in that order.
        refused: Who was refused for good.
        since: When the first of them accepted it; None: nobody has.
        doubts: How often the answer failed to come after it was sent.
        behind: Who was given up at the mail before this one, because he was put off for too long.
        slow: Whether the mail before this one was given up because no answer came after it was sent.
    """

    have: tuple[str, ...] = ()
    refused: frozenset[str] = frozenset()
    since: datetime | None = None
    doubts: int = 0
    behind: frozenset[str] = frozenset()
    slow: bool = False

    @classmethod
    def of(cls, message: Message, last: Receipt | None) -> Self:
        """What there is in a message's progress and in the receipt of the lane's message before it."""
        fields = _fields(message.progress)
        before = _fields(last)
        return cls(
            have=tuple(fields.get("accepted", "").split()),
            refused=frozenset(fields.get("refused", "").split()),
            since=_moment(fields.get("since", "")),
            doubts=_count(fields.get("doubts", "")) or 0,
            behind=frozenset(before.get("behind", "").split()),
            slow="slow" in before,
        )


def as_begun(message: Message) -> Message:
    """The message as it was first sent: a repeat, and a copy for those who were put off, must be the same mail."""
    fields = _fields(message.progress)
    late_by, skipped = _count(fields.get("late_by", "")), _count(fields.get("skipped", ""))
    if late_by is not None and skipped is not None:
        message = replace(message, late_by=timedelta(seconds=late_by) or None, skipped=skipped)
    return replace(message, report=None) if "bare" in fields else message


def follows(message: Message, last: Receipt | None) -> Receipt | None:
    """The receipt that the mail follows: at every try the one that it followed at first, though others were sent since."""
    begun = _fields(message.progress)
    if "after" not in begun:
        return last
    return Receipt({"message-id": begun["after"], "subject": begun.get("subject", "")})


@dataclass(frozen=True, slots=True)
class Written:
    """A mail, the message that it is of, and the receipt of the mail that it follows."""

    message: Message
    letter: Letter
    last: Receipt | None

    def receipt(self, progress: Progress, reply: str = "") -> Receipt:
        """What is kept of it."""
        message = self.message
        fields = {
            "message-id": self.letter.id,
            "subject": self.letter.subject,
            "after": _fields(self.last).get("message-id", "") or "nothing",
            "accepted": " ".join(progress.have),
            "refused": " ".join(sorted(progress.refused)),
            "since": progress.since.isoformat() if progress.since else "",
            "doubts": str(progress.doubts or ""),
            "behind": " ".join(sorted(progress.behind)),
            "slow": "yes" if progress.slow else "",
            "reply": reply,
            "late_by": str(int((message.late_by or timedelta()).total_seconds())),
            "skipped": str(message.skipped),
            # A report that could not be made, or was refused, must not come along at the next try.
            "bare": "yes" if message.report is None and message.event.kind in ENDS else "",
        }
        return Receipt({name: value for name, value in fields.items() if value})


def judged(score: Score, written: Written, before: Progress, now: datetime) -> Receipt:
    """What the score of a try makes of the delivery.

    Raises:
        DeliveryError: Somebody does not have the mail; its receipt says who does.
    """
    have = before.have + score.accepted
    never = before.refused | set(score.refused)
    since = before.since or (now if have else None)
    # What comes after a mail at which somebody was given up does not wait for him again: each would wait its time, one by one.
    known = set(score.later) <= before.behind
    if score.later and (since is None or (not known and now - since < timedelta(seconds=PATIENCE))):
        # Those who were refused are not asked again while the others wait.
        progress = replace(before, have=have, refused=never, since=since)
        receipt = written.receipt(progress, score.reply) if have or never else None
        words = _listed("not accepted yet", score.later, have)
        raise DeliveryError(Outcome.RETRY, DeliveryReason.SERVER, words, retry_after=GREYLISTED, receipt=receipt)
    said = score.later | score.refused | dict.fromkeys(sorted(never - set(score.refused)), "before")
    if not have:
        # Not one address is good: that is the sink's trouble, and nothing is given up for it.
        raise DeliveryError(Outcome.REJECTED, DeliveryReason.MISSING, _listed("refused", said, have), scope=Scope.SINK)
    # The refusals are left out: whoever sends it again has mended the addresses, or has found the mailboxes emptied.
    receipt = written.receipt(Progress(have, behind=frozenset(score.later)), score.reply)
    if score.later:
        raise DeliveryError(Outcome.REJECTED, DeliveryReason.SERVER, _listed("put off and given up", said, have), receipt=receipt)
    if never:
        raise DeliveryError(Outcome.REJECTED, DeliveryReason.MISSING, _listed("refused", said, have), receipt=receipt)
    return receipt


def doubted(error: DeliveryError, written: Written, before: Progress) -> DeliveryError:
    """What follows where the answer was lost after the mail was sent: the error itself, or the end of it.

    It would be sent again for days while all that comes after it in the lane waits, so there is an end to it. After a mail at
    which the server was too slow, the first silence ends the next; what is grave is sent twice all the same.
    """
    doubts = before.doubts + 1
    silent = error.reason is DeliveryReason.TIMEOUT
    most = MOST_SILENCES if silent else MOST_DOUBTS
    if silent and before.slow and written.message.event.severity < Severity.ERROR:
        most = 1
    if doubts < most:
        error.receipt = written.receipt(replace(before, doubts=doubts, slow=False))
        return error
    tries = f", {doubts} times" if doubts > 1 else ""
    words = f"{error.detail}{tries}: it may well have arrived, and is not sent again"
    receipt = written.receipt(replace(before, refused=frozenset(), since=None, doubts=0, slow=silent))
    return DeliveryError(Outcome.REJECTED, error.reason, words, receipt=receipt)


def _fields(receipt: Receipt | None) -> Mapping[str, str]:
    return receipt.fields if receipt else {}


def _count(text: str) -> int | None:
    return int(text) if text.isdecimal() and text.isascii() else None


def _moment(text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _listed(what: str, said: Mapping[str, str], have: tuple[str, ...]) -> str:
    shown = [f"{spec} ({words})" for spec, words in list(said.items())[:3]]
    more = f" and {len(said) - len(shown)} more" if len(said) > len(shown) else ""
    return f"{what} for {', '.join(shown)}{more}; {len(have)} of the recipients have it"
