"""What people wish for when they acknowledge and mute: which events it stops, and which it never does."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from notifier.domain.holding import NEVER_MERGED
from notifier.domain.model import Kind, Severity
from notifier.domain.routing import Matcher, SeverityRange
from notifier.domain.samples import sample
from notifier.domain.silences import Silence, acknowledgement, muting, silenced_by

NOW = datetime(2026, 3, 1, tzinfo=UTC)
LATER = NOW + timedelta(minutes=59)
FAILED = sample(Kind.TASK_FAILED).event
OUTAGE = sample(Kind.CLUSTER_UNREACHABLE).event
OF_SINKS = {Kind.SINK_FAILING, Kind.SINK_RECOVERED}
ENDS = {Kind.TASK_SUCCEEDED, Kind.TASK_VANISHED, Kind.CLUSTER_RECOVERED}


def test_who_takes_care_of_something_hears_news_of_it_but_no_reminders_for_a_day() -> None:
    silence = acknowledgement(FAILED, "lin", NOW)
    assert not silence.silences(FAILED, LATER)
    assert silence.silences(FAILED, LATER, reminder=True)
    assert not silence.silences(FAILED, NOW + timedelta(days=1), reminder=True)
    assert silence.author == "lin"


@pytest.mark.parametrize("kind", sorted(set(Kind) - OF_SINKS))
def test_muted_is_what_nobody_has_to_act_upon_and_reminders_of_everything(kind: Kind) -> None:
    event = replace(sample(kind).event, task=FAILED.task, cluster=FAILED.cluster)
    mute = muting(FAILED, "lin", NOW, timedelta(hours=1))
    told_anyway = kind.severity >= Severity.ERROR or kind in ENDS
    assert (silenced_by(event, mute, LATER) is None) == told_anyway
    assert silenced_by(event, mute, LATER, reminder=True) is not None
    assert silenced_by(event, mute, NOW + timedelta(hours=1), reminder=True) is None
    of_time = {Kind.TASK_STALLED, Kind.TASK_DEADLINE_NEAR, Kind.TASK_WINDOW_ENDING}  # Who mutes a task knows that it takes long.
    if kind in NEVER_MERGED - of_time:
        assert told_anyway


def test_a_wish_is_about_one_task_of_one_cluster() -> None:
    assert FAILED.task is not None
    others = (
        replace(FAILED, task=replace(FAILED.task, id="another")),
        replace(FAILED, cluster=replace(FAILED.cluster, id="another", name="another")),
        replace(FAILED, cluster=replace(FAILED.cluster, project="another")),
        OUTAGE,
    )
    silence = acknowledgement(FAILED, "lin", NOW)
    assert silence.about(FAILED, NOW)
    for other in others:
        assert not silence.about(other, NOW)
        assert not silence.silences(other, NOW, reminder=True)


def test_about_an_outage_it_is_of_the_cluster() -> None:
    assert acknowledgement(OUTAGE, "lin", NOW).task is None
    assert silenced_by(OUTAGE, [acknowledgement(OUTAGE, "lin", NOW)], NOW, reminder=True) is not None


def test_the_same_wish_is_the_same_silence() -> None:
    wishes = [
        acknowledgement(FAILED, "lin", NOW),
        acknowledgement(replace(FAILED, kind=Kind.TASK_RETRIED), "ma", LATER),
        *muting(FAILED, "lin", NOW, timedelta(hours=1)),
        *muting(FAILED, "ma", LATER, timedelta(hours=2)),
        acknowledgement(OUTAGE, "lin", NOW),
    ]
    assert len({wish.id for wish in wishes}) == 4


def test_an_id_full_of_wildcards_means_only_itself() -> None:
    odd = replace(FAILED, cluster=replace(FAILED.cluster, id="a*[b]?", name="odd"))
    silence = acknowledgement(odd, "lin", NOW)
    assert silence.about(odd, NOW)
    assert not silence.about(replace(odd, cluster=replace(odd.cluster, id="axyz[b]q")), NOW)


def test_a_silence_concerns_a_card_whatever_was_told_last() -> None:
    matcher = Matcher(kind=("stage.*",), severity=SeverityRange(highest=Severity.INFO))
    silence = Silence("s", matcher, NOW, LATER, "ops", "planned")
    assert silence.about(FAILED, NOW)
    assert not silence.about(FAILED, LATER)
    assert not silence.silences(FAILED, NOW)


@pytest.mark.parametrize("kind", sorted(OF_SINKS))
def test_that_a_sink_fails_is_never_muted_with_a_task(kind: Kind) -> None:
    assert silenced_by(sample(kind).event, muting(FAILED, "lin", NOW, timedelta(hours=1)), LATER) is None
