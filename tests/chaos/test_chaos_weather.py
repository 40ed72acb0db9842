"""Everything at once: the short form of run G. What grows can only be seen in the long one."""

from pathlib import Path

from chaos_weather import weather


async def test_whatever_happens_at_once_is_survived(tmp_path: Path) -> None:
    verdict, _, notes = await weather(tmp_path, clusters=3, seconds=15.0, seed=6, hurry=10.0)
    assert verdict.good, verdict
    assert notes["wrong"] == []
    assert notes["visits"]["200"] > 0
