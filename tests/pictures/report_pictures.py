"""Makes the pictures of ``docs/report.md`` and ``docs/record-and-replay.md``, of what the program really does.

Run ``python tests/pictures/report_pictures.py``. It needs Chromium, and for Chinese a font that has it (``fonts-noto-cjk``).
"""

import asyncio
import html
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from click.testing import CliRunner
from mail_pictures import DOCS, browser

from notifier.cli import main as notifier
from notifier.domain.words import Words
from notifier.report.page import report
from notifier.store.store import Store

sys.path.append(str(Path(__file__).parents[1] / "report"))  # Its world is shown here.

from report_world import TASK, fill

TESTS = Path(__file__).parents[1]
LANGUAGES = {"en": Words("en"), "zh": Words("zh", ZoneInfo("Asia/Shanghai"))}
MADE_AT = datetime(2026, 3, 1, 2, 50, tzinfo=UTC)
REPORT = (1200, 1290)
TERMINAL = (1120, 760)
ROUTES = """\
projects:
  - name: prod-beijing
    region: cn-north-4
    project_id: p1
    credentials: {token: none}
    clusters: [{id: c1, name: search-prod, labels: {env: prod}}, {id: c2, name: logs-prod, labels: {env: prod}}]
store: sqlite:///{folder}/notifier.db
sinks:
  team: {type: console, quiet: {from: "22:00", to: "11:00", zone: Asia/Shanghai}}
  oncall: {type: console}
  hook: {type: console}
routes:
  - {match: {severity: ">=info"}, sinks: [team]}
  - {match: {kind: ["task.failed", "cluster.unreachable"]}, sinks: [oncall]}
"""
PAGE = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #0f1615; color: #e6edea; font: 13px/1.55 "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace; }}
pre {{ margin: 0; padding: 22px 26px; white-space: pre-wrap; }}
b {{ color: #5cc4cd; }} i {{ font-style: normal; color: #9baaa5; }}
</style><pre>{said}</pre>"""


def pages() -> dict[str, str]:
    """The end report in each language, from a store in which it all happened."""
    store = Store("sqlite://").open()
    try:
        asyncio.run(store.transact(fill))
        (gathered,) = asyncio.run(store.transact(lambda tx: tx.gathered_named(TASK)))
    finally:
        store.close()
    made = {language: report(gathered.dossier(), words, MADE_AT) for language, words in LANGUAGES.items()}
    return {language: found.html for language, found in made.items() if found is not None}


def terminal() -> str:
    """What three commands print, as a page: a replay, who would have been told, a drill."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "other.yaml"
        config.write_text(ROUTES.replace("{folder}", folder))
        recording = str(TESTS / "recordings" / "failure.jsonl.gz")
        said = [
            _shown("notifier replay recordings/failure.jsonl.gz", ["replay", recording]),
            _shown(
                "notifier replay recordings/failure.jsonl.gz --who --config other.yaml",
                ["replay", recording, "--who", "-c", str(config)],
            ),
            _shown("notifier drill --cluster logs-prod --yes", ["drill", "--cluster", "logs-prod", "--yes", "-c", str(config)]),
        ]
    return PAGE.format(said="\n\n".join(said))


def _shown(command: str, words: list[str]) -> str:
    """A command and the end of what it prints."""
    found = CliRunner().invoke(notifier, words)
    lines = found.output.rstrip().splitlines()
    cut = ["<i>…</i>"] if len(lines) > 7 else []
    return "\n".join([f"<b>$ {html.escape(command)}</b>", *cut, *(html.escape(line) for line in lines[-7:])])


def picture(chromium: str, page: str, target: Path, size: tuple[int, int]) -> None:
    """Show a page and keep what is seen as a PNG."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(page, encoding="utf-8")
        asked = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1"]
        asked += [f"--user-data-dir={folder}/profile", f"--window-size={size[0]},{size[1]}", f"--screenshot={target}"]
        subprocess.run([chromium, *asked, file.as_uri()], check=True, capture_output=True, timeout=60)


def main() -> int:
    if (chromium := browser()) is None:
        print("There is no Chromium here.", file=sys.stderr)  # noqa: T201 - a script speaks so
        return 1
    for language, page in pages().items():
        picture(chromium, page, DOCS / f"report-{language}.png", REPORT)
    picture(chromium, terminal(), DOCS / "record-and-replay.png", TERMINAL)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
