"""Small histories for tests of the store, made by the real diff: what a cluster's polls say, and what follows from it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from alembic.config import Config
from sqlalchemy import make_url

from notifier.domain.diff import diff
from notifier.domain.holding import Holding
from notifier.domain.known import Known
from notifier.domain.message import Receipt
from notifier.domain.model import Action, Cluster, Event, Snapshot, Task
from notifier.domain.plan import AT_ONCE, Audience
from notifier.domain.routing import Matcher, Route
from notifier.domain.silences import Silence
from notifier.store.rows import Claim
from notifier.store.transaction import Transaction

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC).timestamp()
LEASE = 30.0


def driver(url: str) -> str:
    """The URL of a store as SQLAlchemy takes it."""
    parsed = make_url(url)
    return url if parsed.get_backend_name() == "sqlite" else str(parsed.set(drivername="postgresql+psycopg"))


def migrations() -> Config:
    """Those of the store, for Alembic."""
    config = Config()
    config.set_main_option("script_location", "notifier.store:migrations")
    return config


def cluster(name: str = "search") -> Cluster:
    return Cluster(f"id-of-{name}", name, "cn-north-4", "prod", "p1", {"env": "prod"})


def running(name: str = "t1", *completed: str) -> Task:
    nodes = ("n1", "n2", "n3")
    ahead = tuple(node for node in nodes if node not in completed)
    return Task(name, "RUNNING", 1, nodes, completed, ahead[:1], ahead[0] if ahead else None)


@dataclass
class Scene:
    """A cluster that is polled by hand. Events go to every one of ``sinks``."""

    subject: Cluster = field(default_factory=cluster)
    sinks: tuple[str, ...] = ("team",)
    holding: Holding = AT_ONCE
    silences: Sequence[Silence] = ()

    def see(
        self, tasks: Sequence[Task], now: float = NOW, action: Action = Action.UPGRADING
    ) -> Callable[[Transaction], list[Event]]:
        """One poll's transaction."""

        def work(tx: Transaction) -> list[Event]:
            before, version = tx.known(self.subject)
            step = diff(before, Snapshot(self.subject, action, tuple(tasks)), datetime.fromtimestamp(now, UTC))
            audience = Audience([Route(Matcher(), self.sinks)], dict.fromkeys(self.sinks, self.holding))
            owed = audience.plan(step.events, datetime.fromtimestamp(now, UTC), self.silences)
            tx.save(self.subject, (before, version), step.known, (step.events, owed), now)
            return list(step.events)

        return work

    def three_events(self, now: float = NOW) -> Callable[[Transaction], list[Event]]:
        """A task that starts, with a node, and completes it: three events or more in one lane."""

        def work(tx: Transaction) -> list[Event]:
            self.see([], now)(tx)
            return self.see([running()], now)(tx) + self.see([running("t1", "n1")], now)(tx)

        return work

    def known(self, tx: Transaction) -> Known:
        return tx.known(self.subject)[0]


def claim(limit: int = 10, *, now: float = NOW, sink: str = "team", early: bool = False) -> Callable[[Transaction], list[Claim]]:
    """Claim as one replica would."""
    return lambda tx: tx.claim(sink, "tester", limit, lease=LEASE, now=now, early=early)


def arrived(claimed: Claim, now: float = NOW) -> Callable[[Transaction], None]:
    """Settle a claim as delivered."""
    return lambda tx: tx.delivered(claimed, Receipt({"ts": claimed.delivery}), now)


def put_off(claimed: Claim, until: float, *, uncertain: bool = False, counted: bool = True) -> Callable[[Transaction], None]:
    """Settle a claim as to be tried again."""
    return lambda tx: tx.postponed(
        claimed, until, NOW, outcome="retry", reason="server", detail="HTTP 503", uncertain=uncertain, counted=counted
    )


def given_up(claimed: Claim) -> Callable[[Transaction], None]:
    """Settle a claim as dead."""
    return lambda tx: tx.buried(claimed, NOW, outcome="rejected", reason="invalid", detail="too odd")
