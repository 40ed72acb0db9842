"""How long a kind of span should take for a task: by its own finished ones, by the cluster's and the fleet's history, or a prior.

Lengths are log-normal by nature: never negative, now and then much longer, as if multiplied by many small causes. So everything
is counted in logs here. Each source narrows what the one before it says, by as much as it is worth: Huawei's formula, then
what other clusters took, then what this cluster took before, then what this task took so far. Medians stand for means, so that one
hung stage does not spoil what is known of the others.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import median

from notifier.domain.course import NODE, PAUSE, Course, key, stage_kind
from notifier.domain.model import Stage

SHORTEST = 1.0
"""Seconds: what is shorter counts as this, so that it has a logarithm."""

WITHIN = 0.3
"""How much a span varies from node to node of one task (sigma of the logarithm), until more is known."""

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
    logs = sorted(math.log(max(each, SHORTEST)) for each in seconds)
    middle = median(logs)
    deviation = median(abs(each - middle) for each in logs)
    return Sample(len(logs), middle, 1.4826 * deviation)


@dataclass(frozen=True, slots=True)
class Expected:
    """A length to come, in logarithms.

    Attributes:
        filed: Of which kind, see `course.key`.
        middle: Its median.
        drift: How far that may be off, for all spans of this kind that are still to come.
        spread: How much one of them varies around it.
        known: How many lengths it rests on; 0 for a prior.
        basis: Where they come from.
    """

    filed: str
    middle: float
    drift: float
    spread: float
    known: int
    basis: str

    @property
    def sigma(self) -> float:
        """Of the next one, all told."""
        return math.hypot(self.drift, self.spread)

    @property
    def mean(self) -> float:
        """Seconds, on average."""
        return math.exp(self.middle + self.sigma**2 / 2)

    def quantile(self, deviations: float) -> float:
        """Seconds that are not exceeded, so many standard deviations above the median."""
        return math.exp(self.middle + deviations * self.sigma)


def prior(stages: Sequence[Stage], kind: str) -> float:
    """Seconds of a kind of span by Huawei's formula, if a node goes through these stages."""
    if kind == NODE:
        return NODE_SECONDS
    if kind == PAUSE:
        return PAUSE_SECONDS
    others = [stage for stage in stages if stage.name not in FORMULA]
    for stage in stages:
        if stage_kind(stage) == kind and stage.name in FORMULA:
            return FORMULA[stage.name]
    left = NODE_SECONDS - sum(FORMULA.get(stage.name, 0.0) for stage in stages) - PAUSE_SECONDS * len(stages)
    return max(left / max(len(others), 1), LEAST_LEFT)


class Outlook:
    """What is to be expected of one task. Asked many times for one moment, so it remembers what it has worked out."""

    def __init__(self, course: Course, history: History, stages: Sequence[Stage]) -> None:
        self._course = course
        self._history = history
        self._stages = stages
        self._before: dict[str, Expected] = {}
        self._after: dict[str, Expected] = {}

    def of(self, node: str | None, kind: str) -> Expected:
        """The length of a kind of span on a node."""
        filed = key(node, kind)
        if filed not in self._after:
            self._after[filed] = self._narrowed(filed)
        return self._after[filed]

    def _prior(self, filed: str) -> Expected:
        """Before this task's own lengths count."""
        if filed not in self._before:
            self._before[filed] = self._from_history(filed)
        return self._before[filed]

    def _from_history(self, filed: str) -> Expected:
        middle, drift = math.log(max(prior(self._stages, filed.partition(":")[2]), SHORTEST)), UNKNOWN
        known, basis = 0, "Huawei's formula"
        if fleet := self._history.fleet.get(filed):
            share = fleet.count / (fleet.count + 2)
            middle += share * (fleet.middle - middle)
            told = max(fleet.spread**2 - WITHIN**2, 0.15**2)
            drift = math.sqrt((1 - share) * drift**2 + share * told)
            known, basis = fleet.count, "the history of other clusters"
        if cluster := self._history.cluster.get(filed):
            variance = (WITHIN**2 + BETWEEN_TASKS**2) / min(cluster.count, 12)
            share = drift**2 / (drift**2 + variance)
            middle += share * (cluster.middle - middle)
            drift = math.sqrt((1 - share) * drift**2 + BETWEEN_TASKS**2)
            known, basis = cluster.count, "this cluster's history"
        return Expected(filed, middle, drift, WITHIN, known, basis)

    @cached_property
    def _pace(self) -> tuple[float, float]:
        """How much slower this task is than expected, over all kinds but data migration, and the variance of that."""
        found = []
        for filed, lengths in self._course.spans.items():
            kind = filed.partition(":")[2]
            if kind in {NODE, PAUSE} or kind.startswith(f"{DATA}/"):
                continue
            expected, own = self._prior(filed), sample(lengths)
            doubt = expected.drift**2 + WITHIN**2 / own.count
            found.append((own.middle - expected.middle, doubt))
        if not found:
            return 0.0, 0.0
        # Half of what a prior is off by is common to all stages: a bigger or a busier cluster.
        common = sum(doubt for _, doubt in found) / len(found) / 2
        weight = len(found) / (len(found) + 2)
        return weight * median(off for off, _ in found), (1 - weight) * common

    def _narrowed(self, filed: str) -> Expected:
        expected = self._prior(filed)
        kind = filed.partition(":")[2]
        middle, drift = expected.middle, expected.drift
        if kind != PAUSE and not kind.startswith(f"{DATA}/"):
            pace, doubt = self._pace
            if doubt:
                middle += pace
                drift = math.sqrt(drift**2 / 2 + doubt)
        known, basis = expected.known, expected.basis
        if lengths := self._course.spans.get(filed):
            own = sample(lengths)
            variance = WITHIN**2 / own.count
            share = drift**2 / (drift**2 + variance)
            middle += share * (own.middle - middle)
            drift = math.sqrt((1 - share) * drift**2)
            known += own.count
            basis = "this task's own"
        return Expected(filed, middle, drift, WITHIN, known, basis)
