"""The JSON Schema accepts what the loader accepts and refuses what it refuses."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from config_files import MINIMAL, TYPES, VALID
from jsonschema import Draft202012Validator

from notifier import app
from notifier.config import json_schema
from notifier.config.reading import parse
from notifier.config.tree import plain
from notifier.sinks import alertmanager, console, email, pagerduty, slack, webhook
from notifier.sinks.contract import SinkSettings

EXAMPLE = Path(__file__).parents[2] / "config" / "notifier.example.yaml"
FAKES = Draft202012Validator(json_schema(TYPES))


def errors(text: str, validator: Draft202012Validator = FAKES) -> list[str]:
    return [error.json_path for error in validator.iter_errors(plain(parse(text)[0]))]


def test_the_schema_is_one_and_says_which() -> None:
    schema = json_schema(TYPES)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("text", [VALID, MINIMAL, MINIMAL + "http: off\n", MINIMAL + "http: false\n", MINIMAL + "http:\n"])
def test_good_files_are_good(text: str) -> None:
    assert errors(text) == []


def test_the_example_is_good() -> None:
    built_in = {"console": console, "webhook": webhook, "slack": slack, "email": email, "pagerduty": pagerduty}
    built_in["alertmanager"] = alertmanager
    real = Draft202012Validator(json_schema({name: module.Settings for name, module in built_in.items()}))
    assert errors(EXAMPLE.read_text(), real) == []
    assert errors(EXAMPLE.read_text().replace("type: webhook", "type: webhok"), real) == ["$.sinks.hook"]


def test_the_example_explains_every_key() -> None:
    text = EXAMPLE.read_text()
    sinks = text.partition("\nsinks:")[2].partition("\nroutes:")[0]
    blocks = re.split(r"\n  (?:# )?(?=[a-z]+:)", sinks)
    by_type = {found[1]: block for block in blocks if (found := re.search(r"\btype: (\w+)", block))}
    schema = app.schema()
    definitions: dict[str, dict[str, Any]] = schema["$defs"]  # type: ignore[assignment]  # of a schema, `object` is all that is known
    lacking = []
    for name, definition in {"": schema, **definitions}.items():
        kind = re.fullmatch(r"notifier__sinks__(\w+)__Settings", name)
        part = by_type.get(kind[1], "") if kind else text
        keys = definition.get("properties", {})
        lacking += [f"{name or 'the file'}.{key}" for key in keys if not re.search(rf"(?<![\w-]){key}: ?", part)]
    assert lacking == []


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("poll: {actve: 1s}", "$.poll"),
        ("poll: {active: 15}", "$.poll.active"),
        ("poll: {active: soon}", "$.poll.active"),
        ("poll: {rate: fast}", "$.poll.rate"),
        ("log: {level: loud}", "$.log.level"),
        ("store: mysql://x", "$.store"),
        ("sinks: {A: {type: plain}}", "$.sinks"),
        ("sinks: {a: {type: plain, x: 1}}", "$.sinks.a"),
        ("sinks: {a: {type: fancy}}", "$.sinks.a"),
        ("routes: [{match: {severity: '>info'}, sinks: a}]", "$.routes"),
        ("logs: {}", "$"),
    ],
)
def test_bad_files_are_bad_where_they_are_bad(line: str, where: str) -> None:
    assert errors(MINIMAL + line + "\n") == [where]


@pytest.mark.parametrize(
    "line",
    [
        "poll: {active: '${X}', rate: '${X}'}",
        "poll: {active: 1h30m}",
        "log: {level: '${X:-info}'}",
        "store: '${X}'",
        "sinks: {a: {type: fancy, url: '${X}', port: '${X}', timeout: 5s, delivery: {first_retry: 1s}}}",
        "sinks: {a: {type: acme_pager.sink, anything: 1}}",
        "routes: [{match: {severity: '>=info', labels: {a: [b, c]}}, sinks: a}]",
    ],
)
def test_placeholders_and_other_spellings_are_good(line: str) -> None:
    assert errors(MINIMAL + line + "\n") == []


def properties(schema: Any) -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = []
    if isinstance(schema, dict):
        found += list(schema.get("properties", {}).items())
        for value in schema.values():
            found += properties(value)
    elif isinstance(schema, list):
        for value in schema:
            found += properties(value)
    return found


def test_defaults_are_written_as_a_configuration_writes_them() -> None:
    defaults = {name: part["default"] for name, part in properties(json_schema(TYPES)) if "default" in part}
    assert (defaults["active"], defaults["unreachable_after"], defaults["max_retry"]) == ("15s", "5m", "12h")
    assert defaults["store"] == "sqlite:///notifier.db"


def test_settings_that_no_schema_can_tell_cost_nobody_else_theirs() -> None:
    class Odd(SinkSettings):
        told: Callable[[], None] | None = None

    mixed = Draft202012Validator(json_schema({**TYPES, "odd": Odd}))
    assert errors(MINIMAL + "sinks: {a: {type: odd, any: thing}}\n", mixed) == []
    assert errors(MINIMAL + "sinks: {a: {type: plain, x: 1}}\n", mixed) == ["$.sinks.a"]
