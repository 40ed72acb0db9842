"""In which language and time zone a sink speaks to people. Titles and summaries are English as yet, whatever the language."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

from notifier.domain import render
from notifier.domain.model import Event


@dataclass(frozen=True, slots=True)
class Words:
    """A language and a time zone.

    Attributes:
        language: ``en`` or ``zh``.
        zone: In which moments are shown.
    """

    language: str = "en"
    zone: tzinfo = UTC

    def summary(self, event: Event) -> str:
        """One line for a person, without the cluster's name in front."""
        return render.summary(event)

    def moment(self, at: datetime) -> str:
        """A moment in the reader's zone, with the zone's name.

        >>> Words().moment(datetime(2026, 3, 1, 8, tzinfo=UTC))
        '2026-03-01 08:00:00 UTC'
        """
        return at.astimezone(self.zone).strftime("%Y-%m-%d %H:%M:%S %Z")

    def span(self, length: timedelta) -> str:
        """A length of time as a person says it: the two largest units."""
        return render.span(length)
