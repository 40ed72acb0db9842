"""What a configuration may say of time: from when on something stalls, until when work should be over, who is reminded when."""

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from notifier.config.fields import Clock, Duration, SinkNames, Zone
from notifier.config.part import Part
from notifier.config.refusals import refused
from notifier.domain.routing import Escalation
from notifier.domain.stall import FACTOR, StallRule
from notifier.domain.timekeeping import Limits
from notifier.domain.window import Weekly, Window

DAYS: tuple["Day", ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise refused("must be a number")
    return value


def unless_off(value: object) -> object:
    """None for what is switched off."""
    return None if value is False or value == "off" else value


class StallSettings(Part):
    """From when on no progress is a stall.

    Attributes:
        floor: Nothing shorter is a stall.
        factor: So many times as long as its like took.
        unknown: How long, where nothing is known of its like; data migration may take four times as long.
    """

    floor: Duration = 900.0
    factor: Annotated[float, BeforeValidator(_number), Field(ge=1.2, le=100, allow_inf_nan=False)] = FACTOR
    unknown: Duration = 2700.0

    @property
    def rule(self) -> StallRule:
        """The same, in the domain's words."""
        return StallRule(self.floor, self.factor, self.unknown)


def _moment(value: object) -> object:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None:
        raise refused("not a moment", 'write it as "2026-03-01T06:00+08:00"')
    return found


Moment = Annotated[
    datetime, BeforeValidator(_moment), WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d"})
]


class WindowSettings(Part):
    """When work on a cluster should be over: at one moment (``ends``), or at the end of weekly hours.

    Attributes:
        ends: The moment; in ``zone`` unless it says its own.
        days: On which the hours begin; every day unless given.
        start: ``from``.
        end: ``to``; not after ``from`` means the next day.
        zone: Whose clock; UTC unless given.
        warn: How long before the end it is told of.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    ends: Moment | None = None
    days: tuple[Day, ...] = DAYS
    start: Clock | None = Field(None, alias="from")
    end: Clock | None = Field(None, alias="to")
    zone: Zone | None = None
    warn: Duration = 3600.0

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        weekly = (self.start is not None) + (self.end is not None)
        if self.ends is not None and (weekly or "days" in self.model_fields_set):
            raise refused("a window ends at one moment or has weekly hours", "give ends, or from and to")
        if self.ends is None and weekly != 2:  # noqa: PLR2004 - both
            raise refused("a window needs its end", "give ends, or from and to")
        return self

    def window(self) -> Window:
        """The same, in the domain's words."""
        warn, zone = timedelta(seconds=self.warn), self.zone or UTC
        if self.ends is not None:
            return Window(ends=_in(self.ends, zone), warn=warn)
        if self.start is None or self.end is None:
            raise AssertionError("validated above")
        days = frozenset(DAYS.index(day) for day in self.days)
        return Window(weekly=Weekly(days, self.start, self.end, zone), warn=warn)


def _in(moment: datetime, zone: tzinfo) -> datetime:
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


class TimedCluster(Part):
    """What a cluster's entry may say of time.

    Attributes:
        stall: From when on no progress is a stall; None: stalls are not told.
        window: Its change window.
    """

    stall: Annotated[StallSettings | None, BeforeValidator(unless_off)] = StallSettings()
    window: WindowSettings | None = None

    def limits(self, patience: float) -> Limits:
        """The same, in the domain's words; ``patience``: see there."""
        rule = None if self.stall is None else self.stall.rule
        return Limits(rule, None if self.window is None else self.window.window(), patience)


class EscalateSettings(Part):
    """Who else hears of a condition that lasts, and after how long."""

    after: Duration
    to: SinkNames

    @property
    def escalation(self) -> Escalation:
        """The same, in the domain's words."""
        return Escalation(self.after, self.to)
