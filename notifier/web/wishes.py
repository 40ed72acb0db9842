"""What may be asked for by POST: each body as a model, strict, and silent about values when it is wrong."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Self
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from notifier.config import MatchSettings
from notifier.config.fields import Duration
from notifier.domain.plain_text import one_line
from notifier.domain.silences import Silence

MOST = 200
"""Ids of one wish, and rows of one answer, whatever ``limit`` asks for."""

LONGEST = timedelta(days=90)
"""A silence that lasts longer is forgotten by those who made it."""

Ids = Annotated[list[Annotated[str, Field(min_length=1, max_length=100)]], Field(min_length=1, max_length=MOST)]
Line = Annotated[str, Field(min_length=1, max_length=500)]


class _Wish(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class Retry(_Wish):
    """Send dead deliveries again: either ``ids``, or ``all`` with or without a ``sink``."""

    ids: Ids | None = None
    all: bool = False
    sink: str | None = None

    @model_validator(mode="after")
    def _choose(self) -> Self:
        if (self.ids is None) == (not self.all) or (self.sink is not None and not self.all):
            raise ValueError('give either {"ids": [...]} or {"all": true, "sink": name or null}')
        return self


class Expire(_Wish):
    """End silences now."""

    ids: Ids


class Silencing(_Wish):
    """Stop deliveries of what matches, from now on, for a while.

    Attributes:
        match: As a route's; empty matches everything.
        lasting: ``for``: how long, as ``2h``.
        task: Only of the task with this id.
        reminders_only: News is told all the same.
    """

    match: MatchSettings = MatchSettings()
    lasting: Duration = Field(alias="for")
    author: Line
    reason: Line
    task: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    reminders_only: bool = False

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
