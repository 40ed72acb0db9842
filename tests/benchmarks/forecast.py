"""How good forecasts and stalls are: simulated upgrades with realistic noise, watched by the real diff and keeper of time.

Run it with ``python tests/benchmarks/forecast.py``. The fleet is not made by the forecast's own model: clusters differ in pace
and in data, tasks and nodes vary, some upgrades have one slow node, some a stage that hangs. Polls come every 15 seconds and see
what there is then. Upgrades come one after another, so that the first ones meet no history and the later ones the fleet's.
"""

import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from statistics import mean, median

from notifier.domain.course import key
from notifier.domain.diff import diff
from notifier.domain.expectation import History, sample
from notifier.domain.forecast import forecast
from notifier.domain.known import Known
from notifier.domain.model import Action, Cluster, Kind, Snapshot, Stage, Status, Task
from notifier.domain.stall import StallRule
from notifier.domain.timekeeping import Limits, keep_time
from notifier.sources.upgrades import BEFORE_FIRST_STAGE, BETWEEN_STAGES, SPREAD, STAGES

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
POLL = 15
POINTS = (0.25, 0.5, 0.75)
CLUSTERS = 100
SLOW, SLOWER = 0.3, 2.0
"""The share of upgrades with a slow node, and how much slower it is."""
HUNG, HANGS, LEAST_HANG = 0.1, 8.0, 3600.0
"""The share with a stage that hangs, and for how long: so many times its usual length, at least so many seconds."""
NEWEST = 40


@dataclass(frozen=True)
class Site:
    """What does not change of a cluster."""

    number: int
    nodes: int
    batch: int
    pace: float
    data: float

    @property
    def cluster(self) -> Cluster:
        return Cluster(f"c-{self.number}", f"cluster-{self.number}", "r", "p", "p-1")


@dataclass(frozen=True)
class Upgrade:
    """One upgrade: every answer with the second from which on it is given, and the truth."""

    site: Site
    states: tuple[tuple[float, Task], ...]
    ends: float
    slow: bool
    hang: tuple[float, float] | None


def sites(seed: int) -> list[Site]:
    draw = Random(f"sites/{seed}")
    made = []
    for number in range(CLUSTERS):
        nodes = draw.choice((3, 3, 3, 4, 5, 6, 9))
        batch = 2 if nodes > 3 and draw.random() < 0.2 else 1
        made.append(Site(number, nodes, batch, draw.lognormvariate(0, 0.3), draw.lognormvariate(0, 0.8)))
    return made


def upgrade(site: Site, number: int, seed: int) -> Upgrade:
    """Draw one."""
    draw = Random(f"upgrade/{seed}/{number}")
    pace = site.pace * draw.lognormvariate(0, 0.1)
    names = tuple(f"cluster-{site.number}-ess-esn-{node}-1" for node in range(1, site.nodes + 1))
    rounds = [names[first : first + site.batch] for first in range(0, len(names), site.batch)]
    slow = draw.randrange(len(rounds)) if draw.random() < SLOW else None
    hung = (draw.randrange(len(rounds)), draw.choice(STAGES).order) if draw.random() < HUNG else None
    hang = None
    start = EPOCH + timedelta(days=number)
    states: list[tuple[float, Task]] = []
    now = 0.0

    def at(second: float) -> datetime:
        return start + timedelta(seconds=int(second))

    def show(second: float) -> None:
        states.append(
            (second, Task("t", Status.RUNNING, 1, names, done, batch, batch[0], tuple(stages.values()), at(0), target="x"))
        )

    done: tuple[str, ...] = ()
    for index, batch in enumerate(rounds):
        stages = {kind.order: Stage(kind.order, kind.name, Status.WAITING) for kind in STAGES}

        show(now)
        now += draw.uniform(*BEFORE_FIRST_STAGE)
        node = draw.lognormvariate(0, 0.1) * (SLOWER if index == slow else 1.0)
        for kind in STAGES:
            usual = kind.seconds * pace * (site.data if kind.order in {0, 10} else 1.0)
            length = usual * node * draw.lognormvariate(0, SPREAD)
            stages[kind.order] = Stage(kind.order, kind.name, Status.RUNNING, "", at(now))
            show(now)
            if hung == (index, kind.order):
                length = max(LEAST_HANG, HANGS * length)
                hang = (now, now + length)
            now += length
            stages[kind.order] = Stage(kind.order, kind.name, Status.SUCCESS, "", stages[kind.order].began_at, at(now))
            show(now)
            now += draw.uniform(*BETWEEN_STAGES)
        done = (*done, *batch)
    final = Task("t", Status.SUCCESS, 1, names, done, (), None, (), at(0), at(now), "x")
    states.append((now, final))
    return Upgrade(site, tuple(states), now, slow is not None, hang)


@dataclass
class Score:
    """What was found of all upgrades."""

    held: dict[float, list[bool]] = field(default_factory=lambda: defaultdict(list))
    early: dict[float, int] = field(default_factory=lambda: defaultdict(int))
    errors: dict[float, list[float]] = field(default_factory=lambda: defaultdict(list))
    naive: dict[float, list[float]] = field(default_factory=lambda: defaultdict(list))
    widths: dict[float, list[float]] = field(default_factory=lambda: defaultdict(list))
    found: list[tuple[float, float, bool]] = field(default_factory=list)
    hangs: int = 0
    false: int = 0
    upgrades: int = 0
    told: list[Kind] = field(default_factory=list)


@dataclass
class Library:
    """The history, as the store would give it."""

    lengths: dict[tuple[int | None, str], list[float]] = field(default_factory=lambda: defaultdict(list))

    def history(self, site: Site) -> History:
        def samples(owner: int | None) -> dict[str, object]:
            return {name: sample(found[-NEWEST:]) for (who, name), found in self.lengths.items() if who == owner}

        return History(samples(site.number), samples(None))  # type: ignore[arg-type]

    def file(self, site: Site, filed: str, seconds: float) -> None:
        for owner in (site.number, None):
            kept = self.lengths[owner, filed]
            kept.append(seconds)
            if owner is None and len(kept) > 4000:
                del kept[:1000]


def watch(one: Upgrade, number: int, library: Library, score: Score, limits: Limits) -> None:
    """Poll one upgrade from before its start to its end. Long, because all that is polled meets here."""
    start = EPOCH + timedelta(days=number)
    history, cluster = library.history(one.site), one.site.cluster
    histories = {Action.UPGRADING: history}
    known = diff(Known(), Snapshot(cluster, Action.UPGRADING, ()), start).known
    check: datetime | None = None
    points = [(one.ends * share, share) for share in POINTS]
    filed: list[tuple[str, float]] = []
    last: Task | None = None
    index, second = -1, float(number % POLL)
    while index < len(one.states) - 1:
        second += POLL
        at = start + timedelta(seconds=second)
        while points and points[0][0] < second:
            _judge(known, history, one, (start, *points.pop(0)), score)
        while index + 1 < len(one.states) and one.states[index + 1][0] <= second:
            index += 1
        task = one.states[index][1] if index >= 0 else None
        if task is None or (task is last and (check is None or at < check)):
            continue
        before = known
        step = diff(known, Snapshot(cluster, Action.UPGRADING, (task,)), at) if task is not last else None
        last = task
        after, events = (step.known, step.events) if step else (known, ())
        timed = keep_time(before, after, events, cluster, {Action.UPGRADING: at - timedelta(seconds=POLL)}, limits, histories, at)
        known, check = timed.known, timed.check_at
        filed += ((key(length.node, length.kind), length.seconds) for _, length in timed.lengths)
        for event in timed.events:
            score.told.append(event.kind)
            if event.kind is Kind.TASK_STALLED and event.timing is not None:
                if one.hang and one.hang[0] <= second <= one.hang[1] + POLL:
                    floor = limits.stall.floor if limits.stall else 0.0
                    usual = max(event.timing.usual or 0.0, floor)
                    score.found.append((second - one.hang[0], usual, event.timing.usual is None))
                else:
                    score.false += 1
    score.hangs += one.hang is not None
    score.upgrades += 1
    for name, seconds in filed:
        library.file(one.site, name, seconds)


def _judge(known: Known, history: History, one: Upgrade, moment: tuple[datetime, float, float], score: Score) -> None:
    """What is forecast at a ``moment``: the start of the upgrade, the seconds that are gone, their share of all."""
    start, gone, share = moment
    task = known.tasks[Action.UPGRADING, "t"]
    end = start + timedelta(seconds=one.ends)
    eta = forecast(task, history, start + timedelta(seconds=gone))
    assert eta is not None
    score.held[share].append(eta.earliest <= end <= eta.latest)
    score.early[share] += end < eta.earliest
    middle = eta.earliest + (eta.latest - eta.earliest) / 2
    score.errors[share].append(abs((middle - end).total_seconds()))
    score.widths[share].append((eta.latest - eta.earliest).total_seconds() / (one.ends - gone))
    progress = task.course.progress
    naive = gone / progress if progress else one.site.nodes * 900.0
    score.naive[share].append(abs(naive - one.ends))


def run(count: int, seed: int = 1, clusters: int = CLUSTERS) -> Score:
    """Watch so many upgrades of so many clusters."""
    score, library, fleet = Score(), Library(), sites(seed)[:clusters]
    limits = Limits(StallRule())
    for number in range(count):
        one = upgrade(fleet[number % len(fleet)], number, seed)
        watch(one, number, library, score, limits)
    return score


@dataclass(frozen=True)
class Result:
    """The numbers that are promised."""

    held: float
    ratio: float
    slowest: float
    missed: int
    false: float


def result(score: Score) -> Result:
    """The worst of each kind: the share of ranges that held at any point, the error against the naive one's over all points."""
    ours, naive = (mean(_all(found)) for found in (score.errors, score.naive))
    slowest = max((after / usual for after, usual, cold in score.found if not cold), default=0.0)
    held = min(mean(found) for found in score.held.values())
    return Result(held, ours / naive, slowest, score.hangs - len(score.found), score.false / score.upgrades)


def _all(found: dict[float, list[float]]) -> list[float]:
    return [each for point in POINTS for each in found[point]]


def table(score: Score) -> Iterator[str]:
    """The result in words."""
    yield f"{score.upgrades} upgrades of {CLUSTERS} clusters, {score.hangs} with a stage that hangs"
    yield "of the way  range held  ends earlier  ends later  width/left     error     naive  ratio"
    for share in POINTS:
        held, count = mean(score.held[share]), len(score.held[share])
        ours, naive = mean(score.errors[share]) / 60, mean(score.naive[share]) / 60
        early, width = score.early[share] / count, median(score.widths[share])
        yield (
            f"{share:>10.0%}  {held:>10.1%}  {early:>12.1%}  {1 - held - early:>10.1%}  {width:>10.2f}  "
            f"{ours:>4.1f} min  {naive:>4.1f} min  {ours / naive:>5.2f}"
        )
    ours, naive = (mean(_all(found)) / 60 for found in (score.errors, score.naive))
    yield f"error over all points {ours:.1f} min, naive {naive:.1f} min, ratio {ours / naive:.2f}"
    known = [(after, usual) for after, usual, cold in score.found if not cold]
    yield f"hangs found: {len(score.found)} of {score.hangs}, {len(score.found) - len(known)} with nothing known of their like"
    if known:
        ratios, waits = [after / usual for after, usual in known], [after / 60 for after, _ in known]
        yield f"  after {median(waits):.0f} min (median), {max(waits):.0f} at the most"
        yield f"  that is {median(ratios):.2f} times the usual longest (at least the floor); {max(ratios):.2f} at the most"
    yield f"false alarms: {score.false}, {score.false / score.upgrades:.3f} an upgrade"


if __name__ == "__main__":
    for line in table(run(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)):
        print(line)  # noqa: T201
