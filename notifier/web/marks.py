"""How states, times and lengths look on a page. A state is always a word and a symbol, so that colour is only a help."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from notifier.domain.known import KnownTask
from notifier.domain.model import Action, Eta, Event, Status
from notifier.domain.render import ENGLISH, iso
from notifier.store.rows import SinkState, State

ACTIONS = {Action.UPGRADING: "Upgrade", Action.AZ_MIGRATION: "AZ migration"}
MINUTE = timedelta(minutes=1)
UNITS = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))
SEVERITY_SYMBOLS = {"debug": "·", "info": "•", "warning": "▲", "error": "■", "critical": "◆"}


@dataclass(frozen=True, slots=True)
class Badge:
    """A state: ``tone`` picks the colour, symbol and word say it without."""

    tone: str
    symbol: str
    word: str


NO_DATA = Badge("bad", "⚠", "No data")
VANISHED = Badge("warn", "⚠", "No longer listed")
IDLE = Badge("calm", "○", "No task yet")
TASK_BADGES = {
    Status.RUNNING: Badge("live", "▶", "Running"),
    Status.SUCCESS: Badge("good", "✓", "Succeeded"),
    Status.FAILED: Badge("bad", "✕", "Failed"),
    Status.PARTIAL_FAILED: Badge("bad", "✕", "Partly failed"),
}
DELIVERY_BADGES = {
    State.PENDING: Badge("calm", "…", "waits"),
    State.SENDING: Badge("live", "▶", "on its way"),
    State.DELIVERED: Badge("good", "✓", "delivered"),
    State.DEAD: Badge("bad", "✕", "given up"),
    State.SILENCED: Badge("calm", "‖", "silenced"),
    State.OVER: Badge("calm", "○", "over"),
}


@dataclass(frozen=True, slots=True)
class Moment:
    """A time as a page shows it: exactly, how far from now, and how long that is."""

    iso: str
    ago: str
    length: str

    @property
    def clock(self) -> str:
        """Day and time, UTC, to the second."""
        return f"{self.iso[:10]} {self.iso[11:19]}"


def moment(time: datetime, now: datetime) -> Moment:
    """A time in its largest unit, before now or after."""
    seconds = int((now - time).total_seconds())
    size, unit = next(((size, unit) for size, unit in UNITS if abs(seconds) >= size), (1, ""))
    length = f"{abs(seconds) // size} {unit}"
    ago = "just now" if not unit else f"{length} ago" if seconds > 0 else f"in {length}"
    return Moment(iso(time.replace(microsecond=0)) or "", ago, length if unit else "0 s")


@dataclass(frozen=True, slots=True)
class Outlook:
    """When a task will probably end: in words, exactly, and what the guess rests on."""

    words: str
    exact: str
    basis: str


def outlook(eta: Eta, now: datetime) -> Outlook:
    """A guess as a page shows it, to the minute: a range, or what is left of one."""
    earliest, latest = (max(round((end - now) / MINUTE), 0) * MINUTE for end in (eta.earliest, eta.latest))
    if not latest:
        words = "any moment now" if now <= eta.latest + MINUTE else f"overdue for {ENGLISH.span(now - eta.latest)}"
    elif not earliest:
        words = f"within {ENGLISH.span(latest)}"
    else:
        words = f"in {ENGLISH.span(earliest)}" if earliest == latest else f"in {ENGLISH.span(earliest)} to {ENGLISH.span(latest)}"
    return Outlook(words, f"{moment(eta.earliest, now).clock} to {moment(eta.latest, now).clock} UTC", eta.basis)


def past(time: datetime, now: datetime) -> Moment:
    """A time that has come, whatever it says: the API's clock may be ahead of ours."""
    return moment(min(time, now), now)


def task_badge(known: KnownTask) -> Badge:
    """How a task stands."""
    if known.vanished:
        return VANISHED
    return TASK_BADGES.get(known.task.status, Badge("calm", "?", known.task.status))


def sink_badge(state: SinkState) -> Badge:
    """How a sink stands."""
    if state.paused:
        return Badge("bad", "‖", "Left alone")
    return Badge("warn", "▲", "Failing") if state.failures else Badge("good", "✓", "Works")


def severity_badge(event: Event) -> Badge:
    """How much an event matters."""
    word = event.severity.word
    return Badge({"warning": "warn", "error": "bad", "critical": "bad"}.get(word, "calm"), SEVERITY_SYMBOLS[word], word)


def plural(count: int, one: str, many: str) -> str:
    """``1 cluster``, ``2 clusters``."""
    return f"{count} {one if count == 1 else many}"
