"""Programs that are wrong on purpose: three of those that are caught quickly."""

from pathlib import Path

import pytest
from chaos_mutants import MUTANTS, caught, mutant


@pytest.mark.parametrize("number", [5, 6, 10])
def test_a_program_that_is_wrong_is_caught(tmp_path: Path, number: int) -> None:
    assert caught(mutant(number), tmp_path), mutant(number).name


def test_there_are_as_many_ways_to_be_wrong_as_were_promised() -> None:
    assert [mutant(number).name.split()[0] for number in range(1, 15)] == [each.name.split()[0] for each in MUTANTS]
