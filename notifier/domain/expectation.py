"""How long a kind of span should take for a task: by its own finished ones, by the cluster's and the fleet's history, or a prior.

Lengths are log-normal by nature: never negative, now and then much longer, as if multiplied by many small causes. So everything
is counted in logs here. Each source narrows what the one before it says, by as much as it is worth: Huawei's formula, then
what other clusters took, what this cluster took before, what this task took so far. Medians stand for means, so that one
hung stage does not spoil what is known of the others.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import NamedTuple

from notifier.domain.course import NODE, PAUSE, Course, key, sort_of, stage_kind
from notifier.domain.model import Stage

SHORTEST = 1.0
"""Seconds: what is shorter counts as this, so that it has a logarithm."""

WITHIN = 0.3
"""How much a span varies from node to node of one task (sigma of the logarithm), until more is known."""

NODE_SPREAD = 0.31
"""How much a whole node is slower or faster than its like."""

BETWEEN_TASKS = 0.12
"""How much it varies from one task of a cluster to the next."""

UNKNOWN = 0.8
"""How far a prior may be off: samples of the field go from 5 minutes a node to 25."""

NODE_SECONDS = 15 * 60 * 1.25
"""Huawei's formula: 15 minutes a node, 20 to 30 per cent on top (its guide on upgrading the version of a cluster)."""

PAUSE_SECONDS = 5.0
"""Between two stages nothing runs for 4 to 5 seconds, in the one published sample."""

FORMULA: Mapping[str, float] = {
    "Data migration": 360.0,
    "Node brought offline": 180.0,
    "Node creation": 110.0,
    "Connectivity test": 35.0,
}
"""Seconds of the stages whose names and lengths are public; the others share what is left of a node."""

LEAST_LEFT = 20.0
"""Seconds that each of the others has at the least."""

FEW = 3
"""From so many samples on, a history is called known."""

DATA = 0
"""The order of the data migration. Its length is the amount of data, so it says nothing about the other stages."""

DATA_KIND = f"{DATA}/"

APART = frozenset({NODE, PAUSE})
"""Kinds that say nothing about a task's pace which its stages do not say better."""

LEAST_DRIFT = 0.15
"""Clusters differ at least so much (sigma of the logarithm)."""

ENOUGH = 12
"""More samples than these make nothing surer."""

OF_A_CLUSTER = 1_000
OF_THE_FLEET = 3_000
"""The newest spans that a history is made of; one node leaves some fifteen."""

OF_A_KIND = 40
"""And the newest of one kind."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Lengths of one kind: how many, and the median and spread of their logarithms."""

    count: int
    middle: float
    spread: float


@dataclass(frozen=True, slots=True)
class History:
    """What other tasks took, by kind of span: earlier ones of the same cluster, and those of all clusters; of the same action."""

    cluster: Mapping[str, Sample] = field(default_factory=dict)
    fleet: Mapping[str, Sample] = field(default_factory=dict)


NOTHING = History()


def sample(seconds: Iterable[float]) -> Sample:
    """Sum up lengths, at least one. The spread is robust: of the inner half, so that a hung stage does not widen it."""
    logs = [math.log(max(each, SHORTEST)) for each in seconds]
    middle = middle_of(logs)
    return Sample(len(logs), middle, 1.4826 * middle_of([abs(each - middle) for each in logs]))


def samples(lengths: Iterable[tuple[str, float]]) -> Mapping[str, Sample]:
    """Sum up lengths by what they are filed under, the newest first: the newest `OF_A_KIND` of each count."""
    found: dict[str, list[float]] = {}
    for filed, seconds in lengths:
        kept = found.setdefault(filed, [])
        if len(kept) < OF_A_KIND:
            kept.append(seconds)
    return {filed: sample(each) for filed, each in found.items()}


def middle_of(numbers: Sequence[float]) -> float:
    """The median. ``statistics.median`` takes several times as long."""
    ordered, half = sorted(numbers), len(numbers) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


class Expected(NamedTuple):
    """A length to come, in logarithms.

    Attributes:
        filed: Of which kind, see `course.key`.
        middle: Its median.
        drift: How far that may be off, for all spans of this kind that are still to come.
        spread: How much one of them varies around it.
        known: How many lengths it rests on; 0 for a prior.
        basis: Where they come from.
        mean: Seconds, on average.
    """

    filed: str
    middle: float
    drift: float
    spread: float
    known: int
    basis: str
    mean: float

    @property
    def sigma(self) -> float:
        """Of the next one, all told."""
        return math.hypot(self.drift, self.spread)

    def quantile(self, deviations: float) -> float:
        """Seconds that are not exceeded, so many standard deviations above the median."""
        return math.exp(self.middle + deviations * self.sigma)


class _Prior(NamedTuple):
    """A length to come as long as the task's own do not count, see `Expected`."""

    middle: float
    drift: float
    known: int
    basis: str


# All clusters of a fleet have the same stages, and a task asks for each of them at every change.
@lru_cache(maxsize=4096)
def _prior(seconds: float, fleet: Sample | None, cluster: Sample | None) -> _Prior:
    """What a length that takes ``seconds`` by the formula took elsewhere, and here before."""
    middle, drift = math.log(seconds), UNKNOWN
    known, basis = 0, "Huawei's formula"
    if fleet is not None:
        share = fleet.count / (fleet.count + 2)
        middle += share * (fleet.middle - middle)
        drift = math.sqrt((1 - share) * drift**2 + share * max(fleet.spread**2 - WITHIN**2, LEAST_DRIFT**2))
        known, basis = fleet.count, "the history of other clusters"
    if cluster is not None:
        share = drift**2 / (drift**2 + (WITHIN**2 + BETWEEN_TASKS**2) / min(cluster.count, ENOUGH))
        middle += share * (cluster.middle - middle)
        drift = math.sqrt((1 - share) * drift**2 + BETWEEN_TASKS**2)
        known, basis = cluster.count, "this cluster's history"
    return _Prior(middle, drift, known, basis)


@lru_cache(maxsize=4096)
def _typical(lengths: tuple[float, ...]) -> float:
    """The logarithm of the median; of a task's many lengths, one poll changes two."""
    return math.log(max(middle_of(lengths), SHORTEST))


def formula(stages: Sequence[Stage]) -> Mapping[str, float]:
    """Seconds of each kind of span by Huawei's formula, if a node goes through these stages."""
    named = [stage for stage in stages if stage.name in FORMULA]
    left = NODE_SECONDS - sum(FORMULA[stage.name] for stage in named) - PAUSE_SECONDS * len(stages)
    each = max(left / max(len(stages) - len(named), 1), LEAST_LEFT)
    return {NODE: NODE_SECONDS, PAUSE: PAUSE_SECONDS} | {stage_kind(stage): FORMULA.get(stage.name, each) for stage in stages}


class Outlook:
    """What is to be expected of one task. Asked many times for one moment, so it remembers what it has worked out."""

    def __init__(self, course: Course, history: History, stages: Sequence[Stage]) -> None:
        self._own = course.spans
        self._history = history
        self._formula = formula(stages)
        self._kinds = [stage_kind(stage) for stage in stages]
        self._found: dict[str, Expected] = {}
        self._rounds: dict[str, list[Expected]] = {}

    def stages(self, node: str) -> Sequence[Expected]:
        """The lengths of the stages on a node, in the order in which the answer lists them."""
        sort = sort_of(node)
        found = self._rounds.get(sort)
        if found is None:
            found = self._rounds[sort] = [self.of(node, kind) for kind in self._kinds]
        return found

    def of(self, node: str | None, kind: str) -> Expected:
        """The length of a kind of span on a node."""
        filed = key(node, kind)
        found = self._found.get(filed)
        if found is None:
            found = self._found[filed] = self._narrowed(filed, kind)
        return found

    def _before(self, filed: str, kind: str) -> _Prior:
        return _prior(self._formula.get(kind, LEAST_LEFT), self._history.fleet.get(filed), self._history.cluster.get(filed))

    @cached_property
    def _pace(self) -> tuple[float, float]:
        """How much slower this task is than expected, over all kinds but data migration, and the variance of that."""
        offs, doubts, nodes = [], 0.0, 1
        for filed, lengths in self._own.items():
            kind = filed.partition(":")[2]
            if kind not in APART and not kind.startswith(DATA_KIND):
                expected = self._before(filed, kind)
                offs.append(_typical(lengths) - expected.middle)
                doubts += expected.drift**2
                nodes = max(nodes, len(lengths))
        if not offs:
            return 0.0, 0.0
        # Half of what a prior is off by is common to all stages: a bigger or a busier cluster. Against that, one node is not all.
        common = doubts / len(offs) / 2
        weight = common / (common + NODE_SPREAD**2 / nodes + WITHIN**2 / (nodes * len(offs)))
        return weight * middle_of(offs), (1 - weight) * common

    def _narrowed(self, filed: str, kind: str) -> Expected:
        middle, drift, known, basis = self._before(filed, kind)
        if kind != PAUSE and not kind.startswith(DATA_KIND):
            pace, doubt = self._pace
            if doubt:
                middle += pace
                drift = math.sqrt(drift**2 / 2 + doubt)
        if own := self._own.get(filed):
            share = drift**2 / (drift**2 + (WITHIN**2 + NODE_SPREAD**2) / len(own))
            middle += share * (_typical(own) - middle)
            drift *= math.sqrt(1 - share)
            known += len(own)
            basis = "this task's own"
        return Expected(filed, middle, drift, WITHIN, known, basis, math.exp(middle + (drift**2 + WITHIN**2) / 2))
