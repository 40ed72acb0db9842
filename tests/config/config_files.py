"""A valid configuration and sinks of its own, for the tests to break."""

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from notifier.config import ConfigError, Settings, load

CANARY = "CANARY-s3cr3t-0123456789abcdef"
ENVIRON = {"CANARY": CANARY, "PORT": "25", "SINK": "hook"}

VALID = """\
projects:
  - name: prod
    region: cn-north-4
    project_id: 6204a5bd270343b5885144cf9c8c158d
    credentials: {access_key: "${CANARY}", secret_key: CANARY-s3cr3t-0123456789abcdef}
    clusters:
      - {id: c-1, name: search, labels: {env: prod, version: 7.10, on: true, major: 7}}
      - {id: c-2}
poll: {active: 5s, rate: 10}
store: postgresql://bot:CANARY-s3cr3t-0123456789abcdef@db/notifier
sinks:
  out: {type: plain}
  hook:
    type: fancy
    url: https://bot:CANARY-s3cr3t-0123456789abcdef@example.com/x
    secret: "${CANARY}"
    headers: {Authorization: "Bearer CANARY-s3cr3t-0123456789abcdef"}
    port: "${PORT}"
    delivery: {first_retry: 1s}
routes:
  - {match: {kind: [task.failed, "node.*"], severity: ">=warning", labels: {env: prod}}, sinks: [hook]}
  - {sinks: out}
delivery: {first_retry: 2s, max_retry: 1h}
http: {listen: "127.0.0.1:0", token: CANARY-s3cr3t-0123456789abcdef}
log: {format: json, level: debug}
"""

MINIMAL = """\
projects:
  - name: prod
    region: cn-north-4
    project_id: abc
    credentials: {from: env}
    clusters: [{id: c-1}]
"""


class Plain(BaseModel):
    """A sink that needs nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    colour: str = "auto"


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    depth: int = 0


class Fancy(Plain):
    """A sink that has all that a sink may have, and a validator that is not as discreet as it should be."""

    default_concurrency: ClassVar[int] = 4

    url: SecretStr
    secret: SecretStr | tuple[SecretStr, ...] = ()
    headers: Mapping[str, SecretStr] = Field(default_factory=dict)
    port: int = 25
    inner: Inner | None = None
    to: tuple[str, ...] = ()

    @field_validator("url")
    @classmethod
    def _web(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value().startswith("https://"):
            raise ValueError(f"{url.get_secret_value()} is no URL")
        return url


class Machine(Plain):
    """A sink whose receiver is a program."""

    speaks: ClassVar[bool] = False


TYPES: Mapping[str, type[BaseModel]] = {"plain": Plain, "fancy": Fancy, "console": Plain, "machine": Machine}


def sink_settings(name: str) -> type[BaseModel]:
    if name not in TYPES:
        raise LookupError(f"sink type {name!r}: there is none of that name; did you mean plain?")
    return TYPES[name]


def load_text(folder: Path, text: str, environ: Mapping[str, str] = ENVIRON) -> Settings:
    path = folder / "notifier.yaml"
    path.write_text(text, "utf-8")
    path.chmod(0o600)
    return load(path, sink_settings=sink_settings, environ=environ)


def refused(folder: Path, text: str, environ: Mapping[str, str] = ENVIRON) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load_text(folder, text, environ)
    assert caught.value.problems
    assert CANARY not in str(caught.value) + repr(caught.value)
    return caught.value


def told(error: ConfigError) -> list[str]:
    """Each problem without its file and source line."""
    return [f"{each.line}:{each.column}: {each.path}: {each.what}; {each.remedy}" for each in error.problems]
