"""Which keys a model knows at a place, so that an unknown one can be told what was probably meant."""

from collections.abc import Iterator, Sequence
from typing import Any, get_args

from pydantic import BaseModel


def keys_at(annotation: Any, loc: Sequence[str | int]) -> set[str]:
    """The keys that are known below ``annotation`` at the place that a validation error names.

    A step that is no field (an index, a key of a mapping, a branch of a union) stays where it is.
    """
    fields = [field for model in _models(annotation) for field in _fields(model)]
    if not loc:
        return {name for name, _ in fields}
    below = [field for name, field in fields if name == loc[0]]
    if not below:
        return keys_at(annotation, loc[1:])
    return set().union(*(keys_at(field, loc[1:]) for field in below))


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    else:
        for argument in get_args(annotation):
            yield from _models(argument)


def _fields(model: type[BaseModel]) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        yield field.alias or name, field.annotation
