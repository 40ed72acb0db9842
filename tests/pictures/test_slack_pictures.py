"""A browser can show the cards that the documentation shows."""

from pathlib import Path

import pytest
from mail_pictures import DOCS, browser
from slack_pictures import SIZE, TARGET, mrkdwn, picture
from test_mail_pictures import pixels


def test_a_browser_shows_the_cards(tmp_path: Path) -> None:
    chromium = browser()
    if chromium is None:
        pytest.skip("NO CHROMIUM: what a Slack card looks like is NOT tested")
    made = tmp_path / "cards.png"
    picture(chromium, made)
    size, rows = pixels(made.read_bytes())
    assert size == SIZE
    step = len(rows) // SIZE[1]
    assert len({rows[at : at + step] for at in range(0, len(rows), step)}) > SIZE[1] // 4, "an empty page has few different rows"


def test_the_documentation_shows_them() -> None:
    size, _ = pixels(TARGET.read_bytes())
    assert size == SIZE
    assert TARGET.name in (DOCS / "slack.md").read_text(encoding="utf-8")


def test_the_drawing_reads_slacks_text_as_slack_does() -> None:
    assert mrkdwn("*a* `b` :x: &lt;i&gt;\nc") == "<b>a</b> <code>b</code> ❌ &lt;i&gt;<br>c"
    assert mrkdwn("\u200b*a\u200b*") == "&#42;a&#42;"
    assert mrkdwn("<!date^1772352000^{date_num} {time}|x>") == "Mar 1 08:00"
