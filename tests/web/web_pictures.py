"""Makes the pictures of the status page in ``docs/``: the story of the demo, in both themes and on a phone.

Run ``python tests/web/web_pictures.py``. It needs Chromium.
"""

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

from playwright.sync_api import Browser
from web_browsing import browser, chromium
from web_story import clusters, tell
from web_thread import Elsewhere, elsewhere
from web_world import World

from notifier.web.health import Health

DOCS = Path(__file__).parents[2] / "docs"


class Picture(NamedTuple):
    """A page as somebody sees it."""

    page: str
    theme: Literal["light", "dark"]
    width: int
    height: int


FAILED_TASK = "tasks/{logs}/UPGRADING/{task}"
PICTURES = {
    "status-page": Picture("", "light", 1280, 1000),
    "status-page-dark": Picture("", "dark", 1280, 1000),
    "status-page-phone": Picture("", "light", 390, 844),
    "status-task": Picture(FAILED_TASK, "light", 1280, 1000),
    "status-task-dark": Picture(FAILED_TASK, "dark", 1280, 1000),
}


async def begin(world: World) -> None:
    """Tell the story; the poller has looked a few seconds ago."""
    now = datetime.now(UTC)
    await world.store.transact(lambda tx: tell(tx, now))
    asked = {cluster.key: now - timedelta(seconds=4 + 3 * place) for place, (_, cluster) in enumerate(clusters())}
    asked |= {f"{'p' * 32}/7c1f0a52-0000-4000-8000-000000000001": now - timedelta(seconds=41)}
    world.health = Health(alive=True, asked=asked)


def places() -> dict[str, str]:
    """Where the failed task is."""
    (plan,) = [plan for plan, cluster in clusters() if cluster.name == "logs-prod"]
    return {"logs": plan.id, "task": plan.tasks[0].id}


def take(with_browser: Browser, there: Elsewhere, picture: Picture, target: Path) -> None:
    """Open the page as somebody does, and keep what is seen as a PNG."""
    context = with_browser.new_context(
        viewport={"width": picture.width, "height": picture.height}, color_scheme=picture.theme, reduced_motion="reduce"
    )
    page = context.new_page()
    page.goto(f"{there.url}/{picture.page.format(**places())}")
    page.locator("#link[data-state=live]").wait_for()
    page.screenshot(path=target)
    context.close()


def main() -> int:
    """Make all of them."""
    if (path := chromium()) is None:
        print("There is no Chromium here.", file=sys.stderr)  # noqa: T201 - a script speaks so
        return 1
    with elsewhere(filled=False) as there, browser(path) as opened:
        there.do(begin)
        for name, picture in PICTURES.items():
            take(opened, there, picture, DOCS / f"{name}.png")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
