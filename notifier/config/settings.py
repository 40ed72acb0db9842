"""The settings, key by key: what a configuration may say, and what it means where it says nothing."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, field_validator, model_validator

from notifier.domain.model import Cluster, Kind, Severity
from notifier.domain.retry import Policy
from notifier.domain.routing import ANYTHING, Globs, Matcher, Route, SeverityRange

DURATION = r"(\d+(\.\d+)?(ms|s|m|h|d))+"
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def duration(value: object) -> object:
    """``1h30m`` as seconds. A bare number is refused: nobody can tell what it counts."""
    text = str(value).strip()
    if not re.fullmatch(DURATION, text):
        raise ValueError("not a duration; write 100ms, 15s, 5m, 2h or 3d")
    return sum(float(number) * _SECONDS[unit] for number, unit in _PART.findall(text))


Duration = Annotated[float, BeforeValidator(duration, json_schema_input_type=Annotated[str, Field(pattern=f"^{DURATION}$")])]
Interval = Annotated[Duration, Field(ge=0.1)]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


OneOrMore = Annotated[tuple[str, ...], BeforeValidator(_listed, json_schema_input_type=str | list[str]), Field(min_length=1)]
Text = Annotated[str, Field(min_length=1, max_length=256)]


class Part(BaseModel):
    """A part of the file: unknown keys are errors, and errors repeat no values."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, populate_by_name=True)


class CredentialsSettings(Part):
    """Who asks: keys, a token, or where to find keys."""

    access_key: SecretStr | None = None
    secret_key: SecretStr | None = None
    security_token: SecretStr | None = None
    token: SecretStr | None = None
    origin: Literal["env", "profile", "metadata"] | None = Field(None, alias="from")
    profile_path: str | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "CredentialsSettings":
        keys = self.access_key is not None or self.secret_key is not None
        if keys + (self.token is not None) + (self.origin is not None) != 1:
            raise ValueError("give exactly one of: access_key with secret_key, token, or from: env | profile | metadata")
        if keys and (self.access_key is None or self.secret_key is None):
            raise ValueError("access_key and secret_key belong together")
        return self


class ClusterSettings(Part):
    """A cluster to watch."""

    id: Text
    name: Text | None = None
    labels: Mapping[str, str] = Field(default_factory=dict)


class ProjectSettings(Part):
    """A Huawei project: one region, one project_id, one set of credentials."""

    name: Text
    region: Text
    project_id: Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{1,64}$")]
    endpoint: Annotated[str, Field(pattern=r"^https?://[^/?#\s]+/?$")] | None = None
    credentials: CredentialsSettings
    clusters: Annotated[tuple[ClusterSettings, ...], Field(min_length=1)]

    @property
    def watched(self) -> tuple[Cluster, ...]:
        """The clusters, in the domain's words."""
        return tuple(
            Cluster(each.id, each.name or each.id, self.region, self.name, self.project_id, dict(each.labels))
            for each in self.clusters
        )


class PollSettings(Part):
    """How often to look. ``rate``: requests a second and project."""

    active: Interval = 15.0
    idle: Interval = 60.0
    timeout: Interval = 10.0
    unreachable_after: Interval = 300.0
    rate: Annotated[float, Field(gt=0, le=1000)] = 20.0


class DeliverySettings(Part):
    """How long a delivery is tried."""

    first_retry: Interval = 5.0
    max_retry: Interval = 12 * 3600.0
    give_up_after: Interval = 72 * 3600.0

    @property
    def policy(self) -> Policy:
        """The same, in the domain's words."""
        return Policy(self.first_retry, self.max_retry, self.give_up_after)


class SinkOptions(Part):
    """What can be said of any sink, whatever its type; the rest is the sink's own."""

    type: Text
    timeout: Annotated[Duration, Field(ge=0.1, le=12)] = 10.0
    rate: Annotated[float, Field(gt=0, le=1000)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=50)] | None = None
    delivery: Mapping[str, str] = Field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SinkEntry:
    """A sink of the configuration: how it is served, and its own settings, validated by its type."""

    name: str
    type: str
    settings: BaseModel
    timeout: float
    rate: float | None
    concurrency: int
    policy: Policy


class MatchSettings(Part):
    """What a route listens to."""

    kind: OneOrMore = ANYTHING
    severity: Text | None = None
    labels: Mapping[str, OneOrMore] = Field(default_factory=dict)
    cluster: OneOrMore = ANYTHING
    project: OneOrMore = ANYTHING
    action: OneOrMore = ANYTHING

    @field_validator("kind")
    @classmethod
    def _known_kind(cls, globs: Globs) -> Globs:
        from fnmatch import fnmatchcase  # noqa: PLC0415 - only here

        for glob in globs:
            if not any(fnmatchcase(kind, glob) for kind in Kind):
                raise ValueError(f"no kind of event is called that; the kinds are {', '.join(Kind)}")
        return globs

    @field_validator("severity")
    @classmethod
    def _known_severity(cls, text: str | None) -> str | None:
        severities(text)
        return text

    @property
    def matcher(self) -> Matcher:
        """The same, in the domain's words."""
        return Matcher(self.kind, severities(self.severity), dict(self.labels), self.cluster, self.project, self.action)


def severities(text: str | None) -> SeverityRange:
    """``warning``, ``>=info`` or ``<=error`` as a range."""
    if text is None:
        return SeverityRange()
    match = re.fullmatch(r"\s*(>=|<=|)\s*(\w+)\s*", text)
    if match is None or match[2].upper() not in Severity.__members__:
        raise ValueError(
            f"not a severity; write one of {', '.join(s.word for s in Severity)}, with >= or <= in front if you like"
        )
    severity = Severity[match[2].upper()]
    if match[1] == ">=":
        return SeverityRange(lowest=severity)
    return SeverityRange(highest=severity) if match[1] == "<=" else SeverityRange(severity, severity)


class RouteSettings(Part):
    """Who hears of what."""

    match: MatchSettings = MatchSettings()
    sinks: OneOrMore


class HttpSettings(Part):
    """Where the status page, the API and the metrics are."""

    listen: Annotated[str, Field(pattern=r"^.+:\d{1,5}$")] = "127.0.0.1:8080"
    token: Annotated[SecretStr, Field(min_length=16)] | None = None

    @property
    def host(self) -> str:
        """The address to listen on."""
        return self.listen.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port; 0 takes any."""
        return int(self.listen.rpartition(":")[2])

    @model_validator(mode="after")
    def _guarded(self) -> "HttpSettings":
        try:
            local = self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            local = False
        if not local and self.token is None:
            raise ValueError("others can reach this address, so a token is needed: http: {token: ${NOTIFIER_TOKEN}}")
        return self


class LogSettings(Part):
    """How the program speaks of itself."""

    format: Literal["auto", "console", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


class FileSettings(Part):
    """The whole file; ``sinks`` are validated one by one, by their types."""

    projects: Annotated[tuple[ProjectSettings, ...], Field(min_length=1)]
    poll: PollSettings = PollSettings()
    store: Annotated[SecretStr, Field(min_length=1)] = SecretStr("sqlite:///notifier.db")
    sinks: Mapping[str, Any] = Field(default_factory=lambda: {"console": {"type": "console"}})
    routes: tuple[RouteSettings, ...] | None = None
    delivery: DeliverySettings = DeliverySettings()
    http: HttpSettings | None = HttpSettings()
    log: LogSettings = LogSettings()

    @field_validator("store")
    @classmethod
    def _known_store(cls, url: SecretStr) -> SecretStr:
        if not re.match(r"sqlite:///.+|postgresql://.+", url.get_secret_value()):
            raise ValueError("write sqlite:///path/to/file.db or postgresql://user@host/database")
        return url

    @field_validator("http", mode="before")
    @classmethod
    def _off(cls, value: object) -> object:
        return None if value == "off" else value


@dataclass(frozen=True, slots=True)
class Settings:
    """What the program runs with. ``warnings`` are worth a look, and no errors."""

    projects: tuple[ProjectSettings, ...]
    poll: PollSettings
    store: str = field(repr=False)
    sinks: tuple[SinkEntry, ...]
    routes: tuple[Route, ...]
    http: HttpSettings | None
    log: LogSettings
    warnings: tuple[str, ...] = ()
