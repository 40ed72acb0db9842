"""Takes out of an answer what a recording must not hold: secrets always, names where that is wished.

An answer of ``upgrade/detail`` holds no credentials by its documentation; but failure messages are prose of other systems, and a
recording is made to be passed on.
"""

import hmac
import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any

from notifier.domain.model import Cluster

SECRETS = re.compile(
    r"""(?i:\b(?:authorization|x-auth-token|x-security-token|signature|secret\w*|password|passwd|token)["']?\s*[=:]\s*["']?\S+)"""
    r"""|(?i:\baccess=\S+|\bbearer\s+\S+)|\b[A-Z0-9]{20}\b|\b[A-Za-z0-9]{40}\b|[A-Za-z0-9+/_=-]{60,}"""
    r"""|(?i:\b(?:https?|amqp|postgres\w*)://[^\s/@]+@)"""
)
"""What looks like a secret: a key with its value, an AK (20), an SK (40), a token, a password in an address."""

NODE_LISTS = ("totalNodes", "completedNodes", "currentBatchNodes", "currentNodeName")
ADDRESS = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{1,4}\b")
HIDDEN = "***"
PROSE = frozenset({"failMessage", "desc", "message", "detail"})

Json = Any


class Redaction:
    """One way to redact; the same name is the same pseudonym as long as it lives, and cannot be turned back.

    Args:
        names: Whether the names and ids of clusters, nodes, projects and tasks are replaced.
        key: What the pseudonyms are made with; it is kept nowhere.
    """

    def __init__(self, *, names: bool, key: bytes) -> None:
        self.names = names
        self._key = key
        self._known: dict[str, str] = {}
        self.hidden = 0
        """How often something was taken out that looks like a secret."""

    def cluster(self, cluster: Cluster) -> Cluster:
        """What a recording says of a cluster. Labels are names that people gave."""
        if not self.names:
            return cluster
        return Cluster(
            id=self._name("cluster", cluster.id),
            name=self._name("cluster", cluster.name),
            region=cluster.region,
            project=self._name("project", cluster.project),
            project_id=self._name("project", cluster.project_id),
        )

    def body(self, body: Json) -> Json:
        """What a recording says of an answer, as JSON-able data."""
        if self.names:
            for name in _nodes(body):
                self._name("node", name)
        return self._walk(body)

    def text(self, text: str) -> str:
        """What a recording says of prose, such as the reason why a poll failed."""
        text, secrets = SECRETS.subn(HIDDEN, text)
        self.hidden += secrets
        if self.names:
            text = ADDRESS.sub(lambda match: self._name("address", match[0]), self._replaced(text))
        return text

    def _walk(self, value: Json, key: str = "") -> Json:
        if isinstance(value, Mapping):
            return {name: self._walk(each, name) for name, each in value.items()}
        if isinstance(value, list):
            return [self._walk(each, key) for each in value]
        if not isinstance(value, str):
            return value
        return self._text(value, key)

    def _text(self, value: str, key: str) -> str:
        if key == "agencyName":
            return HIDDEN if value else value
        if not self.names:
            return value if key in {"id", *NODE_LISTS} else self.text(value)
        if key == "id":
            return self._name("task", value) if value else value
        if key in NODE_LISTS:
            return ",".join(self._name("node", name.strip()) if name.strip() else name for name in value.split(","))
        return self.text(value)

    def _replaced(self, text: str) -> str:
        # The longest first: one name may be the beginning of another.
        for name in sorted(self._known, key=len, reverse=True):
            if len(name) > 2 and name in text:  # noqa: PLR2004 - a name of two letters is in every word
                text = text.replace(name, self._known[name])
        return text

    def _name(self, kind: str, name: str) -> str:
        known = self._known.get(name)
        if known is None:
            known = f"{kind}-{hmac.new(self._key, name.encode(errors='replace'), sha256).hexdigest()[:8]}"
            self._known[name] = known
        return known


def _nodes(body: Json) -> Iterator[str]:
    """The names of nodes in an answer, wherever they stand."""
    if isinstance(body, Mapping):
        for key, value in body.items():
            if key in NODE_LISTS and isinstance(value, str):
                yield from filter(None, (name.strip() for name in value.split(",")))
            elif isinstance(value, Mapping | list):
                yield from _nodes(value)
    elif isinstance(body, list):
        for each in body:
            yield from _nodes(each)


Redact = Callable[[Json], Json]
