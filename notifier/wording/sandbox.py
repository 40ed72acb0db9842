"""The little language of templates, and the fence around it.

A template may name what an event says, choose between texts, and use a few filters. It may not loop, calculate, call or reach any
Python object: data are plain JSON, names are looked up in mappings only, and every part of the syntax that is not listed here is
refused. So what a template costs grows with its length and no faster. Jinja's own sandbox stands behind that, for what we have
overlooked; by itself it does not stop ``'a' * 10**8``.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, TemplateSyntaxError, nodes, pass_context
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from notifier.domain.plain_text import one_line
from notifier.domain.words import Words

LONGEST_TEMPLATE: Final = 2000
"""Characters."""

LONGEST: Final = 4096
"""Bytes of UTF-8 that a template may come to."""

LONGEST_VALUE: Final = 500
"""Characters of one value that a template is given."""

MOST_VALUES: Final = 100
"""Entries of a list that a template is given."""

LONGEST_SEPARATOR: Final = 20

_SYNTAX = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem),
    *(nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Filter, nodes.Test),
)
_TESTS = frozenset({"defined", "undefined", "none"})


class Refused(ValueError):
    """A template that may not be used, or what it came to; the text says why in one line."""


def compiled(text: str) -> Template:
    """The template, if it keeps to the language.

    Raises:
        Refused: It does not.
    """
    if len(text) > LONGEST_TEMPLATE:
        raise Refused(f"is longer than {LONGEST_TEMPLATE} characters")
    try:
        tree = _ENVIRONMENT.parse(text)
        for node in _walk(tree):
            _check(node)
        return _ENVIRONMENT.from_string(tree)
    except TemplateSyntaxError as error:
        raise Refused(f"is no template: {one_line(error.message or 'wrong syntax', 200)}") from None
    except (TemplateError, RecursionError, MemoryError, SyntaxError) as error:
        raise Refused(f"is no template: {type(error).__name__}") from None


def rendered(template: Template, data: Mapping[str, Any], words: Words) -> str:
    """What a template comes to, as one line.

    Raises:
        Refused: It names what is not there, shows what is no text, or comes to nothing or to too much.
    """
    try:
        text = template.render({**_bounded(data), _WORDS: words})
    except TemplateError as error:
        raise Refused(one_line(error.message or type(error).__name__, 200)) from None
    except Refused:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a template stumbles over, the built-in words are there
        raise Refused(f"cannot be filled in: {type(error).__name__}") from None
    line = one_line(text).strip()
    if not line:
        raise Refused("comes to nothing")
    if len(line.encode()) > LONGEST:
        raise Refused(f"comes to more than {LONGEST} bytes")
    return line


def _walk(node: nodes.Node) -> list[nodes.Node]:
    found, left = [], [node]
    while left:
        found.append(each := left.pop())
        left.extend(each.iter_child_nodes())
    return found


def _check(node: nodes.Node) -> None:
    if not isinstance(node, _SYNTAX):
        raise Refused(f"may not use {_CALLED.get(type(node), type(node).__name__.lower())}")
    if isinstance(node, nodes.Name) and (node.ctx != "load" or node.name == _WORDS):
        raise Refused("may not set names")
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        raise Refused(f"may not use the test {one_line(node.name, 30)!r}; there is {', '.join(sorted(_TESTS))}")
    if isinstance(node, nodes.Filter):
        if node.name not in _FILTERS:
            raise Refused(f"may not use the filter {one_line(node.name, 30)!r}; there is {', '.join(sorted(_FILTERS))}")
        if node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise Refused("may not give a filter named or many arguments")


_CALLED: Mapping[type[nodes.Node], str] = {
    nodes.For: "loops",
    nodes.Call: "calls",
    nodes.Mul: "*",
    nodes.Pow: "**",
    nodes.Mod: "%",
    nodes.Add: "+: write {{ a }}{{ b }}",
    nodes.Concat: "~: write {{ a }}{{ b }}",
    nodes.Assign: "set",
    nodes.Slice: "slices: write |truncate(20)",
}
"""What people call a part of the syntax."""

_WORDS = "_words"
"""The name by which filters find the language and the zone."""


class Labels(dict[str, str]):
    """Whatever a person gave a cluster: a label that is missing is nothing, and no mistake of the template."""


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return one_line(value, LONGEST_VALUE)
    if isinstance(value, Labels):
        return Labels({key: one_line(each, LONGEST_VALUE) for key, each in value.items()})
    if isinstance(value, Mapping):
        return {str(key): _bounded(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_bounded(each) for each in value[:MOST_VALUES]]
    return value


class _Environment(ImmutableSandboxedEnvironment):
    """Knows mappings and lists, and no attribute of anything else."""

    # typing.override needs Python 3.12.
    def getattr(self, obj: Any, attribute: str) -> Any:  # type: ignore[explicit-override]
        """A key of a mapping."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # type: ignore[explicit-override]
        """A key of a mapping, or an entry of a list."""
        if isinstance(obj, Labels):
            return obj.get(argument)
        if isinstance(obj, Mapping) and isinstance(argument, str) and argument in obj:
            return obj[argument]
        if isinstance(obj, list) and type(argument) is int and -len(obj) <= argument < len(obj):
            return obj[argument]
        return self.undefined(obj=obj, name=argument)


def _shown(value: Any) -> Any:
    if value is None:
        return ""
    if isinstance(value, str | bool | int | float | Undefined):
        return value
    raise Refused("shows a list or a mapping: name one of its entries, or write |join(', ')")


def _known(value: Any) -> Any:
    """The value; raises if a name in the template stands for nothing."""
    if isinstance(value, Undefined):
        str(value)  # jinja2's own error names what is missing
    return value


def _text(value: Any) -> str:
    return str(_shown(value))


def _join(value: Any, separator: Any = ", ") -> str:
    if not isinstance(_known(value), list):
        raise Refused("joins what is no list")
    if not isinstance(separator, str) or len(separator) > LONGEST_SEPARATOR:
        raise Refused(f"joins by more than {LONGEST_SEPARATOR} characters")
    return separator.join(_text(each) for each in value)


def _truncate(value: Any, length: Any = 80) -> str:
    if type(length) is not int or length < 1:
        raise Refused("truncates to no length")
    return one_line(_text(value), length)


def _percent(value: Any) -> str:
    if not isinstance(_known(value), int | float):
        raise Refused("shows as a percentage what is no number")
    return f"{value:.0%}"


def _length(value: Any) -> int:
    if not isinstance(_known(value), str | list | dict):
        raise Refused("measures what has no length")
    return len(value)


def _default(value: Any, other: Any = "") -> Any:
    return other if value is None or value == "" or isinstance(value, Undefined) else value


@pass_context
def _moment(context: Context, value: Any) -> str:
    if not isinstance(_known(value), str):
        raise Refused("shows as a moment what is none")
    words: Words = context[_WORDS]
    return words.moment(datetime.fromisoformat(value))


_FILTERS: Mapping[str, Any] = {
    "default": _default,
    "join": _join,
    "length": _length,
    "lower": lambda value: _text(value).lower(),
    "moment": _moment,
    "percent": _percent,
    "truncate": _truncate,
    "upper": lambda value: _text(value).upper(),
}

_ENVIRONMENT = _Environment(undefined=StrictUndefined, finalize=_shown, autoescape=False, cache_size=0)
_ENVIRONMENT.globals.clear()
_ENVIRONMENT.filters = dict(_FILTERS)
