"""What a template may be written with, and how much of it.

Every part of the syntax that is not listed here is refused, before anything is compiled. So is what is nested or chained deeply:
parsers descend into it, and whether a template is good must not hang on how deep the program stands when it comes to it.
"""

from collections.abc import Mapping
from typing import Final

from jinja2 import Environment, TemplateSyntaxError, nodes

from notifier.domain.plain_text import one_line

LONGEST_TEMPLATE: Final = 2000
"""Characters."""

DEEPEST: Final = 20
"""Steps from a tag to the innermost name in it: an ``if``, a filter, a dot, a bracket, an ``and`` are one each."""

WORDS: Final = "_words"
"""The name by which filters find the language and the zone."""

FILTERS: Mapping[str, int] = {
    **dict.fromkeys(("default", "join", "truncate"), 1),
    **dict.fromkeys(("length", "lower", "moment", "percent", "stage", "status", "upper"), 0),
}
"""With the most arguments that each takes."""

_SYNTAX = (
    *(nodes.Template, nodes.Output, nodes.TemplateData, nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem),
    *(nodes.If, nodes.CondExpr, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.Filter, nodes.Test),
)
_TESTS = frozenset({"defined", "undefined", "none"})

_NO_STEP = (nodes.Template, nodes.Output, nodes.Operand)
"""Parts that nobody has written."""


class Refused(ValueError):
    """A template that may not be used, or what it came to; the text says why in one line."""


def parsed(environment: Environment, text: str) -> nodes.Template:
    """The template, if it keeps to the language.

    Raises:
        Refused: It does not.
    """
    if len(text) > LONGEST_TEMPLATE:
        raise Refused(f"is longer than {LONGEST_TEMPLATE} characters")
    try:
        _check_tokens(environment, text)
        tree = environment.parse(text)
    except TemplateSyntaxError as error:
        raise Refused(f"is no template: {_plain(error.message or 'wrong syntax')}") from None
    except RecursionError:
        raise _too_deep() from None
    left: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while left:
        node, depth = left.pop()
        _check(node)
        if depth > DEEPEST:
            raise _too_deep()
        left += [(each, depth + (not isinstance(each, _NO_STEP))) for each in node.iter_child_nodes()]
    return tree


def _too_deep() -> Refused:
    return Refused(f"is nested or chained more than {DEEPEST} deep")


def _check_tokens(environment: Environment, text: str) -> None:
    """Refuse what the parser would only descend into, or stumble over in words of its own."""
    depth, before = 0, ""
    for _, kind, value in environment.lex(text):
        if kind == "operator":
            # Parentheses leave no trace in the tree, but each costs the parser a dozen frames.
            depth += (value in {"(", "[", "{"}) - (value in {")", "]", "}"})
            if depth > DEEPEST:
                raise _too_deep()
        if kind == "name" and before == "block_begin" and value not in _TAGS:
            other = f"the tag {one_line(value, 30)!r}; there is if, elif, else, endif"
            raise Refused(f"may not use {_NO_TAGS.get(value, other)}")
        if kind != "whitespace":
            before = kind


def _check(node: nodes.Node) -> None:
    if not isinstance(node, _SYNTAX):
        raise Refused(f"may not use {_CALLED.get(type(node), 'what is no part of the language')}")
    if isinstance(node, nodes.Name) and (node.ctx != "load" or node.name == WORDS):
        raise Refused(f"names {node.name!r}, which does not exist")
    if isinstance(node, nodes.Test):
        if node.name not in _TESTS:
            raise Refused(f"may not use the test {one_line(node.name, 30)!r}; there is {', '.join(sorted(_TESTS))}")
        if node.args or node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise Refused(f"may not give the test {node.name!r} an argument")
    if isinstance(node, nodes.Filter):
        if node.name not in FILTERS:
            raise Refused(f"may not use the filter {one_line(node.name, 30)!r}; there is {', '.join(sorted(FILTERS))}")
        if node.kwargs or node.dyn_args or node.dyn_kwargs:
            raise Refused("may not give a filter named or many arguments")
        if len(node.args) > FILTERS[node.name]:
            raise Refused(f"may not give the filter {node.name!r} {'a second' if FILTERS[node.name] else 'an'} argument")


_CALLED: Mapping[type[nodes.Node], str] = {
    nodes.Call: "calls",
    nodes.List: "lists",
    nodes.Tuple: "commas: write {{ a }}, {{ b }}",
    nodes.Dict: "mappings",
    nodes.Slice: "slices: write |truncate(20)",
    nodes.Add: "+: write {{ a }}{{ b }}",
    nodes.Concat: "~: write {{ a }}{{ b }}",
    nodes.Sub: "-",
    nodes.Neg: "-",
    nodes.Pos: "+",
    nodes.Mul: "*",
    nodes.Div: "/",
    nodes.FloorDiv: "//",
    nodes.Mod: "%",
    nodes.Pow: "**",
}
"""What people call a part of an expression."""

_TAGS = frozenset({"if", "elif", "else", "endif"})
_NO_TAGS: Mapping[str, str] = {
    "for": "loops",
    "filter": "filter blocks: write {{ a|upper }}",
    "print": "print: write {{ a }}",
    **{tag: tag for tag in ("set", "with", "block", "extends", "include", "import", "from", "macro", "call", "autoescape")},
}
"""Jinja's tags that are no part of the language, with what people call them."""

_SAYS: Mapping[str, str] = {
    "Encountered unknown tag": "there is no tag",
    "You probably made a nesting mistake. Jinja is expecting this tag, but currently looking for": "before it must stand",
    "Jinja was looking for the following tags:": "expected",
    "The innermost block that needs to be closed is": "still open is",
    "You cannot chain multiple tests with is": "'is' may stand but once: write 'and'",
    "Expected an expression": "expected a name or a value",
    "expected subscript expression": "expected something between [ and ]",
    "tag name expected": "expected if, elif, else or endif",
    "Missing end of comment tag": "what {# begins needs #} at its end",
    "unexpected char ": "unexpected character ",
    "Missing end of raw directive": "what {% raw %} begins needs {% endraw %} at its end",
    "expected token ": "expected ",
    "begin of print statement": "{{",
    "end of print statement": "}}",
    "begin of statement block": "{%",
    "end of statement block": "%}",
    "unexpected 'end of template'": "it ends too soon",
    "Unexpected end of template": "it ends too soon",
    "unexpected end of template": "it ends too soon",
    "end of template": "the end",
}
"""What Jinja says of a mistake, which names the parts of its own parser, and what we say, in the order of replacement."""


def _plain(message: str) -> str:
    for theirs, ours in _SAYS.items():
        message = message.replace(theirs, ours)
    return one_line(message.removesuffix(".").replace(". ", ", "), 200)
