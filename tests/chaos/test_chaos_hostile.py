"""A hostile cloud, a hostile receiver and hostile names: the short form of run I."""

from pathlib import Path

from chaos_hostile import hostile


async def test_what_is_hostile_harms_neither_its_neighbours_nor_those_who_read_of_it(tmp_path: Path) -> None:
    verdict, gauges, notes = await hostile(tmp_path, clusters=2, seed=6)
    assert verdict.good, verdict
    assert notes["harm"] == []
    assert notes["trapped"] == 0, "no redirect is followed"
    assert gauges.kept, gauges
