"""Receivers that are down for long, for too long, or ask for patience, beside one that is well: the short form of run C."""

from pathlib import Path

import pytest
from chaos_audit import audit
from chaos_ledger import Receipt
from chaos_outage import outage

from notifier.domain.model import Cluster, Event, Kind
from notifier.sources.scenarios import EPOCH, Scenario

CLUSTER = Cluster("c", "prod", "r", "p", "p1")


@pytest.mark.parametrize(("came", "disordered"), [([2, 4], 0), ([2, 3, 4], 1), ([4, 2], 1), ([2, 5], 1), ([2, 4, 5, 7], 1)])
def test_only_what_was_given_up_may_be_missing_between_what_came(came: list[int], disordered: int) -> None:
    said = {"kind": "cluster.unreachable", "task": None}
    receipts = [Receipt(1.0, f"e{number}", CLUSTER.id, number, "d", said) for number in came]
    dead = [Event(f"e{number}", Kind.CLUSTER_UNREACHABLE, number, EPOCH, EPOCH, CLUSTER) for number in (1, 3)]
    found = audit(Scenario("none", "nothing happens", ()), receipts, slots=1, dead=dead)
    assert (found.out_of_order, found.lost) == (disordered, 0)


async def test_receivers_that_are_down_or_ask_for_patience_hold_back_nobody_and_lose_only_what_was_given_up(
    tmp_path: Path,
) -> None:
    found = await outage(tmp_path, clusters=2, seed=3, down_for=9.0, hurry=20.0)
    assert found.wrong == []
    for name, verdict in found.verdicts.items():
        assert verdict.good, f"{name}: {verdict}"
