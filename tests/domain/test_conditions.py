"""What lasts, what ends it, and that nothing is opened behind its end."""

from dataclasses import replace

import pytest

from notifier.domain.conditions import ENDS, OPENS, Condition, Ends, ended
from notifier.domain.model import Kind
from notifier.domain.samples import sample


def test_every_condition_that_is_opened_is_ended_by_something() -> None:
    assert set(OPENS.values()) == set(Condition) == {condition for ends in ENDS.values() for condition in ends}


@pytest.mark.parametrize("kind", Kind)
def test_only_what_is_held_is_ended(kind: Kind) -> None:
    assert ended(kind, ()) == ()
    assert ended(kind, set(Condition)) == ENDS.get(kind, ())


def test_what_has_ended_is_remembered_as_text_and_nonsense_is_nothing() -> None:
    succeeded = sample(Kind.TASK_SUCCEEDED).event
    ends = Ends.read("nonsense,=,failure=x,stall=3").after(succeeded)
    assert ends.text == f"failure={succeeded.sequence},stall={succeeded.sequence}"
    assert Ends.read(ends.text) == ends
    assert Ends.read("") == Ends()


def test_what_ended_later_than_an_event_is_not_opened_by_it() -> None:
    failed, succeeded = sample(Kind.TASK_FAILED).event, sample(Kind.TASK_SUCCEEDED).event
    ends = Ends().after(succeeded)
    assert (ends.opened(failed), Ends().opened(failed), Ends().opened(succeeded)) == (None, Condition.FAILURE, None)
    assert ends.opened(replace(failed, sequence=succeeded.sequence + 1)) is Condition.FAILURE
    assert ends.after(replace(succeeded, sequence=1)) == ends
