"""What is wrong with fallbacks: names that do not exist, and chains that lead back to where they began."""

from difflib import get_close_matches

from notifier.config.document import Document
from notifier.config.masking import may_show
from notifier.config.problems import Path
from notifier.config.tree import ScalarNode, entries


def check_fallbacks(document: Document) -> None:
    """Every fallback must be another sink, and none may come to stand in for itself."""
    sinks = entries(document.at(("sinks",)))
    given = {name: entries(sink).get("fallback") for name, sink in sinks.items()}
    # As with every other key that may be left out, null is the same as none.
    named = {name: node for name, node in given.items() if isinstance(node, ScalarNode) and node.value is not None}
    onward = {name: str(node.value) for name, node in named.items()}
    for name, node in named.items():
        path: Path = ("sinks", name, "fallback")
        if onward[name] not in sinks:
            close = [] if node.interpolated else get_close_matches(node.text, list(sinks), n=1)
            shown = repr(node.text) if may_show(path, node) else "of that name"
            document.problem(path, f"there is no sink {shown}", f"did you mean {close[0]!r}?" if close else "name one of sinks")
        elif name in _chain(onward, name):
            document.problem(path, "leads back to this very sink", "let the last of the chain have no fallback")


def _chain(onward: dict[str, str], name: str) -> list[str]:
    """The sinks that are reached from one, in order, each once."""
    found: list[str] = []
    while (name := onward.get(name, "")) and name not in found:
        found.append(name)
    return found
