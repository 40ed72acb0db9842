"""What lasts, what ends it, and that nothing is opened behind its end."""

from dataclasses import replace

import pytest

from notifier.domain.conditions import ENDS, OPENS, Condition, Heard
from notifier.domain.model import Kind
from notifier.domain.samples import sample


def test_every_condition_that_is_opened_is_ended_by_something() -> None:
    assert set(OPENS.values()) == set(Condition) == {condition for ends in ENDS.values() for condition in ends}


@pytest.mark.parametrize("kind", Kind)
def test_a_sink_that_has_heard_nothing_takes_everything_as_it_comes(kind: Kind) -> None:
    event = sample(kind).event
    assert (Heard().opened(event), Heard().ended(event)) == (OPENS.get(kind), ENDS.get(kind, ()))


def test_what_was_heard_is_remembered_as_text_and_nonsense_is_nothing() -> None:
    succeeded = sample(Kind.TASK_SUCCEEDED).event
    heard = Heard.read("nonsense,=,failure=x,stall=3").after(succeeded)
    assert heard.text == f"failure={succeeded.sequence},stall={succeeded.sequence}"
    assert Heard.read(heard.text) == heard
    assert Heard.read("") == Heard()


def test_what_ended_later_than_an_event_is_not_opened_by_it() -> None:
    failed, succeeded = sample(Kind.TASK_FAILED).event, sample(Kind.TASK_SUCCEEDED).event
    heard = Heard().after(succeeded)
    assert heard.opened(failed) is None
    assert heard.opened(replace(failed, sequence=succeeded.sequence + 1)) is Condition.FAILURE
    assert heard.after(replace(succeeded, sequence=1)) == heard


def test_what_has_begun_anew_is_not_ended_by_an_older_event() -> None:
    stalled, resumed = sample(Kind.TASK_STALLED).event, sample(Kind.TASK_RESUMED).event
    heard = Heard().after(replace(stalled, sequence=resumed.sequence + 3))
    assert heard.ended(resumed) == ()
    assert heard.ended(replace(resumed, sequence=resumed.sequence + 4)) == (Condition.STALL,)


def test_the_same_event_may_be_told_again() -> None:
    failed = sample(Kind.TASK_FAILED).event
    heard = Heard().after(failed)
    assert (heard.opened(failed), heard.ended(failed)) == (Condition.FAILURE, (Condition.STALL,))
