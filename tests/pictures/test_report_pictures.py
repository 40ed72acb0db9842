"""A browser can show what the guides show, and the guides show it."""

from pathlib import Path

import pytest
from mail_pictures import DOCS, browser
from report_pictures import REPORT, TERMINAL, pages, picture, terminal
from test_mail_pictures import pixels

PICTURES = {
    "report-en": ("report.md", REPORT),
    "report-zh": ("report.md", REPORT),
    "record-and-replay": ("record-and-replay.md", TERMINAL),
}


def test_a_browser_shows_the_report(tmp_path: Path) -> None:
    chromium = browser()
    if chromium is None:
        pytest.skip("NO CHROMIUM: what a report looks like is NOT tested")
    made = tmp_path / "report.png"
    picture(chromium, pages()["zh"], made, REPORT)
    size, rows = pixels(made.read_bytes())
    assert size == REPORT
    step = len(rows) // REPORT[1]
    assert len({rows[at : at + step] for at in range(0, len(rows), step)}) > REPORT[1] // 5, (
        "an empty page has few different rows"
    )


def test_the_terminal_shows_what_the_commands_print() -> None:
    page = terminal()
    assert page.count("<b>$ notifier ") == 3
    assert "[REPLAY]" in page
    assert "oncall: told after" in page


@pytest.mark.parametrize("name", PICTURES)
def test_the_documentation_shows_it(name: str) -> None:
    guide, size = PICTURES[name]
    assert pixels((DOCS / f"{name}.png").read_bytes())[0] == size
    assert f"{name}.png" in (DOCS / guide).read_text(encoding="utf-8")
