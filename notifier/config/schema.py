"""The configuration as JSON Schema (2020-12), for editors."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue, models_json_schema
from pydantic_core.core_schema import WithDefaultSchema

from notifier.config.fields import SINK_NAME
from notifier.config.settings import STORE, FileSettings, SinkOptions
from notifier.domain.duration import spelled

_PLACEHOLDER = {"type": "string", "pattern": r"\$\{.+\}"}
_NOT_TEXT = frozenset({"number", "integer", "boolean"})
_NARROW = frozenset({"pattern", "enum", "format", "minLength", "maxLength"})
_SOMEBODY_ELSES = {
    "type": "object",
    "properties": {
        "type": {"type": "string", "pattern": r"\.", "description": "A module name with a dot: somebody else's sink."}
    },
    "required": ["type"],
}


def json_schema(sink_types: Mapping[str, type[BaseModel]]) -> dict[str, Any]:
    """The schema of the whole file, with the sink types given.

    Wherever a value is narrower than any text, a placeholder may stand for it, too.
    """
    described = {name: model for name, model in sink_types.items() if _describable(model)}
    models: list[type[BaseModel]] = [FileSettings, SinkOptions, *described.values()]
    wanted: list[tuple[type[BaseModel], Literal["validation"]]] = [(model, "validation") for model in dict.fromkeys(models)]
    references, schema = models_json_schema(wanted, ref_template="#/$defs/{model}", schema_generator=_AsWritten)
    definitions: dict[str, Any] = schema["$defs"]

    def resolved(model: type[BaseModel]) -> dict[str, Any]:
        name = references[model, "validation"]["$ref"].removeprefix("#/$defs/")
        found: dict[str, Any] = definitions[name]
        return found

    whole, shared = resolved(FileSettings), resolved(SinkOptions)
    choices = [
        _sink(name, resolved(model), shared) if name in described else _undescribed(name)
        for name, model in sorted(sink_types.items())
    ]
    whole["properties"]["sinks"] = {
        "type": "object",
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{SINK_NAME}$"},
        "additionalProperties": {"oneOf": [*choices, _SOMEBODY_ELSES]},
    }
    whole["properties"]["store"]["default"] = STORE  # pydantic shows a secret as asterisks
    definitions["ClusterSettings"]["properties"]["stall"]["anyOf"].append({"enum": ["off", False]})
    whole["properties"]["http"]["anyOf"].append({"enum": ["off", False]})
    loose: dict[str, Any] = _loose({**whole, "title": "notifier", "$defs": definitions})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **loose}


class _AsWritten(GenerateJsonSchema):
    """Writes the default of a duration as a configuration does: ``15s``, not 15.0."""

    # typing.override needs Python 3.12.
    def default_schema(self, schema: WithDefaultSchema) -> JsonSchemaValue:  # type: ignore[explicit-override]
        found = super().default_schema(schema)
        if found.get("type") == "string" and isinstance(found.get("default"), float):
            found["default"] = spelled(found["default"])
        return found


def _sink(name: str, own: Mapping[str, Any], shared: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": {**own.get("properties", {}), **shared["properties"], "type": {"const": name}},
        "required": ["type", *own.get("required", [])],
        "additionalProperties": False,
    }


def _describable(model: type[BaseModel]) -> bool:
    """Whether a stranger's settings can be told in a schema; if not, that must not cost everybody else theirs."""
    try:
        model.model_json_schema()
    except Exception:  # noqa: BLE001 - its types may raise anything
        return False
    return True


def _undescribed(name: str) -> dict[str, Any]:
    return {"type": "object", "properties": {"type": {"const": name}}, "required": ["type"]}


def _loose(part: Any) -> Any:
    """The same schema, where a placeholder may stand wherever not any text may."""
    if isinstance(part, list):
        return [_loose(item) for item in part]
    if not isinstance(part, dict):
        return part
    kind = part.get("type")  # among `properties`, a key of that name: a mapping
    if isinstance(kind, str) and (kind in _NOT_TEXT or (kind == "string" and _NARROW & part.keys())):
        spoken = {key: part[key] for key in ("title", "description", "default") if key in part}
        return {"anyOf": [{key: value for key, value in part.items() if key not in spoken}, _PLACEHOLDER], **spoken}
    return {key: value if key == "propertyNames" else _loose(value) for key, value in part.items()}
