"""Makes ``docs/email-*.png``, a failure's mail, and ``docs/email-end-*.png``, an end's with its timeline, as a browser does.

Run ``python tests/pictures/mail_pictures.py``. It needs Chromium, and for Chinese a font that has it (``fonts-wqy-microhei``).
"""

import asyncio
import base64
import shutil
import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import timedelta
from email import message_from_bytes, policy
from email.headerregistry import Address
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

from notifier.domain.message import Message
from notifier.domain.model import Kind
from notifier.domain.render import render
from notifier.domain.samples import sample, samples
from notifier.domain.words import Words
from notifier.engine.reports import Reports
from notifier.sinks.email_letter import Sender, letter
from notifier.store.store import Store

sys.path.append(str(Path(__file__).parents[1] / "report"))  # Its world is shown here.

from report_world import TASK, fill

DOCS = Path(__file__).parents[2] / "docs"
SIZE = (700, 1080)
LANGUAGES = {"en": Words("en"), "zh": Words("zh", ZoneInfo("Asia/Shanghai"))}


def browser() -> str | None:
    """Where Chromium is; None: nowhere."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def html(words: Words) -> str:
    """The mail of a failure that was told late, along with what came before it."""
    message = replace(
        sample(Kind.TASK_FAILED, mark=None, words=words),
        earlier=tuple(told.event for told in samples()[2:5]),
        late_by=timedelta(minutes=12),
    )
    return _shown(message, words)


def end(words: Words) -> str:
    """The mail of an upgrade that was retried and went well, with its report; it all happened in a store."""
    store = Store("sqlite://").open()
    try:
        asyncio.run(store.transact(fill))
        events = asyncio.run(store.transact(lambda tx: tx.gathered_named(TASK)))[0].dossier().events
        event = next(event for event in events if event.kind is Kind.TASK_SUCCEEDED)
        drawn = asyncio.run(Reports(store, words)(event))
    finally:
        store.close()
    made = render(event, delivery_id="end", attempt=1, may_repeat=False, skipped=0, now=event.observed_at, words=words)
    return _shown(replace(made, report=drawn), words)


def _shown(message: Message, words: Words) -> str:
    sender = Sender(
        name="mail",
        address=Address("CSS", addr_spec="css@example.com"),
        recipients=(Address("", addr_spec="ops@example.com"),),
        domain="example.com",
        subject_prefix="[css]",
        threads=True,
        words=words,
        page="https://status.example.com",
    )
    mail = message_from_bytes(letter(message, None, sender).content, policy=policy.default)
    assert isinstance(mail, EmailMessage)
    body = mail.get_body(("html",))
    assert body is not None
    page = str(body.get_content())
    for part in mail.walk():
        if part.get_content_type() == "image/png":  # A mail program looks it up by its id; a browser cannot.
            inline = base64.b64encode(part.get_content()).decode()
            page = page.replace(f"cid:{part['Content-ID'].strip('<>')}", f"data:image/png;base64,{inline}")
    return page


def picture(chromium: str, page: str, target: Path) -> None:
    """Show a page and keep what is seen as a PNG."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "mail.html"
        file.write_text(page, encoding="utf-8")
        asked = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1"]
        asked += [f"--user-data-dir={folder}/profile", f"--window-size={SIZE[0]},{SIZE[1]}", f"--screenshot={target}"]
        subprocess.run([chromium, *asked, file.as_uri()], check=True, capture_output=True, timeout=60)


def main() -> int:
    if (chromium := browser()) is None:
        print("There is no Chromium here.", file=sys.stderr)  # noqa: T201 - a script speaks so
        return 1
    for language, words in LANGUAGES.items():
        picture(chromium, html(words), DOCS / f"email-{language}.png")
        picture(chromium, end(words), DOCS / f"email-end-{language}.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
