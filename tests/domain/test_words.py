"""In which words a sink speaks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from notifier.domain.model import Kind
from notifier.domain.render import summary
from notifier.domain.samples import sample
from notifier.domain.words import Words

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def test_moments_are_shown_in_the_zone_of_the_reader() -> None:
    assert Words().moment(NOON) == "2026-03-01 12:00:00 UTC"
    assert Words("zh", ZoneInfo("Asia/Shanghai")).moment(NOON) == "2026-03-01 20:00:00 CST"


def test_spans_and_summaries_are_those_of_all_sinks() -> None:
    event = sample(Kind.TASK_FAILED).event
    assert Words().span(timedelta(hours=2, minutes=5)) == "2 h 5 min"
    assert Words("zh").summary(event) == summary(event)
