"""How a refused value is put into words: what is wrong with it and what to do, never the value itself."""

from typing import Any, Final

from pydantic_core import PydanticCustomError

REFUSED: Final = "notifier_refused"

_MAPPING = ("must be a mapping (key: value)", "leave the key out for its defaults")
_LIST = ("must be a list", "write [a, b], or one - a line")
_TEXT = ("must be a text", "put it in quotes")
_NUMBER = ("must be a number", "")
_INTEGER = ("must be a whole number", "")
_BOOLEAN = ("must be true or false", "")

_WORDS: dict[str, tuple[str, str]] = {
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
    "dict_type": _MAPPING,
    "mapping_type": _MAPPING,
    "list_type": _LIST,
    "tuple_type": _LIST,
    "string_type": _TEXT,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "int_type": _INTEGER,
    "int_parsing": _INTEGER,
    "int_from_float": _INTEGER,
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
}


def refused(what: str, remedy: str = "") -> PydanticCustomError:
    """An error for a validator to raise. Neither text may show a value that can be a secret: they are not scrubbed."""
    return PydanticCustomError(REFUSED, "{what}", {"what": what, "remedy": remedy})


def words_for(error: Any) -> tuple[str, str]:
    """What is wrong and the remedy, for one of pydantic's errors."""
    kind, message, context = error["type"], str(error["msg"]), error.get("ctx", {})
    if kind == REFUSED:
        return str(context["what"]), str(context["remedy"])
    if kind == "missing":
        return "the key is missing", ""
    if kind == "literal_error":
        return f"must be {context['expected']}", ""
    if kind == "too_short" and context.get("min_length") == 1:
        return "must not be empty", ""
    if kind in _WORDS:
        return _WORDS[kind]
    for prefix in ("Value error, ", "Assertion failed, "):
        message = message.removeprefix(prefix)
    return message.replace("Input should", "must").replace("String should", "must").replace("Value should", "must"), ""
