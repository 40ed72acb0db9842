"""How long things took in what was played so far: a replay's history, which forgets what the store's forgets."""

from collections.abc import Iterable
from datetime import datetime
from itertools import islice

from notifier.domain.course import Length, key
from notifier.domain.expectation import OF_A_CLUSTER, OF_THE_FLEET, History, samples
from notifier.domain.known import TaskKey
from notifier.domain.model import Action

_Span = tuple[str, str, str, str, datetime]
"""What makes a span itself: cluster, task, node, kind, when it began."""


class Shown:
    """Spans that were finished, newest last; the same one counts once, whoever tells of it again."""

    def __init__(self) -> None:
        self._spans: dict[Action, dict[_Span, tuple[str, float]]] = {}

    def add(self, cluster: str, lengths: Iterable[tuple[TaskKey, Length]]) -> None:
        """Remember what was finished of a cluster, by its key."""
        for (action, task), length in lengths:
            span = (cluster, task, length.node, length.kind, length.began_at)
            self._spans.setdefault(action, {}).setdefault(span, (key(length.node, length.kind), length.seconds))

    def history(self, cluster: str, action: Action, running: Iterable[str]) -> History:
        """What earlier tasks of a cluster took, and those of all others. ``running``: tasks that do not count."""
        at_work = frozenset(running)
        newest = list(reversed(self._spans.get(action, {}).items()))
        own = (filed for span, filed in newest if span[0] == cluster and span[1] not in at_work)
        others = (filed for span, filed in newest if span[0] != cluster)
        return History(samples(islice(own, OF_A_CLUSTER)), samples(islice(others, OF_THE_FLEET)))
