"""What differs between two recorded answers, said so that a person can read it."""

from typing import Any

import pytest

from notifier.sources.comparison import LONGEST, MOST, differences


def page(*tasks: dict[str, Any] | None) -> list[Any]:
    return [{"totalSize": len(tasks), "detailList": list(tasks)}]


def stage(order: int, status: str, **facts: Any) -> dict[str, Any]:
    return {"order": order, "name": f"Step {order}", "status": status, **facts}


TASK = {
    "id": "t1",
    "status": "RUNNING",
    "completedNodes": "n1,n2",
    "currentNodeName": "n3",
    "currentNodeDetail": [stage(0, "RUNNING")],
}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({}, []),
        ({"status": "FAILED"}, ["task t1: status: RUNNING -> FAILED"]),
        ({"failMessage": "it broke"}, ["task t1: failMessage: nothing -> it broke"]),
        ({"completedNodes": "n2,n1,n3"}, ["task t1: completedNodes: nothing -> n3"]),
        ({"completedNodes": "n1"}, ["task t1: completedNodes: n2 -> nothing"]),
        ({"currentNodeName": "n4"}, ["task t1: currentNodeName: n3 -> n4"]),
        (
            {"currentNodeDetail": [stage(0, "SUCCESS", endTime="2026-03-01T02:00:00"), stage(1, "RUNNING")]},
            [
                "task t1, stage 0 Step 0 of n3: status: RUNNING -> SUCCESS",
                "task t1, stage 0 Step 0 of n3: endTime: nothing -> 2026-03-01T02:00:00",
                "task t1, stage 1 Step 1 of n3: order: nothing -> 1",
                "task t1, stage 1 Step 1 of n3: name: nothing -> Step 1",
                "task t1, stage 1 Step 1 of n3: status: nothing -> RUNNING",
            ],
        ),
        ({"batchSize": 2}, ["task t1: batchSize: nothing -> 2"]),
        ({"imageInfo": {"id": "x"}}, ['task t1: imageInfo: nothing -> {"id": "x"}']),
    ],
)
def test_a_field_that_differs_is_told_of_its_task_or_its_stage(change: dict[str, Any], said: list[str]) -> None:
    assert [each.words for each in differences(page(TASK), page(TASK | change))] == said


def test_a_task_that_comes_or_goes_is_told_with_its_status_and_the_order_says_nothing() -> None:
    other = {"id": "t2", "status": "SUCCESS"}
    assert [each.words for each in differences(page(TASK), page(other, TASK))] == ["task t2: listed: nothing -> SUCCESS"]
    assert [each.words for each in differences(page(other, TASK), page(TASK))] == ["task t2: listed: SUCCESS -> nothing"]
    assert differences(page(other, TASK), page(TASK, other)) == []


def test_tasks_of_several_pages_are_compared_as_one_list() -> None:
    other = {"id": "t2", "status": "RUNNING"}
    assert differences([*page(TASK), *page(other)], page(other, TASK)) == []


def test_what_a_terminal_could_be_played_with_is_made_harmless_and_long_text_is_cut() -> None:
    hostile = {"id": "t1", "status": "\x1b[2J", "failMessage": "x" * 5000, "new\nfield": 1}
    found = differences(page({"id": "t1"}), page(hostile))
    assert all(each.words.isprintable() for each in found)
    assert max(len(each.after or "") for each in found) == LONGEST


def test_what_is_no_answer_differs_in_nothing_and_there_is_an_end_to_differences() -> None:
    for odd in ([], [None], [{"detailList": None}], page(None), [{"detailList": ["x", {"status": "no id"}]}]):
        assert differences(odd, odd) == []
    many = {"id": "t1", "currentNodeDetail": [stage(number, "RUNNING") for number in range(MOST)] + [None]}
    assert len(differences(page({"id": "t1"}), page(many))) == MOST
