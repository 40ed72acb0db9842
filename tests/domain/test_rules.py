"""Every kind of event has its rule in words."""

from dataclasses import replace

import pytest

from notifier.domain.model import Kind
from notifier.domain.rules import CATCH_UP, INFERRED, RULES, rule
from notifier.domain.samples import sample


@pytest.mark.parametrize("kind", list(Kind), ids=str)
def test_each_kind_of_event_has_its_rule(kind: Kind) -> None:
    assert kind.value in RULES


def test_an_event_that_nobody_saw_says_so() -> None:
    event = sample(Kind.NODE_COMPLETED).event
    assert rule(event) == "the node was listed in completedNodes"
    assert rule(replace(event, observed=False)).startswith(INFERRED)
    assert rule(replace(event, catch_up=True)) == CATCH_UP
