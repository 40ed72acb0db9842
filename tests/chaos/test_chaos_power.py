"""The power goes: the short form of run E."""

import asyncio
from pathlib import Path

from chaos_power import cut


def test_the_power_may_go_at_any_moment(tmp_path: Path) -> None:
    found = asyncio.run(cut(tmp_path, prefixes=40, seed=1))
    assert (found.broken, found.strangers, found.lost) == (0, 0, 0), found
    assert found.torn >= 10
