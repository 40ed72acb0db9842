"""Programs that are wrong on purpose: three of those that are quickly caught."""

from pathlib import Path

import pytest
from chaos_mutants import MUTANTS, Mutant, caught


@pytest.mark.parametrize("mutant", [MUTANTS[1], MUTANTS[8]], ids=lambda mutant: mutant.name.split()[0])
def test_a_program_that_is_wrong_is_caught(tmp_path: Path, mutant: Mutant) -> None:
    assert caught(mutant, tmp_path), mutant.name
