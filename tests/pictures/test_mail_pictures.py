"""A browser can show the mails that the documentation shows."""

import struct
import zlib
from pathlib import Path

import pytest
from mail_pictures import DOCS, LANGUAGES, SIZE, browser, html, picture


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


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_browser_shows_the_mail(language: str, tmp_path: Path) -> None:
    chromium = browser()
    if chromium is None:
        pytest.skip("NO CHROMIUM: what a mail looks like is NOT tested")
    made = tmp_path / "mail.png"
    picture(chromium, html(LANGUAGES[language]), made)
    size, rows = pixels(made.read_bytes())
    assert size == SIZE
    step = len(rows) // SIZE[1]
    assert len({rows[at : at + step] for at in range(0, len(rows), step)}) > SIZE[1] // 4, "an empty page has few different rows"


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_documentation_shows_it(language: str) -> None:
    size, _ = pixels((DOCS / f"email-{language}.png").read_bytes())
    assert size == SIZE
    assert f"email-{language}.png" in (DOCS / "email.md").read_text(encoding="utf-8")
