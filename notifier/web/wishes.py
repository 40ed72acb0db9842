"""What may be asked for by POST: each body as a model, strict, and silent about values when it is wrong."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator, model_validator

from notifier.config import MatchSettings
from notifier.config.fields import Duration
from notifier.domain.plain_text import one_line
from notifier.domain.silences import Silence
from notifier.web.questions import MOST, Text

LONGEST = timedelta(days=90)
"""A silence that lasts longer is forgotten by those who made it."""

SAYS_SOMETHING = "[^\\s\\u0000-\\u001f\\u0080-\\u009f\\u061c\\u200e\\u200f\\u202a-\\u202e\\u2066-\\u2069]"
"""What `one_line` leaves more of than spaces."""

EITHER: JsonValue = [
    {"required": ["ids"], "properties": {"ids": {"type": "array"}, "all": {"const": False}, "sink": {"type": "null"}}},
    {"required": ["all"], "properties": {"ids": {"type": "null"}, "all": {"const": True}}},
]

PLAIN = r"^(?:[1-9]\d{0,3}m|[1-9]\d{0,2}h|(?:[1-8]?[1-9]|[1-9]0)d)$"
"""The durations that the document promises; whatever the configuration takes is taken."""

Ids = Annotated[list[Annotated[Text, Field(min_length=1, max_length=100)]], Field(min_length=1, max_length=MOST)]
Line = Annotated[str, Field(min_length=1, max_length=500, json_schema_extra={"pattern": SAYS_SOMETHING})]


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Retry(_Wish):
    """Send dead deliveries again: either ``ids``, or ``all`` with or without a ``sink``."""

    model_config = ConfigDict(json_schema_extra={"oneOf": EITHER})

    ids: Ids | None = None
    all: bool = False
    sink: Text | None = None

    @model_validator(mode="after")
    def _choose(self) -> Self:
        if (self.ids is None) == (not self.all) or (self.sink is not None and not self.all):
            raise ValueError('give either {"ids": [...]} or {"all": true, "sink": name or null}')
        return self


class Expire(_Wish):
    """End silences now."""

    ids: Ids


class Silencing(_Wish):
    """Stop deliveries of what matches, from now on, for a while."""

    match: MatchSettings = Field(MatchSettings(), description="As a route's; empty matches everything.")
    lasting: Duration = Field(alias="for", description="How long, as 2h: 90d at the most.", json_schema_extra={"pattern": PLAIN})
    author: Line = Field(description="Who silences.")
    reason: Line = Field(description="Why; people will ask.")
    task: Annotated[Text, Field(min_length=1)] | None = Field(None, description="Only of the task with this id.")
    reminders_only: bool = Field(default=False, description="An acknowledgement: news is told all the same, reminders are not.")

    @field_validator("author", "reason")
    @classmethod
    def _harmless(cls, text: str) -> str:
        if not (line := one_line(text).strip()):
            raise ValueError("must not be empty")
        return line

    @field_validator("lasting")
    @classmethod
    def _bounded(cls, seconds: float) -> float:
        if seconds > LONGEST.total_seconds():
            raise ValueError(f"must be {LONGEST.days}d at the most")
        return seconds

    def silence(self, now: datetime) -> Silence:
        """The silence that is wished for."""
        ends_at = now.astimezone(UTC) + timedelta(seconds=self.lasting)
        return Silence(str(uuid4()), self.match.matcher, now, ends_at, self.author, self.reason, self.task, self.reminders_only)


def problem_with(wish: Mapping[str, object]) -> str | None:
    """What is wrong with a wish for a silence; None if nothing is."""
    try:
        Silencing.model_validate_json(json.dumps(wish))
    except ValidationError as error:
        return said(error)
    return None


def said(error: ValidationError) -> str:
    """What is wrong with a wish, without its values."""
    faults = (".".join(str(part) for part in fault["loc"]) + ": " + fault["msg"] for fault in error.errors(include_input=False))
    return "; ".join(faults).removeprefix(": ")
