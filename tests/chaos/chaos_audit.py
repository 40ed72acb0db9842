"""The auditor: a pure function from what happened, was received, was done to the program and is stored, to a verdict.

Its rules are those of the promise: lost, phantoms, facts under two ids, out of order and unexplained repeats must all be zero.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass

from chaos_ledger import Receipt

from notifier.domain.model import Event, Kind
from notifier.sources.scenarios import Scenario
from notifier.store.rows import DeliveryRow, State

ALWAYS_OWED = {Kind.TASK_STARTED, Kind.TASK_RETRIED, Kind.NODE_COMPLETED}
"""Whatever is missed between two polls, these are told. Stages may come and go unseen, and so may an end before a retry."""

ENDS = {Kind.TASK_SUCCEEDED, Kind.TASK_FAILED, Kind.TASK_PARTIALLY_FAILED}
BY_THE_CLOCK = {Kind.TASK_STALLED, Kind.TASK_RESUMED, Kind.TASK_DEADLINE_NEAR, Kind.TASK_WINDOW_ENDING}
"""What the passing of time tells. Where the clock is set by a day it is wrong, for nobody could know better."""

ONCE = {Kind.TASK_STARTED, Kind.NODE_COMPLETED}
"""Told once in the life of a task, whatever its attempts."""

Said = tuple[str, str, str | None, int | None, int]


@dataclass(frozen=True, slots=True)
class Blow:
    """Something that was done to the program at ``at``, and for how long before it a message may have been under way.

    ``after``: what was sent before a blow may still lie in the receiver's socket, and is noted a little later.
    """

    at: float
    what: str
    before: float = 3.0
    after: float = 1.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """The numbers that must be zero, and those that describe the run."""

    lost: int
    phantoms: int
    two_ids: int
    out_of_order: int
    differing: int
    unexplained: int
    invariants: int
    receipts: int
    events: int
    repeats: int
    bound: int
    blows: int

    @property
    def good(self) -> bool:
        """Whether the promise was kept."""
        return not any(getattr(self, name) for name in COUNTED) and self.repeats <= self.bound

    def as_dict(self) -> dict[str, int | bool]:
        """For a report."""
        return {**asdict(self), "good": self.good}


def said(kind: str, task: str, node: str | None, order: int | None, attempt: int) -> Said:
    """What a fact is about, without when or by whom it was seen."""
    return (kind, task, node, order, 0 if kind in ONCE else attempt)


def truth(scenario: Scenario) -> tuple[set[Said], set[Said]]:
    """Everything that happened, and what of it is owed whatever the polls missed."""
    everything: set[Said] = set()
    owed: set[Said] = set()
    last: dict[str, Said] = {}
    for fact in scenario.facts():
        key = said(fact.kind, fact.task_id, fact.node, fact.order, fact.attempt)
        everything.add(key)
        if fact.kind in ALWAYS_OWED:
            owed.add(key)
        if fact.kind in ENDS:
            last[fact.task_id] = key
    return everything, owed | set(last.values())


def heard(receipts: Iterable[Receipt]) -> dict[Said, set[str]]:
    """What was received of tasks, each with the ids it came under."""
    ids: dict[Said, set[str]] = defaultdict(set)
    for receipt in receipts:
        data = receipt.event
        if data["task"] is not None:
            order = data["stage"] and data["stage"]["order"]
            ids[said(data["kind"], data["task"]["id"], data["node"], order, data["task"]["attempt"])].add(receipt.id)
    return ids


def heard_of(event: Event) -> Said:
    """What an event about a task is about."""
    assert event.task is not None
    order = None if event.stage is None else event.stage.order
    return said(event.kind, event.task.id, event.node, order, event.task.attempt)


class Wanting:
    """What is owed and has not been received yet; reads each receipt once, since in a flood there are tens of thousands."""

    def __init__(self, scenario: Scenario) -> None:
        self.open = truth(scenario)[1]
        self._read = 0

    def after(self, receipts: Sequence[Receipt]) -> int:
        """How much is left after these receipts, of which the first are those of the last call."""
        self.open -= heard(receipts[self._read :]).keys()
        self._read = len(receipts)
        return len(self.open)


def audit(
    scenario: Scenario,
    receipts: Sequence[Receipt],
    blows: Sequence[Blow] = (),
    *,
    slots: int,
    stored: tuple[Sequence[Event], Sequence[DeliveryRow]] = ((), ()),
    dead: Sequence[Event] = (),
    clock_is_set: bool = False,
) -> Verdict:
    """The verdict.

    Args:
        scenario: What happened.
        receipts: What one receiver of all kinds got, in the order in which it came.
        blows: What was done to the program.
        slots: Messages that may be under way at once.
        stored: Events and deliveries of the store after the end.
        dead: What was given up: its facts may be missing, and its numbers, and nothing else.
        clock_is_set: Whether what time tells is not judged.
    """
    everything, owed = truth(scenario)
    ids = heard(receipts)
    threads: dict[str, list[int]] = defaultdict(list)
    seen: set[str] = set()
    digests: dict[str, set[str]] = defaultdict(set)
    repeats = 0
    for receipt in receipts:
        digests[receipt.id].add(receipt.digest)
        if receipt.id in seen:
            repeats += 1
        else:
            threads[receipt.thread].append(receipt.sequence)
        seen.add(receipt.id)
    unanswered = sum(not receipt.answered for receipt in receipts)
    given_up: dict[str, set[int]] = defaultdict(set)
    for event in dead:
        given_up[_thread(event)].add(event.sequence)
    return Verdict(
        lost=len(owed - set(ids) - {heard_of(event) for event in dead if event.task is not None}),
        phantoms=len([fact for fact in phantoms(ids, everything) if not (clock_is_set and fact[0] in BY_THE_CLOCK)]),
        two_ids=sum(len(each) > 1 for each in ids.values()),
        out_of_order=sum(_disordered(numbers, given_up[thread]) for thread, numbers in threads.items()),
        differing=sum(len(each) > 1 for each in digests.values()),
        unexplained=len(unexplained(receipts, blows)),
        invariants=len(broken(*stored)),
        receipts=len(receipts),
        events=len(seen),
        repeats=repeats,
        bound=len(blows) * slots + unanswered,
        blows=len(blows),
    )


def _thread(event: Event) -> str:
    """What a receiver sees of `Event.thread`."""
    return event.cluster.id if event.task is None else f"{event.cluster.id}/{event.task.id}"


def _disordered(numbers: Sequence[int], given_up: AbstractSet[int]) -> bool:
    """Whether first receipts came in another order than that of their numbers, or some are missing that were not given up."""
    return list(numbers) != [number for number in range(1, max(numbers) + 1) if number not in given_up]


def unexplained(receipts: Iterable[Receipt], blows: Sequence[Blow]) -> list[tuple[Receipt, Receipt]]:
    """The repeats that neither a blow nor an answer that was not given accounts for, each with the receipt before it."""
    found, last = [], dict[str, Receipt]()
    for receipt in receipts:
        before = last.get(receipt.id)
        if before is not None and not _explained(before, blows):
            found.append((before, receipt))
        last[receipt.id] = receipt
    return found


def _explained(before: Receipt, blows: Sequence[Blow]) -> bool:
    """Whether a repeat is owed to an answer that was not given, or to a blow while it was under way."""
    return not before.answered or any(-blow.after <= blow.at - before.at <= blow.before for blow in blows)


def phantoms(heard: Mapping[Said, set[str]], everything: AbstractSet[Said]) -> list[Said]:
    """What was told and never happened.

    A retry that begins at the failed stage still lists what was done before. If none of it was seen while it happened, nobody
    can know in which attempt it did: it is told under the attempt that shows it, once, and is no phantom.
    """

    def left_behind(kind: str, task: str, node: str | None, order: int | None, attempt: int) -> bool:
        own = [(kind, task, node, order, earlier) for earlier in range(1, attempt)]
        return order is not None and any(each in everything and each not in heard for each in own)

    return [fact for fact in heard.keys() - everything if not left_behind(*fact)]


def _holes(numbers: Sequence[int]) -> bool:
    return numbers != list(range(1, len(numbers) + 1))


def broken(
    events: Sequence[Event], deliveries: Sequence[DeliveryRow], again: AbstractSet[tuple[str, str]] = frozenset()
) -> list[str]:
    """Which invariants a store breaks, in words.

    Sequences have no holes (I1); each event has one delivery a sink (I2); nothing is done after something that is not (I4), but
    for what is sent ``again`` (sink and id of the event) after it was given up: others did not wait for it then.
    """
    wrong = []
    threads: dict[str, list[int]] = defaultdict(list)
    for event in events:
        threads[event.thread].append(event.sequence)
    wrong += [f"{thread}: {numbers}" for thread, numbers in threads.items() if _holes(sorted(numbers))]
    places = {event.id: (event.thread, event.sequence) for event in events}
    owed = Counter((row.event, row.sink) for row in deliveries)
    wrong += [f"{event} is owed {count} times to {sink}" for (event, sink), count in owed.items() if count > 1]
    sinks = {row.sink for row in deliveries}
    # What is said of a sink goes to its fallback only.
    all_hear = [event.id for event in events if event.sink is None]
    wrong += [f"{event} is not owed to {sink}" for event in all_hear for sink in sinks if (event, sink) not in owed]
    lanes: Mapping[tuple[str, str], list[tuple[int, State]]] = defaultdict(list)
    for row in deliveries:
        if row.event in places and (row.sink, row.event) not in again:
            thread, sequence = places[row.event]
            lanes[row.sink, thread].append((sequence, row.state))
    for lane, rows in lanes.items():
        states = [state for _, state in sorted(rows)]
        waiting = [state in {State.PENDING, State.SENDING} for state in states]
        if True in waiting and State.DELIVERED in states[waiting.index(True) :]:
            wrong.append(f"{lane}: {states}")
    return wrong


COUNTED = ("lost", "phantoms", "two_ids", "out_of_order", "differing", "unexplained", "invariants")
"""What must be zero, in the order of the table."""


def as_table(rows: Sequence[tuple[str, Verdict]]) -> str:
    """Named verdicts as the table of ``docs/reliability.md``."""
    names = ["run", "blows", "events", *(name.replace("_", " ") for name in COUNTED), "repeats (bound)"]
    lines = ["| " + " | ".join(names) + " |", "|---" * len(names) + "|"]
    for name, verdict in rows:
        counts = [verdict.blows, verdict.events, *(getattr(verdict, each) for each in COUNTED)]
        lines.append(f"| {name} | {' | '.join(map(str, counts))} | {verdict.repeats} ({verdict.bound}) |")
    return "\n".join(lines)
