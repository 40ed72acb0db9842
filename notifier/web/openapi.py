"""The OpenAPI 3.1 document, generated from the operations and their models."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from notifier import __version__
from notifier.web.operations import Operation
from notifier.web.problems import Problem

REFERENCE = "#/components/schemas/{model}"

DESCRIPTION = (
    "Clusters under watch, their tasks, the events that happened, and what became of each delivery. "
    "With `http.token` every request needs a token, as a bearer token or as the password of Basic authentication; "
    "`http.read_token` may read and change nothing. Without a token the API answers on loopback only."
)

_BOTH = (400, 401, 403, 429, 500, 503)
REFUSALS = {"GET": _BOTH, "POST": (*_BOTH, 408, 413, 415)}
WORDS = {
    400: "The question or the wish cannot be read; `detail` says why.",
    401: "A token is needed, or it is wrong.",
    403: "The token may read only; or another site's page asked; or, without a token, the host is not loopback.",
    404: "There is no such thing.",
    408: "The body did not arrive in time.",
    413: "The body is larger than 64 KiB.",
    415: "The body is not application/json.",
    429: "Too many wrong tokens came from this address; `Retry-After` says when to come back.",
    500: "A fault of the notifier.",
    503: "The store does not answer.",
}

_Mode = Literal["validation", "serialization"]


def document(operations: Sequence[Operation[Any]]) -> dict[str, Any]:
    """All operations as OpenAPI 3.1."""
    wanted: list[tuple[type[BaseModel], _Mode]] = [(Problem, "serialization")]
    for operation in operations:
        wanted += [(operation.ask, "validation"), (operation.answer, "serialization")]
    references, schemas = models_json_schema(list(dict.fromkeys(wanted)), ref_template=REFERENCE)
    definitions: dict[str, Any] = schemas.get("$defs", {})
    paths: dict[str, dict[str, Any]] = {}
    for operation in operations:
        described = _described(operation, references, definitions)
        paths.setdefault(operation.path, {})[operation.method.lower()] = described
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "notifier",
            "version": __version__,
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"basic": []}, {}],
        "paths": paths,
        "components": {
            # Questions are spelled out as parameters, so nothing refers to them.
            "schemas": {name: definitions[name] for name in sorted(_used(paths, definitions))},
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}, "basic": {"type": "http", "scheme": "basic"}},
        },
    }


def _described(
    operation: Operation[Any],
    references: Mapping[tuple[Any, _Mode], Mapping[str, Any]],
    definitions: Mapping[str, Any],
) -> dict[str, Any]:
    answer = {
        "description": "The answer.",
        "content": {"application/json": {"schema": references[operation.answer, "serialization"]}},
    }
    refusals = [*REFUSALS[operation.method], *([404] if operation.places else [])]
    responses: dict[str, Any] = {"200": answer}
    if operation.method == "GET":
        answer["headers"] = {"ETag": {"description": "Of this answer.", "schema": {"type": "string"}}}
        responses["304"] = {"description": "Nothing has changed since the answer that `If-None-Match` names."}
    wrong = {"application/problem+json": {"schema": references[Problem, "serialization"]}}
    for status in sorted(refusals):
        responses[str(status)] = {"description": f"{HTTPStatus(status).phrase}. {WORDS[status]}", "content": wrong}
    described: dict[str, Any] = {"operationId": operation.name, "summary": operation.words, "responses": responses}
    if operation.method == "GET":
        described["parameters"] = [*_parameters(operation, definitions[operation.ask.__name__]), _IF_NONE_MATCH]
    else:
        schema = references[operation.ask, "validation"]
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return described


def _used(part: Any, definitions: Mapping[str, Any]) -> frozenset[str]:
    """The definitions that something refers to, and what those refer to."""
    found: set[str] = set()
    parts = [part]
    while parts:
        part = parts.pop()
        if isinstance(part, list):
            parts += part
        elif isinstance(part, dict):
            name = str(part.get("$ref", "")).removeprefix(REFERENCE.format(model=""))
            if name in definitions and name not in found:
                found.add(name)
                parts.append(definitions[name])
            parts += part.values()
    return frozenset(found)


_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "The `ETag` of an answer that is at hand: nothing comes back if it is still true.",
    "schema": {"type": "string"},
}


def _parameters(operation: Operation[Any], schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    found = []
    for name, field in schema.get("properties", {}).items():
        within = name in operation.places
        kind = {key: value for key, value in field.items() if key not in {"description", "title"}}
        # A parameter that is left out is not null: that is a body's word.
        alternatives = [each for each in kind.pop("anyOf", []) if each != {"type": "null"}]
        kind = {**kind, **alternatives[0]} if alternatives else kind
        if kind.get("default", "") is None:
            del kind["default"]
        parameter = {"name": name, "in": "path" if within else "query", "required": within, "schema": kind}
        found.append({**parameter, "description": field["description"]} if "description" in field else parameter)
    return found
