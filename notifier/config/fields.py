"""The kinds of value that a configuration is made of: durations, names, secrets, patterns, ranges of severities."""

import re
from dataclasses import dataclass
from datetime import time, tzinfo
from difflib import get_close_matches
from enum import StrEnum
from fnmatch import fnmatchcase
from typing import Annotated, Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BeforeValidator, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, SecretStr, WithJsonSchema
from pydantic_core import CoreSchema, core_schema

from notifier.config.refusals import refused
from notifier.domain.duration import DURATION, seconds, spelled
from notifier.domain.model import Action, Kind, Severity
from notifier.domain.routing import SeverityRange

YEAR = 365 * 86400.0

SINK_NAME = "[a-z0-9_-]{1,40}"
_SEVERITY = re.compile(r"\s*(>=|<=|)\s*(\w+)\s*|\s*(\w+)\s*\.\.\s*(\w+)\s*")


@dataclass(frozen=True, slots=True)
class Lasting:
    """Marks a number of seconds that is written as a duration, within limits."""

    least: float = 0.1
    most: float = YEAR

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        write = core_schema.plain_serializer_function_ser_schema(spelled, when_used="json")
        return core_schema.no_info_plain_validator_function(self._read, serialization=write)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {"type": "string", "pattern": f"^{DURATION}$", "examples": ["15s", "1h30m"]}

    def _read(self, value: object) -> float:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise refused("a duration needs a unit", f"write {value:g}s")
        found = seconds(value) if isinstance(value, str) else None
        if found is None:
            raise refused("not a duration", "write it as 100ms, 15s, 5m, 2h, 3d or 1h30m")
        if not self.least <= found <= self.most:
            raise refused(f"must be from {spelled(self.least)} to {spelled(self.most)}")
        return found


Duration = Annotated[float, Lasting()]
SendTimeout = Annotated[float, Lasting(most=12.0)]


@dataclass(frozen=True, slots=True)
class Shape:
    """Marks a text that must have a shape; ``words`` say which, after "must be"."""

    pattern: str
    words: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self._read, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}

    def _read(self, value: str | SecretStr) -> str | SecretStr:
        text = value.get_secret_value() if isinstance(value, SecretStr) else value
        if re.fullmatch(self.pattern, text) is None:
            raise refused(f"must be {self.words}")
        return value


Name = Annotated[str, Shape(r"[^\x00-\x1f\x7f]{1,100}", "a text of 1 to 100 characters on one line")]
Id = Annotated[str, Shape(r"[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, - and _")]
Region = Annotated[str, Shape(r"[a-z0-9]+(?:-[a-z0-9]+)+", "a region such as cn-north-4")]
LabelName = Annotated[str, Shape(r"[A-Za-z0-9_./-]{1,63}", "1 to 63 letters, digits, _, ., / and -")]
LabelValue = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]})]
SinkName = Annotated[str, Shape(SINK_NAME, "1 to 40 of a-z, 0-9, _ and -")]
Secret = Annotated[SecretStr, Shape(r"[!-~]+", "printable ASCII without spaces, and not empty")]
"""It goes into a header, where a line break that crept into a file would end it."""

Token = Annotated[SecretStr, Shape(r"[!-~]{16,}", "16 or more characters of printable ASCII without spaces")]


def _number(value: object) -> object:
    if isinstance(value, bool):
        raise refused("must be a number")
    return value


Rate = Annotated[float, BeforeValidator(_number), Field(gt=0, le=10_000, allow_inf_nan=False)]
Count = Annotated[int, BeforeValidator(_number), Field(ge=1, le=64)]


def _listed(value: object) -> object:
    return value if isinstance(value, list | tuple) else [value]


_ONE_OR_MORE = (BeforeValidator(_listed, json_schema_input_type=str | list[str]), Field(min_length=1))
Globs = Annotated[tuple[Name, ...], _ONE_OR_MORE[0], _ONE_OR_MORE[1]]
SinkNames = Annotated[tuple[str, ...], _ONE_OR_MORE[0], _ONE_OR_MORE[1]]


@dataclass(frozen=True, slots=True)
class _MatchesOne:
    """Refuses a pattern that matches none of a fixed set of words."""

    words: type[StrEnum]
    what: str

    def __call__(self, glob: str) -> str:
        if any(fnmatchcase(word, glob) for word in self.words):
            return glob
        close = get_close_matches(glob, list(self.words), n=1)
        remedy = f"did you mean '{close[0]}'?" if close else f"there is {', '.join(self.words)}"
        raise refused(f"no {self.what} is called that", remedy)


Kinds = Annotated[
    tuple[Annotated[str, AfterValidator(_MatchesOne(Kind, "kind of event"))], ...], _ONE_OR_MORE[0], _ONE_OR_MORE[1]
]
Actions = Annotated[tuple[Annotated[str, AfterValidator(_MatchesOne(Action, "action"))], ...], _ONE_OR_MORE[0], _ONE_OR_MORE[1]]


def _severities(value: object) -> SeverityRange:
    words = [severity.word for severity in Severity]
    if isinstance(value, list):
        raise refused("severities are a range, not a list", "write one as warning..critical, or add a route")
    match = _SEVERITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise refused("not a severity", f"write one of {', '.join(words)}, or >=info, <=error, info..error")
    sign, one, lowest, highest = match.groups()
    if one is not None:
        lowest = one if sign != "<=" else words[0]
        highest = one if sign != ">=" else words[-1]
    for word in (lowest, highest):
        if word not in words:
            close = get_close_matches(word.lower(), words, n=1)
            raise refused("not a severity", f"did you mean {close[0]!r}?" if close else f"there is {', '.join(words)}")
    found = SeverityRange(Severity[lowest.upper()], Severity[highest.upper()])
    if found.lowest > found.highest:
        raise refused("no severity is in this range", f"write {highest}..{lowest}")
    return found


Severities = Annotated[
    SeverityRange,
    BeforeValidator(_severities),
    WithJsonSchema({"type": "string", "pattern": _SEVERITY.pattern.replace(r"\s*", " *").join(("^(?:", ")$"))}),
]


def _endpoint(value: str) -> str:
    remedy = "write it as https://css.cn-north-4.myhuaweicloud.com"
    try:
        url = urlsplit(value)
        plain = bool(url.hostname) and url.port != 0 and not (url.username or url.password or url.query or url.fragment)
    except ValueError:
        raise refused("not a URL", remedy) from None
    if url.scheme not in {"http", "https"} or not plain or re.search(r"[^!-~]", value):
        raise refused("must be an HTTP URL without user, query and fragment", remedy)
    return value.rstrip("/")


Endpoint = Annotated[str, AfterValidator(_endpoint), Field(json_schema_extra={"pattern": "^https?://"})]


def _clock(value: object) -> object:
    match = re.fullmatch(r"([01]?\d|2[0-3]):([0-5]\d)", value) if isinstance(value, str) else None
    if match is None:
        raise refused("not a time of day", 'write it as "22:00"')
    return time(int(match[1]), int(match[2]))


Clock = Annotated[time, BeforeValidator(_clock), WithJsonSchema({"type": "string", "pattern": r"^([01]?\d|2[0-3]):[0-5]\d$"})]


_PLACES = {
    "BEIJING": "Asia/Shanghai",
    "BST": "Europe/London",
    "CDT": "America/Chicago",
    "CEST": "Europe/Berlin",
    "CST": "Asia/Shanghai or America/Chicago",
    "EDT": "America/New_York",
    "HKT": "Asia/Hong_Kong",
    "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo",
    "KST": "Asia/Seoul",
    "MSK": "Europe/Moscow",
    "PDT": "America/Los_Angeles",
    "PST": "America/Los_Angeles",
    "SGT": "Asia/Singapore",
}
"""What is meant by names that people use and the database of zones does not know."""


def _meant(zone: str) -> str:
    """The zone that is probably meant, or an empty text.

    One abbreviation is never like another, and ``Etc/GMT+8``, which ``GMT+8`` is like, lies on the other side of the earth.
    """
    if place := _PLACES.get(zone.rpartition("/")[2].upper()):
        return place
    if re.fullmatch(r"[A-Z]{1,5}|.*\d.*", zone, re.DOTALL):
        return ""
    return next(iter(get_close_matches(zone, available_timezones(), n=1)), "")


def _zone(value: object) -> object:
    try:
        return ZoneInfo(str(value))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        meant = _meant(str(value))
        raise refused(
            "no such time zone", f"did you mean {meant}?" if meant else "write a place, such as Asia/Shanghai"
        ) from None


Zone = Annotated[tzinfo, BeforeValidator(_zone), WithJsonSchema({"type": "string", "examples": ["Asia/Shanghai", "UTC"]})]


def _store(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    scheme, separator, rest = text.partition("://")
    if scheme in {"postgres", "postgresql+psycopg"} and separator:
        raise refused("the store's URL has an unknown scheme", "write postgresql://user@host/database")
    try:
        known = (scheme == "sqlite" and rest.startswith("/") and len(rest) > 1) or (
            # Several hosts may be named, each with a port of its own.
            scheme == "postgresql"
            and len(rest) > 1
            and all(urlsplit(f"//{host}").port != 0 for host in urlsplit(text).netloc.rpartition("@")[2].split(","))
        )
    except ValueError:
        known = False
    if not known:
        raise refused("not the URL of a store", "write sqlite:///notifier.db or postgresql://user@host/database")
    return secret


StoreUrl = Annotated[
    SecretStr, AfterValidator(_store), WithJsonSchema({"type": "string", "pattern": "^(?:sqlite:///.|postgresql://.)"})
]


def redacted(url: str) -> str:
    """The store's URL for people: without password, and without what stands behind a ``?``."""
    scheme, _, rest = url.partition("://")
    rest, question, _ = rest.partition("?")
    login, at, host = rest.rpartition("@")
    user, colon, _ = login.partition(":")
    return f"{scheme}://{user}{':***' if colon else ''}{at}{host}{'?***' if question else ''}"
