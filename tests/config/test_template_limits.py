"""What a template may cost: it is bounded before anything is compiled, and grows with the template's length and no faster."""

import sys
import time
from collections.abc import Callable, Iterator
from itertools import repeat
from types import SimpleNamespace
from typing import Any, cast

import pytest
from jinja2 import Template

from notifier.domain.words import Words
from notifier.wording.sandbox import LONGEST, compiled, rendered
from notifier.wording.syntax import DEEPEST, LONGEST_TEMPLATE, Refused

WHILE_NOBODY_WAITS = 0.25
"""Seconds: what a loop may stand still for at the most."""

DEEP: dict[str, Callable[[int], str]] = {
    "filters": lambda steps: "{{ title" + "|upper" * steps + " }}",
    "filters on a constant": lambda steps: "{{ 'a'" + "|upper" * steps + " }}",
    "filters in filters": lambda steps: "{{ title" + "|default(title" * steps + ")" * steps + " }}",
    "parentheses": lambda steps: "{{ " + "(" * steps + "title" + ")" * steps + " }}",
    "parentheses in a tag": lambda steps: "{% if " + "(" * steps + "title" + ")" * steps + " %}x{% endif %}",
    "ifs": lambda steps: "{%if 1%}" * steps + "x" + "{%endif%}" * steps,
    "and": lambda steps: "{{ 1" + " and title" * steps + " }}",
    "or": lambda steps: "{{ 0" + " or title" * steps + " }}",
    "not": lambda steps: "{{ " + "not " * steps + "0 }}",
    "attributes": lambda steps: "{{ cluster" + ".a" * steps + " }}",
    "subscripts": lambda steps: "{{ cluster" + "[0]" * steps + " }}",
    "subscripts in subscripts": lambda steps: "{{ cluster" + "[cluster" * steps + "]" * steps + " }}",
    "else after else": lambda steps: "{{ 1" + " if 1 else 1" * steps + " }}",
    "else before else": lambda steps: "{{ " + "(" * steps + "1" + " if 1 else 1)" * steps + " }}",
    "comparisons": lambda steps: "{{ " + "(" * steps + "1" + " == 1)" * steps + " }}",
}
NEVER: dict[str, Callable[[int], str]] = {
    "concatenation": lambda steps: "{{ title" + " ~ title" * steps + " }}",
    "sums": lambda steps: "{{ 1" + " + 1" * steps + " }}",
    "powers": lambda steps: "{{ 9" + "**9" * steps + " }}",
    "signs": lambda steps: "{{ " + "-" * steps + "1 }}",
    "calls": lambda steps: "{{ title" + "()" * steps + " }}",
    "lists": lambda steps: "{{ " + "[" * steps + "]" * steps + " }}",
    "blocks": lambda steps: "".join(f"{{%block b{number}%}}{{%endblock%}}" for number in range(steps)),
    "blocks in blocks": lambda steps: "".join(f"{{%block b{number}%}}" for number in range(steps)) + "{%endblock%}" * steps,
    "loops": lambda steps: "{%for a in b%}" * steps + "{%endfor%}" * steps,
    "tests": lambda steps: "{{ 1" + " is defined" * steps + " }}",
    "braces": lambda steps: "{" * steps,
    "comments": lambda steps: "{#" * steps,
}
WIDE: dict[str, Callable[[int], str]] = {
    "outputs": lambda steps: "{{title}}" * steps,
    "names": lambda steps: "".join(f"{{{{a{number}}}}}" for number in range(steps)),
    "ifs": lambda steps: "{%if a%}x{%endif%}" * steps,
    "elifs": lambda steps: "{%if a%}x" + "{%elif a%}x" * steps + "{%endif%}",
    "chained comparisons": lambda steps: "{{ 1" + " == 1" * steps + " }}",
    "strings": lambda steps: "{{ 'a'" + " 'a'" * steps + " }}",
    "deep filters": lambda steps: ("{{a" + "|upper" * (DEEPEST - 1) + "}}") * steps,
    "deep conditions": lambda steps: ("{{a" + " if a else a" * (DEEPEST - 2) + "}}") * steps,
    "deep alternatives": lambda steps: ("{{" + "a or " * (DEEPEST - 2) + "a}}") * steps,
}


def longest(shape: Callable[[int], str]) -> str:
    return shape(next(steps for steps in range(LONGEST_TEMPLATE, 0, -1) if len(shape(steps)) <= LONGEST_TEMPLATE))


def takes(work: Callable[[], object]) -> float:
    """Seconds of processor, the least of three times: a round of the collector that falls into one is not its own."""

    def once() -> float:
        began = time.process_time()
        work()
        return time.process_time() - began

    watching = sys.gettrace()
    sys.settrace(None)  # Whoever measures coverage makes it many times slower.
    try:
        return min(once() for _ in range(3))
    finally:
        sys.settrace(watching)


def refusal(text: str) -> str:
    def refused() -> str:
        with pytest.raises(Refused) as caught:
            compiled(text)
        return str(caught.value)

    assert takes(refused) < WHILE_NOBODY_WAITS
    return refused()


@pytest.mark.parametrize("shape", DEEP.values(), ids=DEEP)
def test_a_template_is_as_deep_as_it_may_be_and_no_deeper(shape: Callable[[int], str]) -> None:
    told = f"is nested or chained more than {DEEPEST} deep"
    steps = next(steps for steps in range(1, LONGEST_TEMPLATE) if not good(shape(steps)))
    assert DEEPEST - 2 <= steps <= DEEPEST + 1
    assert all(good(shape(fewer)) for fewer in range(1, steps))
    for text in (shape(steps), shape(60), longest(shape)):
        assert refusal(text) == told


def good(text: str) -> bool:
    try:
        compiled(text)
    except Refused:
        return False
    return True


@pytest.mark.parametrize("shape", NEVER.values(), ids=NEVER)
def test_what_is_no_part_of_the_language_costs_nothing_to_refuse(shape: Callable[[int], str]) -> None:
    for text in (shape(2), shape(30), longest(shape)):
        assert refusal(text)


@pytest.mark.parametrize("shape", WIDE.values(), ids=WIDE)
def test_the_longest_template_is_compiled_at_once(shape: Callable[[int], str]) -> None:
    text = longest(shape)
    assert takes(lambda: compiled(text)) < WHILE_NOBODY_WAITS


@pytest.mark.parametrize("shape", DEEP.values(), ids=DEEP)
def test_a_template_is_good_however_deep_the_program_stands_that_compiles_it(shape: Callable[[int], str]) -> None:
    text = shape(next(steps for steps in range(DEEPEST + 1, 0, -1) if good(shape(steps))))

    def below(frames: int) -> Template:
        return below(frames - 1) if frames else compiled(text)

    assert isinstance(below(sys.getrecursionlimit() // 4), Template)


def test_what_comes_to_too_much_is_not_filled_in_to_the_end() -> None:
    def pieces(_: Any) -> Iterator[str]:
        return repeat("x" * 100)

    endless = cast("Template", SimpleNamespace(generate=pieces))
    with pytest.raises(Refused, match=f"comes to more than {LONGEST} bytes"):
        rendered(endless, {}, Words())
