"""Whatever the cloud, the receivers and the power cord do, in any order: the short form of run H."""

from pathlib import Path

from chaos_model import play


def test_nothing_is_lost_invented_or_out_of_order_in_whatever_order_things_happen(tmp_path: Path) -> None:
    play(tmp_path, examples=30, steps=25)
