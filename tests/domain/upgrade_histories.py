"""Random upgrade histories: every answer the API could have given while a task ran, from its first to its last.

Written from what is known of the API, not from the diff, so that the diff can be judged by it. A history is a pure function of
its plan; times are whole seconds, as the API gives them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import cycle

from hypothesis import strategies as st

from notifier.domain.model import Action, Cluster, Snapshot, Stage, Status, Task

EPOCH = datetime(2026, 3, 1, tzinfo=UTC)
CLUSTER = Cluster("c-1", "search-prod", "cn-north-4", "prod", "p-1", {"env": "prod"})


@dataclass(frozen=True)
class Failure:
    """How an attempt fails, and how the next one begins."""

    after_rounds: int = 0
    stage: int = 0
    silent: bool = False  # no stage is shown as failed
    trimmed: bool = False  # stages that were never reached are not listed any more
    partial: str = "no"  # PARTIAL_FAILED: "no", "at once", "later" (after FAILED)
    restart: str = (
        "zero"  # or "stage": finished stages stay with their times; "late": zero, after an answer that shows all as it was
    )
    emptied: bool = False  # completedNodes is empty after the retry, and every node is done again
    start_time: str = "kept"  # or "changed", "emptied"


@dataclass(frozen=True)
class Plan:
    """All that decides a history."""

    id: str
    nodes: int = 1
    batch: int = 1
    orders: tuple[int, ...] = (0, 12)
    failures: tuple[Failure, ...] = ()
    given_up: bool = False  # the last failure is not retried
    counting: str = "counts"  # executeTimes: or "absent", "stuck" (always 1), "from zero"
    finished: str = "left"  # current node and stages once it is over: or "absent", "stages gone"
    completed_first: bool = False  # completedNodes grows one answer before the stages start over
    staggered: bool = False  # the nodes of a batch complete one after the other
    lengths: tuple[int, ...] = (5,)
    begins: int = 0


@dataclass
class _Course:
    plan: Plan
    clock: int = 0
    attempt: int = 1
    status: str = Status.RUNNING
    completed: tuple[str, ...] = ()
    batch: tuple[str, ...] = ()
    stages: dict[int, Stage] = field(default_factory=dict)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    states: list[tuple[int, int, Task]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = self.plan.begins
        self.started_at = self.now
        self.names = tuple(f"n{number}" for number in range(self.plan.nodes))
        self._lengths = cycle(self.plan.lengths)

    @property
    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.clock)

    @property
    def left(self) -> tuple[str, ...]:
        return tuple(name for name in self.names if name not in self.completed)

    def tick(self) -> None:
        self.clock += next(self._lengths)

    def show(self) -> None:
        plan = self.plan
        over = self.status != Status.RUNNING
        absent = over and plan.finished == "absent"
        self.states.append(
            (
                self.clock,
                self.attempt,
                Task(
                    id=plan.id,
                    status=self.status,
                    executions={"counts": self.attempt, "absent": None, "stuck": 1, "from zero": self.attempt - 1}[plan.counting],
                    total=self.names,
                    completed=self.completed,
                    in_flight=()
                    if absent or self.status == Status.SUCCESS
                    else tuple(node for node in self.batch if node not in self.completed),
                    current_node=None if absent or not self.batch else self.batch[0],
                    stages=() if over and plan.finished != "left" else tuple(self.stages.values()),
                    started_at=self.started_at,
                    ended_at=self.ended_at,
                ),
            )
        )

    def run(self) -> None:
        plan = self.plan
        kept: dict[int, Stage] = {}
        while True:
            failure = plan.failures[self.attempt - 1] if self.attempt <= len(plan.failures) else None
            if not self._attempt(failure, kept) or failure is None:
                self.tick()
                self.status, self.ended_at = Status.SUCCESS, self.now
                self.show()
                return
            if plan.given_up and self.attempt == len(plan.failures):
                return
            kept = {order: stage for order, stage in self.stages.items() if stage.status == Status.SUCCESS}
            kept = kept if failure.restart == "stage" else {}
            self._retry(failure)

    def _attempt(self, failure: Failure | None, kept: dict[int, Stage]) -> bool:
        rounds = 0
        while self.left:
            fails = failure if failure and failure.after_rounds <= rounds else None
            if self._round(fails, kept):
                return True
            kept = {}
            rounds += 1
        return False

    def _round(self, failure: Failure | None, kept: dict[int, Stage]) -> bool:
        self.batch = self.left[: self.plan.batch]
        self.stages = {order: kept.get(order) or Stage(order, f"stage {order}", Status.WAITING) for order in self.plan.orders}
        self.show()
        todo = [order for order in self.plan.orders if order not in kept]
        fails_at = todo[min(failure.stage, len(todo) - 1)] if failure and todo else None
        for order in todo:
            self.tick()
            if failure and order == fails_at and failure.silent:
                break
            self.stages[order] = replace(self.stages[order], status=Status.RUNNING, began_at=self.now)
            self.show()
            self.tick()
            over = Status.FAILED if order == fails_at else Status.SUCCESS
            self.stages[order] = replace(self.stages[order], status=over, ended_at=self.now)
            self.show()
            if order == fails_at:
                break
        if failure:
            self._fail(failure)
            return True
        self._complete()
        return False

    def _complete(self) -> None:
        if self.plan.staggered:
            for node in self.batch[:-1]:
                self.completed = (*self.completed, node)
                self.show()
                self.tick()
        self.completed = (*self.completed, *(node for node in self.batch if node not in self.completed))
        if self.plan.completed_first:
            self.show()
            self.tick()

    def _fail(self, failure: Failure) -> None:
        if failure.trimmed:
            self.stages = {order: stage for order, stage in self.stages.items() if stage.status != Status.WAITING}
        self.tick()
        self.ended_at = self.now
        if failure.partial != "at once":
            self.status = Status.FAILED
            self.show()
            self.tick()
        if failure.partial != "no":
            self.status = Status.PARTIAL_FAILED
            self.show()

    def _retry(self, failure: Failure) -> None:
        self.tick()
        self.attempt += 1
        self.status, self.ended_at = Status.RUNNING, None
        self.started_at = {"kept": self.started_at, "changed": self.now, "emptied": None}[failure.start_time]
        if failure.emptied:
            self.completed = ()
        if failure.restart == "late":
            self.show()
            self.tick()


@dataclass(frozen=True)
class State:
    """One answer about one task, and the attempt it truly was of."""

    time: int
    attempt: int
    task: Task


def play(plan: Plan) -> list[State]:
    """Every answer of a task's life, in the order of time."""
    course = _Course(plan)
    course.run()
    return [State(*state) for state in course.states]


@dataclass(frozen=True, repr=False)
class History:
    """What a perfect observer of a cluster would have seen: a list of answers, each with every task there is."""

    plans: tuple[Plan, ...]
    answers: tuple[tuple[State, ...], ...]

    # typing.override needs Python 3.12.
    def __repr__(self) -> str:  # type: ignore[explicit-override]
        return f"history_of(*{self.plans!r})"

    def snapshot(self, index: int, *, turned: bool = False, partial: bool = False) -> Snapshot:
        tasks = tuple(state.task for state in self.answers[index])
        return Snapshot(CLUSTER, Action.UPGRADING, tasks[::-1] if turned else tasks, partial)

    def states(self, task_id: str, indices: Sequence[int]) -> list[State]:
        return [state for index in indices for state in self.answers[index] if state.task.id == task_id]

    @property
    def all_indices(self) -> range:
        return range(len(self.answers))


def history_of(*plans: Plan) -> History:
    """The answers of several tasks of one cluster; a change of any of them makes a new answer."""
    lives = [play(plan) for plan in plans]
    current: dict[int, State] = {}
    answers: list[tuple[State, ...]] = []
    changes = sorted(((state.time, index, number) for index, life in enumerate(lives) for number, state in enumerate(life)))
    for _, index, number in changes:
        current[index] = lives[index][number]
        answers.append(tuple(current.values()))
    return History(plans, tuple(answers))


def failures(restarts: Sequence[str]) -> st.SearchStrategy[Failure]:
    return st.builds(
        Failure,
        after_rounds=st.integers(0, 2),
        stage=st.integers(0, 5),
        silent=st.booleans(),
        trimmed=st.booleans(),
        partial=st.sampled_from(["no", "at once", "later"]),
        restart=st.sampled_from(restarts),
        emptied=st.booleans(),
        start_time=st.sampled_from(["kept", "changed", "emptied"]),
    )


COUNTS, RESTARTS = ("counts",), ("zero", "stage")


def plans(task_id: str, counting: Sequence[str], restarts: Sequence[str]) -> st.SearchStrategy[Plan]:
    return st.builds(
        Plan,
        id=st.just(task_id),
        nodes=st.integers(1, 5),
        batch=st.integers(1, 2),
        orders=st.lists(st.integers(0, 15), min_size=2, max_size=6, unique=True).map(lambda orders: tuple(sorted(orders))),
        failures=st.lists(failures(restarts), max_size=3).map(tuple),
        given_up=st.booleans(),
        counting=st.sampled_from(counting),
        finished=st.sampled_from(["left", "absent", "stages gone"]),
        completed_first=st.booleans(),
        staggered=st.booleans(),
        lengths=st.lists(st.integers(1, 400), min_size=1, max_size=3).map(tuple),
        begins=st.integers(0, 5000),
    )


def histories(counting: Sequence[str] = COUNTS, restarts: Sequence[str] = RESTARTS) -> st.SearchStrategy[History]:
    """One task, or two whose lives may overlap."""
    one = plans("task-a", counting, restarts).map(history_of)
    two = st.builds(history_of, plans("task-a", counting, restarts), plans("task-b", counting, restarts))
    return one | two


@st.composite
def watched(draw: st.DrawFn, counting: Sequence[str] = COUNTS, restarts: Sequence[str] = RESTARTS) -> tuple[History, list[int]]:
    """A history, and which of its answers the polls met: any subsequence, some of them twice."""
    history = draw(histories(counting, restarts))
    return history, draw(polls(len(history.answers)))


def polls(answers: int) -> st.SearchStrategy[list[int]]:
    """Indices that never fall: steps of 0 are repeats, steps of 1 are a poll that misses nothing, longer ones are gaps."""
    steps = st.lists(st.one_of(st.integers(0, 2), st.integers(0, 40)), min_size=1, max_size=8).filter(any)
    return st.builds(_walk, st.just(answers), st.integers(0, 20), steps)


def _walk(answers: int, first: int, steps: Sequence[int]) -> list[int]:
    met: list[int] = []
    at = first % answers
    for step in cycle(steps):
        met.append(at)
        at += step
        if at >= answers:
            return met
    raise AssertionError("cycle() ends only when there are no steps")
