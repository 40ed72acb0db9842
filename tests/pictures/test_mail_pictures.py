"""A browser can show the mails that the documentation shows."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from mail_pictures import DOCS, LANGUAGES, SIZE, browser, end, html, picture

from notifier.domain.words import Words


def pixels(png: bytes) -> tuple[tuple[int, int], bytes]:
    """Size, and the raw rows; enough to tell a page from an empty one."""
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    at, data = 8, b""
    while at < len(png):
        (length,), kind = struct.unpack(">I", png[at : at + 4]), png[at + 4 : at + 8]
        data += png[at + 8 : at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    width, height = struct.unpack(">II", png[16:24])
    return (width, height), zlib.decompress(data)


@pytest.mark.usefixtures("chinese_font")
@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("shown", [html, end])
def test_a_browser_shows_the_mail(language: str, shown: Callable[[Words], str], tmp_path: Path) -> None:
    chromium = browser()
    if chromium is None:
        pytest.skip("NO CHROMIUM: what a mail looks like is NOT tested")
    made = tmp_path / "mail.png"
    page = shown(LANGUAGES[language])
    assert ("data:image/png" in page) == (shown is end)
    picture(chromium, page, made)
    size, rows = pixels(made.read_bytes())
    assert size == SIZE
    step = len(rows) // SIZE[1]
    assert len({rows[at : at + step] for at in range(0, len(rows), step)}) > SIZE[1] // 4, "an empty page has few different rows"


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("name", ["email", "email-end"])
def test_the_documentation_shows_it(name: str, language: str) -> None:
    size, _ = pixels((DOCS / f"{name}-{language}.png").read_bytes())
    assert size == SIZE
    assert f"{name}-{language}.png" in (DOCS / "email.md").read_text(encoding="utf-8")
