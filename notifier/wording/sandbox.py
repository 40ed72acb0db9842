"""The little language of templates, and the fence around it.

A template may name what an event says, choose between texts, and use a few filters. It may not loop, calculate, call or reach any
Python object: data are plain JSON, names are looked up in mappings only, and of syntax there is what ``syntax`` lists. So what
a template costs, to compile and to fill in, grows with its length and no faster. Jinja's own sandbox stands behind that, for what
we have overlooked; by itself it does not stop ``'a' * 10**8``.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final

from jinja2 import StrictUndefined, Template, TemplateError, pass_context
from jinja2.runtime import Context, Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment

from notifier.domain.plain_text import one_line
from notifier.domain.words import Words
from notifier.wording.syntax import LONGEST_TEMPLATE, WORDS, Refused, parsed

LONGEST: Final = 4096
"""Bytes of UTF-8 that a template may come to."""

LONGEST_VALUE: Final = 500
"""Characters of one value that a template is given."""

MOST_VALUES: Final = 100
"""Entries of a list that a template is given."""

LONGEST_SEPARATOR: Final = 20


def compiled(text: str) -> Template:
    """The template, if it keeps to the language.

    Raises:
        Refused: It does not.
    """
    try:
        return _ENVIRONMENT.from_string(parsed(_ENVIRONMENT, text))
    except (TemplateError, RecursionError, MemoryError, SyntaxError) as error:
        raise Refused(f"is no template: {type(error).__name__}") from None


def rendered(template: Template, data: Mapping[str, Any], words: Words) -> str:
    """What a template comes to, as one line.

    Raises:
        Refused: It names what is not there, shows what is no text, or comes to nothing or to too much.
    """
    try:
        text = _joined(template.generate({**_bounded(data), WORDS: words}))
    except TemplateError as error:
        raise Refused(one_line(error.message or type(error).__name__, 200)) from None
    except Refused:
        raise
    except TypeError:  # There is nothing else to do with two values.
        raise Refused("compares what cannot be compared, such as a text with a number, or with what is absent") from None
    except Exception as error:  # noqa: BLE001 - whatever a template stumbles over, the built-in words are there
        raise Refused(f"cannot be filled in: {type(error).__name__}") from None
    line = one_line(text).strip()
    if not line:
        raise Refused("comes to nothing")
    if len(line.encode()) > LONGEST:
        raise Refused(f"comes to more than {LONGEST} bytes")
    return line


def _joined(pieces: Iterable[str]) -> str:
    """All of it; raises as soon as it is too much: a long list may be named again and again."""
    found, length = [], 0
    for piece in pieces:
        found.append(piece)
        length += len(piece)
        if length > LONGEST + LONGEST_TEMPLATE:  # Blanks in the template itself do not count in the end.
            raise Refused(f"comes to more than {LONGEST} bytes")
    return "".join(found)


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


class _Absent(StrictUndefined):
    """A name that stands for nothing. To use it is an error, which is told in the words of whoever wrote the template."""

    # typing.override needs Python 3.12.
    @property
    def _undefined_message(self) -> str:  # type: ignore[explicit-override]
        name, among = self._undefined_name, self._undefined_obj
        shown = one_line(repr(name), 60)
        if among is None:
            return f"names {shown} of what is absent"
        if isinstance(among, list):
            return f"names {shown} of a list of {len(among)}"
        if not isinstance(among, Mapping):
            return f"names {shown} of what has no parts"
        close = get_close_matches(str(name), [key for key in among if key != WORDS], n=1)
        return f"names {shown}, which does not exist{f'; did you mean {close[0]!r}?' if close else ''}"


class _Names(Context):
    """Knows which names there are where one is missing."""

    def resolve_or_missing(self, key: str) -> Any:  # type: ignore[explicit-override]
        """What a name stands for."""
        return self.parent[key] if key in self.parent else _Absent(obj=self.parent, name=key)


class _Environment(ImmutableSandboxedEnvironment):
    """Knows mappings and lists, and no attribute of anything else."""

    context_class = _Names

    def getattr(self, obj: Any, attribute: str) -> Any:  # type: ignore[explicit-override]
        """A key of a mapping."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:  # type: ignore[explicit-override]
        """A key of a mapping, or an entry of a list."""
        if isinstance(obj, Undefined):
            return obj  # What is missing is the name that was written first.
        if isinstance(obj, Labels):
            return obj.get(argument) if isinstance(argument, str) else None
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
        str(value)  # The error names what is missing.
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
    try:
        return f"{value:.0%}"
    except OverflowError:
        raise Refused("shows as a percentage what is too large") from None


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
    words: Words = context[WORDS]
    try:
        return words.moment(datetime.fromisoformat(value))
    except ValueError:
        raise Refused("shows as a moment what is none") from None


@pass_context
def _stage(context: Context, value: Any) -> str:
    words: Words = context[WORDS]
    return words.stage(_text(value))


@pass_context
def _status(context: Context, value: Any) -> str:
    words: Words = context[WORDS]
    return words.status(_text(value))


_FILTERS: Mapping[str, Any] = {
    "default": _default,
    "join": _join,
    "length": _length,
    "lower": lambda value: _text(value).lower(),
    "moment": _moment,
    "percent": _percent,
    "stage": _stage,
    "status": _status,
    "truncate": _truncate,
    "upper": lambda value: _text(value).upper(),
}

# Not optimized: to fold constants, Jinja tries at each step all that are below it, and then compares what it has found.
_ENVIRONMENT = _Environment(undefined=_Absent, finalize=_shown, autoescape=False, cache_size=0, optimized=False)
_ENVIRONMENT.globals.clear()
_ENVIRONMENT.filters = dict(_FILTERS)
