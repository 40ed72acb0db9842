"""The settings, key by key: what a configuration may say, and what it means where it says nothing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlsplit

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from notifier.config.fields import (
    Actions,
    Clock,
    Count,
    Duration,
    Endpoint,
    Globs,
    Id,
    Kinds,
    LabelName,
    LabelValue,
    Name,
    Rate,
    Region,
    Secret,
    SendTimeout,
    Severities,
    Shape,
    SinkName,
    SinkNames,
    StoreUrl,
    Zone,
    redacted,
)
from notifier.config.http import HttpSettings
from notifier.config.masking import secrets_in
from notifier.config.operations import DiscoverSettings, HeartbeatSettings, MetricsSettings, TracingSettings
from notifier.config.part import Part
from notifier.config.problems import Problem
from notifier.config.refusals import refused
from notifier.config.timing import EscalateSettings, TimedCluster
from notifier.config.wording import Wording
from notifier.domain.holding import Quiet
from notifier.domain.model import Cluster, Kind, Severity
from notifier.domain.retry import Policy
from notifier.domain.routing import ANYTHING, Matcher, Route, SeverityRange
from notifier.domain.standing import FAILING
from notifier.domain.words import Language, Slot, Words

STORE = "sqlite:///notifier.db"


class CredentialsSettings(Part):
    """Who asks: keys, a token, or where to find keys.

    Attributes:
        origin: ``from``: the environment, Huawei's profile file, or the metadata service of the server we run on.
        profile_path: The profile file, if it is not Huawei's own place for it.
    """

    access_key: Secret | None = None
    secret_key: Secret | None = None
    security_token: Secret | None = None
    token: Secret | None = None
    origin: Literal["env", "profile", "metadata"] | None = Field(None, alias="from")
    profile_path: Name | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        keys = [key is not None for key in (self.access_key, self.secret_key, self.security_token)]
        if any(keys) + (self.token is not None) + (self.origin is not None) != 1:
            raise refused(
                "must name one way to get keys", "give access_key and secret_key, or token, or from: env | profile | metadata"
            )
        if any(keys) and not all(keys[:2]):
            raise refused("access_key and secret_key belong together", "give both")
        if self.profile_path is not None and self.origin != "profile":
            raise refused("profile_path goes with from: profile only", "leave it out")
        return self


class ClusterSettings(TimedCluster):
    """A cluster to watch; its name is the id unless one is given."""

    id: Id
    name: Name | None = None
    labels: Mapping[LabelName, LabelValue] = Field(default_factory=dict)


class ProjectSettings(Part):
    """A Huawei project: one region, one project_id, one set of credentials."""

    name: Name
    region: Region
    project_id: Id
    endpoint: Endpoint | None = None
    credentials: CredentialsSettings
    clusters: Annotated[tuple[ClusterSettings, ...], Field(min_length=1)] = ()
    discover: DiscoverSettings | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.clusters and self.discover is None:
            raise refused("nothing of this project is watched", 'name clusters, or write discover: {name: "*"}')
        return self

    @property
    def watched(self) -> tuple[Cluster, ...]:
        """The clusters that are named here, in the domain's words."""
        return tuple(
            Cluster(each.id, each.name or each.id, self.region, self.name, self.project_id, dict(each.labels))
            for each in self.clusters
        )


class PollSettings(Part):
    """How often to look, in seconds. ``rate``: requests a second and project."""

    active: Duration = 15.0
    idle: Duration = 60.0
    timeout: Duration = 10.0
    unreachable_after: Duration = 300.0
    rate: Rate = 20.0

    @property
    def patience(self) -> float:
        """Seconds: four polls without a good answer are a gap in what we saw."""
        return 4 * self.active


class DeliverySettings(Part):
    """How long a delivery is tried, in seconds; what a sink does not say, the whole file's ``delivery`` says."""

    first_retry: Duration = 5.0
    max_retry: Duration = 12 * 3600.0
    give_up_after: Duration = 72 * 3600.0

    @model_validator(mode="after")
    def _growing(self) -> Self:
        if self.first_retry > self.max_retry:
            raise refused("first_retry is longer than max_retry", "waits begin with first_retry and grow to max_retry")
        return self

    @property
    def policy(self) -> Policy:
        """The same, in the domain's words."""
        return Policy(self.first_retry, self.max_retry, self.give_up_after)


class QuietSettings(Part):
    """Hours in which a sink is told only what is urgent; the rest is told when they end.

    Attributes:
        start: ``from``.
        end: ``to``.
        zone: Whose clock; the sink's own unless given.
        urgent: The lowest severity that is told all the same.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    start: Clock = Field(alias="from")
    end: Clock = Field(alias="to")
    zone: Zone | None = None
    urgent: Literal["warning", "error", "critical"] = "error"

    def quiet(self, zone: tzinfo) -> Quiet:
        """The same, in the domain's words."""
        return Quiet(self.start, self.end, self.zone or zone, Severity[self.urgent.upper()])


class SinkOptions(Part):
    """What can be said of any sink, whatever its type; the rest is the sink's own.

    Attributes:
        timeout: Seconds that one send may take.
        rate: Messages a second; None is as fast as they come.
        concurrency: Sends at once; None leaves it to the type.
        delivery: Overrides parts of the file's.
        digest: Seconds for which what is not urgent waits, to be told together.
        quiet: Hours in which only what is urgent is told.
        language: Of its words.
        zone: Of the times in them; UTC unless given.
        words: What is said instead of ours, by kind.
        stages: What stages are called, by the API's names for them.
        fallback: The sink through which it is told that this one fails.
        fallback_after: Seconds for which it may fail before that; a refusal is told at once.
        report: Whether the end of a task brings its report along, to a sink that can send files.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    type: Annotated[str, Shape(r"[A-Za-z0-9_.-]{1,100}", "the name of a sink type such as console")]
    timeout: SendTimeout = 10.0
    rate: Rate | None = None
    concurrency: Count | None = None
    delivery: DeliverySettings = DeliverySettings()
    digest: Duration | None = None
    quiet: QuietSettings | None = None
    language: Language = "en"
    zone: Zone | None = None
    words: Wording = Field(default_factory=dict)
    stages: Mapping[Name, Name] = Field(default_factory=dict)
    fallback: SinkName | None = None
    fallback_after: Duration = FAILING
    report: bool = False

    @property
    def speech(self) -> Words:
        """In which language and zone the sink speaks to people, and of which stages."""
        return Words(self.language, self.zone or UTC, called=self.stages)


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
    digest: float = 0.0
    quiet: Quiet | None = None
    words: Words = field(default_factory=Words)
    said: Mapping[Kind, Mapping[Slot, str]] = field(default_factory=dict)
    fallback: str | None = None
    fallback_after: float = FAILING
    report: bool = False


class MatchSettings(Part):
    """What a route listens to; what is not said is no condition."""

    kind: Kinds = ANYTHING
    severity: Severities | None = None
    labels: Mapping[LabelName, Globs] = Field(default_factory=dict)
    cluster: Globs = ANYTHING
    project: Globs = ANYTHING
    action: Actions = ANYTHING

    @property
    def matcher(self) -> Matcher:
        """The same, in the domain's words."""
        severity = self.severity or SeverityRange()
        return Matcher(self.kind, severity, dict(self.labels), self.cluster, self.project, self.action)


class RouteSettings(Part):
    """Who hears of what. ``repeat``: seconds after which a failure, a stall or an outage that lasts is told again, and again."""

    match: MatchSettings = MatchSettings()
    sinks: SinkNames
    repeat: Duration | None = None
    escalate: EscalateSettings | None = None

    @property
    def route(self) -> Route:
        """The same, in the domain's words."""
        escalation = None if self.escalate is None else self.escalate.escalation
        return Route(self.match.matcher, self.sinks, self.repeat, escalation)


class LogSettings(Part):
    """How the program speaks of itself."""

    format: Literal["auto", "console", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"


def _unless_off(value: object) -> object:
    return None if value is False or value == "off" else value


class FileSettings(Part):
    """The whole file; ``sinks`` are validated one by one, by their types."""

    projects: Annotated[tuple[ProjectSettings, ...], Field(min_length=1)]
    poll: PollSettings = PollSettings()
    store: StoreUrl = SecretStr(STORE)
    sinks: Annotated[Mapping[str, Any], Field(min_length=1)] = Field(default_factory=lambda: {"console": {"type": "console"}})
    routes: Annotated[tuple[RouteSettings, ...], Field(min_length=1)] | None = None
    delivery: DeliverySettings = DeliverySettings()
    http: Annotated[HttpSettings | None, BeforeValidator(_unless_off)] = HttpSettings()
    log: LogSettings = LogSettings()
    heartbeat: HeartbeatSettings | None = None
    metrics: MetricsSettings = MetricsSettings()
    tracing: TracingSettings | None = None


@dataclass(frozen=True, slots=True)
class Settings:
    """What the program runs with.

    Attributes:
        store: The URL of the database; it may hold a password, so people are shown ``store_redacted``.
        routes: At least one; without any in the file, all at info and above goes to every sink.
        http: None where it is switched off.
        warnings: Worth a look, and no errors.
    """

    projects: tuple[ProjectSettings, ...]
    poll: PollSettings
    store: str = field(repr=False)
    sinks: tuple[SinkEntry, ...]
    routes: tuple[Route, ...]
    http: HttpSettings | None
    log: LogSettings
    heartbeat: HeartbeatSettings | None = None
    metrics: MetricsSettings = field(default_factory=MetricsSettings)
    tracing: TracingSettings | None = None
    warnings: tuple[Problem, ...] = ()

    @property
    def secrets(self) -> frozenset[str]:
        """What nobody may read, in whatever words: keys, tokens, passwords, and the URLs that are as good as one."""
        parts = (self.projects, self.http, self.heartbeat, tuple(entry.settings for entry in self.sinks))
        store = urlsplit(self.store)
        passwords = (unquote(store.password or ""), *(value for name, value in parse_qsl(store.query) if name == "password"))
        return frozenset([*secrets_in(parts), *passwords]) - {""}

    @property
    def store_redacted(self) -> str:
        """The URL of the database without its password."""
        return redacted(self.store)
