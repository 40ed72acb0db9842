"""What may be asked by GET: the parts of an address as a model each, from which the OpenAPI document has its parameters."""

from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    WithJsonSchema,
)

from notifier.domain.model import Action, Severity
from notifier.store.rows import State

PARTS = 4
"""Of the place of a task."""

DIGITS = 18
"""Of a position at the most: both databases hold it."""

MOST = 200
"""Rows of one answer, whatever ``limit`` asks for, and ids of one wish."""

SEVERITIES = {severity.word: severity for severity in Severity}


def _text(value: str) -> str:
    # Neither a NUL nor half a surrogate can be asked of a database.
    if any(character == "\0" or "\ud800" <= character <= "\udfff" for character in value):
        raise ValueError("holds what is no text")
    return value


def _whole(value: object) -> object:
    if isinstance(value, str) and not (value.isascii() and value.isdecimal() and len(value) <= DIGITS):
        raise ValueError(f"must be a whole number from 0, not {value[:40]!r}")
    return value


def _known(value: object) -> object:
    if value not in SEVERITIES:
        raise ValueError(f"must be one of {', '.join(SEVERITIES)}, not {str(value)[:40]!r}")
    return SEVERITIES[str(value)]


def _place(value: str) -> str:
    if len([part for part in value.split("/", PARTS - 1) if part]) < PARTS:
        raise ValueError("is no `next` of an answer")
    return value


def _bounded(limit: int) -> int:
    return min(max(limit, 1), MOST)


Text = Annotated[str, Field(max_length=200, json_schema_extra={"pattern": "^[^\\u0000]*$"}), AfterValidator(_text)]
Whole = Annotated[int, Field(ge=0, lt=10**DIGITS), BeforeValidator(_whole)]
Limit = Annotated[
    Whole, AfterValidator(_bounded), Field(description=f"How many rows: at least 1 and at most {MOST}, whatever is asked for.")
]
Place = Annotated[
    Text,
    Field(json_schema_extra={"pattern": "^[^/\\u0000]+/[^/\\u0000]+/[^/\\u0000]+/[^\\u0000]+$"}),
    AfterValidator(_place),
]
"""Where a task stands: its project, its cluster, its action, its id."""

LowestSeverity = Annotated[
    Severity,
    BeforeValidator(_known),
    PlainSerializer(lambda severity: severity.word),
    WithJsonSchema({"type": "string", "enum": list(SEVERITIES)}),
]


class Question(BaseModel):
    """The parts of an address that mean something; others are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class Nothing(Question):
    """No parameters."""


class AboutClusters(Question):
    """Which clusters."""

    after: Text = Field("", description="`next` of the page before.")
    limit: Limit = MOST


class AboutCluster(Question):
    """Which cluster."""

    id: Text = Field(description="The cluster's id.")


class AboutTasks(Question):
    """Which tasks."""

    cluster: Text | None = Field(None, description="Only of the cluster with this id.")
    action: Action | None = Field(None, description="Only of this action.")
    status: Text | None = Field(None, description="Only with this status, as the API spells it: RUNNING, SUCCESS, FAILED …")
    after: Place | None = Field(None, description="`next` of the page before.")
    limit: Limit = 50


class AboutTask(Question):
    """Which task, and which of its events."""

    cluster: Text = Field(description="The cluster's id.")
    action: Action
    id: Text = Field(description="The task's id.")
    after: Whole = Field(0, description="Only events whose `sequence` is higher.")
    limit: Limit = MOST


class AboutEvents(Question):
    """Which events."""

    cluster: Text | None = Field(None, description="Only of the cluster with this name or id.")
    kind: Text | None = Field(None, description="Only of this kind; * stands for anything.")
    severity: LowestSeverity = Field(Severity.DEBUG, description="Only of this severity and above.")
    after: Whole = Field(0, description="Only events behind this position, the first of them: how to follow.")
    before: Whole | None = Field(None, description="Only events before this position, the last of them: how to page back.")
    limit: Limit = 50


class AboutDeliveries(Question):
    """Which deliveries."""

    sink: Text | None = Field(None, description="Only to this sink.")
    state: State | None = Field(None, description="Only in this state.")
    before: Text | None = Field(None, description="`before` of the page after: only what stands before it.")
    limit: Limit = 50


class AboutEvent(Question):
    """Which event."""

    id: Text = Field(description="The event's id.")


class AboutReport(Question):
    """Which tasks' reports."""

    id: Text = Field(description="A task's id or its beginning, or a cluster's name or id for its newest task.")


class AboutSilences(Question):
    """Which silences."""

    all: Literal["true", "false"] = Field("false", description="Those that are over as well.")


def complaint(error: ValidationError) -> str:
    """What is wrong with a question, in one line."""
    fault = error.errors(include_url=False, include_input=False)[0]
    name, kind, context = fault["loc"][0], fault["type"], fault.get("ctx", {})
    if kind == "value_error":
        return f"{name} {context['error']}."
    if kind in {"enum", "literal_error"}:
        expected = str(context["expected"]).replace("'", "").replace(" or ", ", ")
        return f"{name} must be one of {expected}."
    return f"{name}: {fault['msg']}."
