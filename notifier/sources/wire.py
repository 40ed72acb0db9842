"""The answer of ``upgrade/detail`` as it comes over the wire, and its translation into the words of the domain.

The reader is tolerant where the API is known to vary (absent, null, ``""`` and ``[]`` mean the same; lists come joined by commas;
JSON comes inside strings; times come without a zone; fields come and go with the region) and strict where a mistake would be
believed: what is no object with ``totalSize`` or ``detailList`` is unreadable, never "no tasks".

All text is made harmless here, once: no control characters, no lone surrogates, no bidi controls, bounded lengths. Sources of
facts: "D" Huawei's or Open Telekom Cloud's documentation, "C" published code and samples that met the real API.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.alias_generators import to_camel

from notifier.domain.model import STAGE_STATUSES, TASK_STATUSES, Stage, Status, Task

MAX_TASKS = 1000
MAX_OBJECTS = 40 * MAX_TASKS
"""Braces in an answer; a task has some fifteen. More are not even parsed, since that would hold up everything else."""

NAME = 256
PROSE = 4096
"""Longest names and longest descriptions, in characters."""

_MAX_INT = 2**31 - 1
_MAX_DRIFT = 32
_MILLISECONDS_FROM = 10**11
_FIRST_YEAR, _LAST_YEAR = 2000, 2199
_LONE_SURROGATE = re.compile(r"(\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_SPACES = "\\t\\n\\v\\f\\r\\x85\\u2028\\u2029"
_BIDI = "\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069"
_UNSAFE = re.compile(f"([{_SPACES}])|([{_BIDI}])|[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff]")


class UnreadableError(ValueError):
    """An answer that is not what the API promises. The text says in what way, in one harmless line."""


class Wire(BaseModel):
    """Anything that comes over the wire: what is not known of it is kept, not refused."""

    model_config = ConfigDict(extra="allow", alias_generator=to_camel, coerce_numbers_to_str=True, hide_input_in_errors=True)


class WireImage(Wire):
    """``imageInfo``: the image a cluster is upgraded to; absent in an AZ migration (D)."""

    id: Any = None
    display_name: str | None = None
    image_desc: Any = None
    datastore_type: Any = None
    datastore_version: Any = None
    priority: Any = None


class WireStage(Wire):
    """An item of ``currentNodeDetail``."""

    order: Any = None
    name: str | None = None
    status: str | None = None
    desc: str | None = None
    begin_time: Any = None
    end_time: Any = None


class Item(Wire):
    """What a page lists."""

    id: str | None = None

    @property
    def known(self) -> bool:
        """Whether it can be told from others, and asked for: it has an id, and one that is more than blanks and controls."""
        return bool(text(self.id).strip())


W = TypeVar("W", bound=Wire)
Empty = Literal[""]
Names = Annotated[str | list[str | None] | None, Field(union_mode="left_to_right")]


class WireTask(Item):
    """An item of ``detailList``. ``failMessage`` is undocumented but real (C)."""

    start_time: Any = None
    end_time: Any = None
    status: str | None = None
    agency_name: Any = None
    image_info: Annotated[WireImage | Empty | None, Field(union_mode="left_to_right")] = None
    total_nodes: Names = None
    completed_nodes: Names = None
    current_node_name: str | None = None
    execute_times: Any = None
    migrate_param: Any = None
    final_az_info_map: Any = None
    current_node_detail: Annotated[list[WireStage | None] | Empty | None, Field(union_mode="left_to_right")] = None
    batch_size: Any = None
    current_batch_nodes: Names = None
    fail_message: str | None = None


class Page(Wire):
    """One answer: a page of the list of tasks."""

    total_size: Annotated[int | Empty | None, Field(union_mode="left_to_right")] = None
    detail_list: Annotated[list[WireTask | None] | None, Field(max_length=MAX_TASKS)] = None

    @property
    def items(self) -> Iterator[WireTask]:
        """The tasks that can be told apart: not null and with an id."""
        return (item for item in self.detail_list or () if item is not None and item.known)


def read_page(body: bytes) -> Page:
    """Read an answer. The parser itself stops at 200 levels.

    Raises:
        UnreadableError: It is not what the API promises.
    """
    return read(Page, body, "total_size", "detail_list")


def read(kind: type[W], body: bytes, *either: str) -> W:
    """Read an answer of some kind, which has at least one of the fields in ``either``.

    Raises:
        UnreadableError: It is no such thing.
    """
    answer = _parsed(kind, body)
    if either and answer.model_fields_set.isdisjoint(either):
        raise UnreadableError(f"neither {' nor '.join(map(to_camel, either))} in the answer")
    return answer


def _parsed(kind: type[W], body: bytes) -> W:
    if body.count(b"{") > MAX_OBJECTS:
        raise UnreadableError(f"more than {MAX_OBJECTS} objects in the answer")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        if error.errors(include_url=False, include_context=False, include_input=False)[0]["type"] != "json_invalid":
            raise UnreadableError(_why(body, error)) from None
        return _read_mended(kind, body)


def to_task(wire: WireTask) -> Task:
    """What an item of ``detailList`` says, in the words of the domain."""
    status = text(wire.status)
    completed = names(wire.completed_nodes)
    current = text(wire.current_node_name)
    at_work = dict.fromkeys((*names(wire.current_batch_nodes), *((current,) if current else ())))
    return Task(
        id=text(wire.id),
        status=status,
        executions=_count(wire.execute_times),
        total=names(wire.total_nodes),
        completed=completed,
        in_flight=() if status == Status.SUCCESS else tuple(node for node in at_work if node not in completed),
        current_node=current or None,
        stages=tuple(to_stage(stage, index) for index, stage in enumerate(wire.current_node_detail or ()) if stage is not None),
        started_at=moment(wire.start_time),
        ended_at=moment(wire.end_time),
        target=_target(wire),
        fail_message=text(wire.fail_message, PROSE) or None,
    )


def to_stage(wire: WireStage, index: int) -> Stage:
    """A stage; one without a usable ``order`` takes its place in the list instead."""
    said = (wire.order, wire.name, wire.status, wire.desc, wire.begin_time, wire.end_time)
    if all(value is None or type(value) is int or (type(value) is str and len(value) <= NAME) for value in said):
        return _usual_stage(index, said)
    return _stage(index, said)


def _stage(index: int, said: tuple[Any, str | None, str | None, str | None, Any, Any]) -> Stage:
    order, name, status, desc, begin, end = said
    number = _count(order)
    return Stage(
        order=index if number is None else number,
        name=text(name),
        status=text(status),
        description=text(desc, PROSE),
        began_at=moment(begin),
        ended_at=moment(end),
    )


# Of the stages of an answer all but one are those of the answer before, and all clusters have the same ones to come. Only what is
# short is kept, so that no answer can fill the memory.
_usual_stage = lru_cache(maxsize=4096)(_stage)


def text(value: str | None, longest: int = NAME) -> str:
    """Text that can be stored, logged and shown: breaks become spaces, controls U+FFFD, bidi controls nothing."""
    if not value:
        return ""
    if not value.isprintable():
        value = _UNSAFE.sub(lambda match: " " if match[1] else "" if match[2] else "\ufffd", value)
    return value if len(value) <= longest else value[: longest - 1] + "…"


def names(value: str | list[str | None] | None) -> tuple[str, ...]:
    """A list of nodes or AZs: joined by commas (D), with or without spaces, or a JSON list; each name once, in order."""
    if not value:
        return ()
    parts = value.split(",") if isinstance(value, str) else value
    return tuple(dict.fromkeys(name for part in parts if part and (name := text(part.strip()))))


def moment(value: object) -> datetime | None:
    """A time in UTC. Huawei gives naive UTC (C); zones and epoch milliseconds are understood too, all else is no time."""
    if value is None or value == "":
        return None
    try:
        if isinstance(value, str) and not value.isdecimal():
            found = datetime.fromisoformat(value)
            found = found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        elif isinstance(value, str | int | float):
            number = float(value)
            found = datetime.fromtimestamp(number / 1000 if number >= _MILLISECONDS_FROM else number, UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return found if _FIRST_YEAR <= found.year <= _LAST_YEAR else None


class DriftKind(StrEnum):
    """In what way an answer is not what this program knows."""

    FIELD = "field"
    TASK_STATUS = "task_status"
    STAGE_STATUS = "stage_status"
    NO_ID = "no_id"


@dataclass(frozen=True, slots=True)
class Drift:
    """Something of the answer that this program does not know. Harmless, but somebody should hear of it."""

    kind: DriftKind
    name: str


def drift(page: Page) -> frozenset[Drift]:
    """What is new in an answer: fields, statuses, tasks without an id. At most 32, so that no answer can flood a metric."""
    found: set[Drift] = set()
    for item in _drift(page):
        found.add(item)
        if len(found) >= _MAX_DRIFT:
            break
    return frozenset(found)


def _drift(page: Page) -> Iterator[Drift]:
    yield from _unknown(page, "")
    for task in page.detail_list or ():
        if task is None:
            continue
        if not task.known:
            yield Drift(DriftKind.NO_ID, "detailList")
        if task.status and task.status not in TASK_STATUSES:
            yield Drift(DriftKind.TASK_STATUS, text(task.status, 64))
        yield from _unknown(task, "detailList.")
        if task.image_info:
            yield from _unknown(task.image_info, "detailList.imageInfo.")
        for stage in task.current_node_detail or ():
            if stage is not None:
                yield from _unknown(stage, "detailList.currentNodeDetail.")
                if stage.status and stage.status not in STAGE_STATUSES:
                    yield Drift(DriftKind.STAGE_STATUS, text(stage.status, 64))


def _unknown(model: Wire, path: str) -> Iterator[Drift]:
    return (Drift(DriftKind.FIELD, path + text(name, 64)) for name in model.model_extra or ())


def _read_mended(kind: type[W], body: bytes) -> W:
    """A second look at what a strict parser refused: lone surrogates and broken UTF-8 spoil a name, not the answer."""
    mended = _LONE_SURROGATE.sub(lambda match: match[1] or "\\ufffd", body.decode("utf-8-sig", "replace"))
    try:
        return kind.model_validate_json(mended)
    except ValidationError as error:
        raise UnreadableError(_why(body, error)) from None


def _why(body: bytes, error: ValidationError) -> str:
    start = body.lstrip()[:1]
    if not start:
        return "an empty body"
    if start == b"<":
        return "HTML or XML, not JSON"
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return text(f"{where}: {first['msg']}" if where else first["msg"], NAME)


def _count(value: object) -> int | None:
    """A number that counts something, given as a number or as text; None for anything else."""
    if isinstance(value, str):
        value = int(value) if value.strip().isdecimal() and len(value) <= len(str(_MAX_INT)) else None
    elif isinstance(value, float) and value.is_integer():
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= _MAX_INT else None


def _target(wire: WireTask) -> str | None:
    """What the task leads to: the image's name, or the AZs that the nodes end up in."""
    if wire.image_info and (image := text(wire.image_info.display_name)):
        return image
    final = _object(wire.final_az_info_map)
    zones = names([str(zone) for zone in final]) if final else ()
    if not zones:
        asked = _object(wire.migrate_param).get("targetAz")
        zones = names(asked) if isinstance(asked, str) else ()
    return text(", ".join(sorted(zones))) or None


def _object(value: object) -> dict[str, Any]:
    """An object, given as one or as JSON inside a string (D); anything else is none."""
    if isinstance(value, str) and value:
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}
