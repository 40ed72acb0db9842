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
        # Parentheses leave no trace in the tree, but each costs the parser a dozen frames.
        _check_brackets(environment, text)
        tree = environment.parse(text)
    except TemplateSyntaxError as error:
        raise Refused(f"is no template: {one_line(error.message or 'wrong syntax', 200)}") from None
    except RecursionError:
        raise _too_deep() from None
    left: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while left:
        node, depth = left.pop()
        _check(environment, node)
        if depth > DEEPEST:
            raise _too_deep()
        left += [(each, depth + (not isinstance(each, _NO_STEP))) for each in node.iter_child_nodes()]
    return tree


def _too_deep() -> Refused:
    return Refused(f"is nested or chained more than {DEEPEST} deep")


def _check_brackets(environment: Environment, text: str) -> None:
    depth = 0
    for _, kind, value in environment.lex(text):
        if kind == "operator":
            depth += (value in {"(", "[", "{"}) - (value in {")", "]", "}"})
            if depth > DEEPEST:
                raise _too_deep()


def _check(environment: Environment, node: nodes.Node) -> None:
    if not isinstance(node, _SYNTAX):
        raise Refused(f"may not use {_CALLED.get(type(node), type(node).__name__.lower())}")
    if isinstance(node, nodes.Name) and (node.ctx != "load" or node.name == WORDS):
        raise Refused("may not set names")
    if isinstance(node, nodes.Test) and node.name not in _TESTS:
        raise Refused(f"may not use the test {one_line(node.name, 30)!r}; there is {', '.join(sorted(_TESTS))}")
    if isinstance(node, nodes.Filter):
        known = environment.filters
        if node.name not in known:
            raise Refused(f"may not use the filter {one_line(node.name, 30)!r}; there is {', '.join(sorted(known))}")
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
