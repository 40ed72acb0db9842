"""What differs between two recorded answers, field by field, for a person who asks why there is an event."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from notifier.sources.redaction import NODE_LISTS
from notifier.sources.wire import text

LONGEST = 160
"""Of a value, in characters."""

MOST = 200
"""Differences; what is beyond says nothing any more."""

STAGES = "currentNodeDetail"


@dataclass(frozen=True, slots=True)
class Difference:
    """One field that differs: of what, which, and both values as the API spells them; None where it is not there."""

    of: str
    field: str
    before: str | None
    after: str | None

    @property
    def words(self) -> str:
        """The same in a line."""
        return f"{self.of}: {self.field}: {_shown(self.before)} -> {_shown(self.after)}"


def differences(earlier: Sequence[Any], later: Sequence[Any]) -> list[Difference]:
    """What differs between the pages of two answers, task by task and stage by stage."""
    found = []
    before, after = _tasks(earlier), _tasks(later)
    for number, difference in enumerate(_differing(before, after)):
        if number >= MOST:
            break
        found.append(difference)
    return found


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[Difference]:
    for task in dict.fromkeys((*before, *after)):
        name = f"task {text(task)}"
        if task not in before or task not in after:
            there = after.get(task) or before.get(task) or {}
            status = text(str(there.get("status")))
            yield Difference(name, "listed", *((None, status) if task not in before else (status, None)))
            continue
        old, new = before[task], after[task]
        yield from _fields(name, old, new)
        was, now = _stages(old), _stages(new)
        node = text(str(new.get("currentNodeName") or old.get("currentNodeName") or ""))
        for stage in dict.fromkeys((*was, *now)):
            of = f"{name}, stage {stage[0]} {stage[1]}".rstrip() + (f" of {node}" if node else "")
            yield from _fields(of, was.get(stage, {}), now.get(stage, {}))


def _fields(of: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for field in dict.fromkeys((*old, *new)):
        if field != STAGES and old.get(field) != new.get(field):
            before, after = old.get(field), new.get(field)
            if field in NODE_LISTS and field != "currentNodeName":
                before, after = _less(before, after), _less(after, before)
            yield Difference(of, text(field), _value(before), _value(after))


def _less(names: Any, others: Any) -> str:
    """The nodes of one list that are not in the other: lists of nodes are long."""
    apart = set(str(others or "").split(","))
    return ",".join(name for name in str(names or "").split(",") if name not in apart)


def _tasks(pages: Sequence[Any]) -> dict[str, Mapping[str, Any]]:
    items = [item for page in pages if isinstance(page, Mapping) for item in page.get("detailList") or ()]
    return {str(item["id"]): item for item in items if isinstance(item, Mapping) and item.get("id")}


def _stages(task: Mapping[str, Any]) -> dict[tuple[str, str], Mapping[str, Any]]:
    stages = task.get(STAGES) or ()
    return {
        (text(str(stage.get("order", "?"))), text(str(stage.get("name") or ""))): stage
        for stage in stages
        if isinstance(stage, Mapping)
    }


def _value(value: Any) -> str | None:
    if value is None or value == "":
        return None
    return text(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), LONGEST)


def _shown(value: str | None) -> str:
    return "nothing" if value is None else value
