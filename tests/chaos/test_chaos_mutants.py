"""Programs that are wrong on purpose: three of those that are caught quickly, and whether the others still fit the sources."""

import re
from pathlib import Path

import pytest
from chaos_mutants import MUTANTS, ROOT, Mutant, caught, changed, mutant

ROW = re.compile(r"^\| (M\d+ .+) \| ([^|]+?)::(\w+)(?:\[.*\])? \|$", re.MULTILINE)


@pytest.mark.parametrize("number", [5, 6, 10])
def test_a_program_that_is_wrong_is_caught(tmp_path: Path, number: int) -> None:
    assert caught(mutant(number), tmp_path), mutant(number).name


def test_there_are_as_many_ways_to_be_wrong_as_were_promised() -> None:
    assert [mutant(number).name.split()[0] for number in range(1, 15)] == [each.name.split()[0] for each in MUTANTS]


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda each: each.name.split()[0])
def test_every_way_to_be_wrong_still_fits_the_sources(mutant: Mutant) -> None:
    for file, source in changed(mutant).items():
        compile(source, file, "exec")


def test_what_is_said_of_who_catches_whom_names_tests_that_there_are() -> None:
    said = ROW.findall((ROOT / "docs" / "reliability.md").read_text())
    assert [name for name, _, _ in said] == [each.name for each in MUTANTS]
    for (name, file, test), each in zip(said, MUTANTS, strict=True):
        assert any(file == named.split("::")[0] for named in each.tests), name
        assert f"def {test}(" in (ROOT / file).read_text(), name
