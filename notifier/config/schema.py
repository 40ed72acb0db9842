"""The configuration as JSON Schema (2020-12), for editors."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from notifier.config.settings import FileSettings, SinkOptions


def json_schema(sinks: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The schema of the whole file, with the sink types given.

    Numbers and booleans may also be text, since ``${NAME}`` may stand for them.
    """
    schema = FileSettings.model_json_schema(ref_template="#/$defs/{model}")
    definitions = schema.setdefault("$defs", {})
    choices = []
    for name, settings in sorted(sinks.items()):
        own = settings.model_json_schema(ref_template="#/$defs/{model}")
        shared = SinkOptions.model_json_schema(ref_template="#/$defs/{model}")
        for part in (own, shared):
            definitions.update(part.pop("$defs", {}))
        properties = {**shared["properties"], **own.get("properties", {}), "type": {"const": name}}
        properties["delivery"] = {"$ref": "#/$defs/DeliverySettings"}
        required = ["type", *own.get("required", [])]
        definitions[f"sink {name}"] = {
            "type": "object",
            "properties": properties,
            "required": required,
            "additionalProperties": False,
        }
        choices.append({"$ref": f"#/$defs/sink {name}"})
    others = {
        "type": "object",
        "properties": {
            "type": {"type": "string", "pattern": r"\.", "description": "A dotted module name: somebody else's sink."}
        },
        "required": ["type"],
    }
    schema["properties"]["sinks"] = {"type": "object", "additionalProperties": {"anyOf": [*choices, others]}}
    schema["properties"]["http"] = {"anyOf": [{"$ref": "#/$defs/HttpSettings"}, {"enum": ["off", None]}]}
    loose: dict[str, Any] = _loose(schema)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "notifier", **loose}


def _loose(part: Any) -> Any:
    """The same schema, where a placeholder may stand wherever a number or a boolean does."""
    if isinstance(part, list):
        return [_loose(item) for item in part]
    if not isinstance(part, dict):
        return part
    loose = {key: _loose(value) for key, value in part.items()}
    if part.get("type") in ("number", "integer", "boolean"):
        return {"anyOf": [loose, {"type": "string", "pattern": r"\$\{"}]}
    return loose
