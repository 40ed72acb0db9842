"""The page of silences: what nobody hears of at the moment, who said so, and how one is added and ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from notifier.domain.model import Kind
from notifier.domain.routing import ANYTHING
from notifier.domain.silences import Silence
from notifier.store.transaction import Transaction
from notifier.web.marks import Badge, Moment, moment
from notifier.web.questions import MOST, AboutSilences

HOLDS, WILL, OVER = Badge("warn", "‖", "holds"), Badge("calm", "…", "will hold"), Badge("calm", "○", "over")
LENGTHS = (("30m", "half an hour"), ("1h", "an hour"), ("2h", "2 hours"), ("8h", "8 hours"), ("1d", "a day"), ("7d", "a week"))


@dataclass(frozen=True, slots=True)
class SilenceLine:
    """A silence: what it stops, until when, who said so."""

    id: str
    badge: Badge
    over: bool
    what: str
    starts: Moment
    ends: Moment
    author: str
    reason: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What the store says."""

    silences: Sequence[Silence]
    names: Sequence[str]


def look(transaction: Transaction, question: AboutSilences, now: datetime) -> Seen:
    """Ask the store."""
    return Seen(transaction.silences(now.timestamp(), over=question.all == "true")[-MOST:], transaction.cluster_names())


def view(seen: Seen, question: AboutSilences, now: datetime) -> dict[str, object]:
    """What the template shows."""
    lines = [_line(silence, now) for silence in seen.silences]
    return {
        "silences": sorted(lines, key=lambda line: line.over),
        "all": question.all == "true",
        "names": seen.names,
        "lengths": LENGTHS,
        "kinds": ["task.*", "node.*", "stage.*", "cluster.*", *(kind.value for kind in Kind)],
    }


def _line(silence: Silence, now: datetime) -> SilenceLine:
    over = silence.ends_at <= now
    return SilenceLine(
        id=silence.id,
        badge=OVER if over else HOLDS if silence.active(now) else WILL,
        over=over,
        what=what(silence),
        starts=moment(silence.starts_at, now),
        ends=moment(silence.ends_at, now),
        author=silence.author,
        reason=silence.reason,
    )


def what(silence: Silence) -> str:
    """What a silence stops, in words."""
    matcher = silence.matcher
    globs = (("", matcher.kind), ("cluster ", matcher.cluster), ("project ", matcher.project), ("action ", matcher.action))
    parts = [f"{name}{' or '.join(found)}" for name, found in globs if found != ANYTHING]
    parts += [f"{name}={'|'.join(found)}" for name, found in matcher.labels.items()]
    lowest, highest = matcher.severity.lowest.word, matcher.severity.highest.word
    parts += [f"severity {lowest} to {highest}"] if (lowest, highest) != ("debug", "critical") else []
    parts += [f"task {silence.task}"] if silence.task else []
    return f"{'reminders of ' if silence.reminders_only else ''}{', '.join(parts) or 'everything'}"
