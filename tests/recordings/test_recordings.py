"""From every recording of this folder follow, event by event, what is written beside it."""

import json
from pathlib import Path

import pytest
from make_recordings import FOLDER, expected, rebuilt, recorded, written

from notifier.sources.recording import SUFFIX

RECORDINGS = sorted(FOLDER.glob(f"*{SUFFIX}"))


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name.removesuffix(SUFFIX))
def test_the_same_answers_lead_to_the_same_events(path: Path) -> None:
    lines = expected(path).read_text(encoding="utf-8").splitlines()
    found = rebuilt(path)
    assert found == [json.loads(line) for line in lines]
    assert found


def test_what_is_made_here_is_made_of_today_s_scenarios() -> None:
    made = recorded()
    assert {path.name.removesuffix(SUFFIX) for path in RECORDINGS} >= set(made)
    for name in ("quick", "seed_upgrade"):
        assert written(made[name]) == (FOLDER / f"{name}{SUFFIX}").read_bytes()
