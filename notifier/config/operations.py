"""The settings of those who run it: discovery of clusters, the heartbeat, metrics, traces."""

from collections.abc import Mapping
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, WithJsonSchema

from notifier.config.fields import Endpoint, Globs, Lasting, Name
from notifier.config.part import Part
from notifier.config.refusals import refused
from notifier.domain.discovery import Wanted
from notifier.domain.routing import ANYTHING


class DiscoverSettings(Part):
    """Which of the clusters that a project lists are watched, besides those that the file names.

    Attributes:
        every: Seconds between two looks at the list.
        name: What their names may be; ``*`` and ``?`` may stand for anything.
        tags: Which tags they must have, each with one of several values.
    """

    every: Annotated[float, Lasting()] = 600.0
    name: Globs = ANYTHING
    tags: Mapping[Name, Globs] = Field(default_factory=dict)

    @property
    def wanted(self) -> Wanted:
        """The same, in the domain's words."""
        return Wanted(self.name, dict(self.tags))


def _url(secret: SecretStr) -> SecretStr:
    remedy = "write it as https://hc-ping.com/…"
    text = secret.get_secret_value()
    try:
        url = urlsplit(text)
        sound = bool(url.hostname) and url.port != 0
    except ValueError:
        raise refused("not a URL", remedy) from None
    if url.scheme not in {"http", "https"} or not sound or not text.isprintable() or " " in text:
        raise refused("must be an HTTP URL", remedy)
    return secret


class HeartbeatSettings(Part):
    """Whom to tell that all is well, so that somebody hears of it when nobody says so any more.

    Attributes:
        url: Of a dead man's switch; it is a secret, since whoever has it can pretend.
        every: Seconds between two pings.
        method: How it is asked.
    """

    url: Annotated[SecretStr, AfterValidator(_url), WithJsonSchema({"type": "string", "pattern": "^https?://"})]
    every: Annotated[float, Lasting()] = 60.0
    method: Literal["GET", "POST"] = "GET"


class MetricsSettings(Part):
    """What of the metrics is a choice. ``clusters``: how many clusters at the most have a series of their own; 0 for none."""

    clusters: Annotated[int, Field(ge=0, le=500, strict=True)] = 0


class TracingSettings(Part):
    """Where traces go: an OpenTelemetry collector that speaks OTLP over HTTP. Needs the extra ``otel``."""

    endpoint: Endpoint
