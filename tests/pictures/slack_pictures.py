"""Makes ``docs/slack-card.png``: the card of an upgrade that runs and of one that failed, drawn from the blocks that are sent.

Run ``python tests/pictures/slack_pictures.py``. It needs Chromium, and a font with emoji (``fonts-noto-color-emoji``). The
drawing is ours, close to Slack's own: what a reader must see is the content and its order.
"""

import html
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mail_pictures import DOCS, browser

from notifier.domain.message import Message
from notifier.domain.model import Eta, Event, Kind, Outage, Stage, Status
from notifier.domain.render import render
from notifier.domain.samples import sample
from notifier.domain.silences import acknowledgement
from notifier.domain.words import Words
from notifier.sinks.desk import Standing
from notifier.sinks.slack_board import blocks_of, lines_of
from notifier.sinks.slack_card import Card
from notifier.sources.upgrades import STAGES

SIZE = (1330, 815)
TARGET = DOCS / "slack-card.png"

EMOJI: Mapping[str, str] = {
    "hourglass_flowing_sand": "⏳",
    "white_check_mark": "✅",
    "x": "❌",
    "warning": "⚠️",
    "white_small_square": "▫️",
    "rotating_light": "🚨",
    "information_source": "\u2139\ufe0f",
    "dart": "🎯",
    "eyes": "👀",
    "mute": "🔇",
    "no_entry": "⛔",
}
STATES = {"complete": "●", "in_progress": "◐", "pending": "○", "error": "✕"}

STYLE = """
* { box-sizing: border-box } body { margin: 0; padding: 18px; background: #fff; color: #1d1c1d; width: 1330px;
  font: 14.5px/1.42 "Liberation Sans", "Noto Sans CJK SC", "Noto Color Emoji", sans-serif; display: flex; gap: 22px }
.column { flex: 1 1 0; min-width: 0 }
.message > div:last-child { flex: 1; min-width: 0 } .message { display: flex; gap: 10px; margin-bottom: 10px }
.face { width: 36px; height: 36px; border-radius: 8px; background: #c7000b; color: #fff; font-weight: bold; text-align: center;
  line-height: 36px; flex: none }
.small .face { width: 24px; height: 24px; line-height: 24px; font-size: 11px; border-radius: 5px }
.name b { font-weight: 900 } .name span { color: #616061; font-size: 12px; margin-left: 6px }
.name i { font-style: normal; font-size: 10px; background: #eee; border-radius: 3px; padding: 1px 4px; color: #616061 }
.blocks > * { margin: 5px 0 } h1 { font-size: 18px; margin: 4px 0 8px; line-height: 1.25 }
code { color: #7a1f1a; background: #f6f6f6; border: 1px solid #e4e4e4; border-radius: 3px; padding: 0 3px;
  font: 11px "DejaVu Sans Mono", monospace }
.fields { display: grid; grid-template-columns: 1fr 1fr 0.7fr; gap: 8px } .context { color: #616061; font-size: 12.5px }
.actions { display: flex; gap: 8px; flex-wrap: wrap }
.actions span { border: 1px solid #bbb; border-radius: 4px; padding: 4px 11px; font-weight: bold; font-size: 13px }
.actions .primary { background: #007a5a; border-color: #007a5a; color: #fff }
.plan { border: 1px solid #ddd; border-radius: 8px; padding: 8px 12px } .plan h2 { font-size: 14.5px; margin: 0 0 5px }
.step { display: flex; gap: 9px; font-size: 13.5px } .step i { font-style: normal; width: 15px; text-align: center; color: #999 }
.complete i { color: #007a5a } .in_progress i { color: #1264a3 } .error i { color: #c7000b; font-weight: bold }
.pending { color: #868686 } .step small { color: #616061; display: block; font-size: 12px }
.thread { border-left: 3px solid #ddd; padding-left: 14px; margin: 6px 0 0 18px } .thread em { color: #616061; font-size: 12px }
.plain { background: #fff5f5; border-left: 3px solid #c7000b; padding: 3px 9px }
"""


def mrkdwn(text: str) -> str:
    """Slack's text as HTML; its three escapes are HTML's too."""
    text = re.sub("\u200b(.)", lambda found: f"&#{ord(found[1])};", text)
    text = re.sub(r"<!date\^(\d+)\^[^|]*\|[^>]*>", lambda found: _time(int(found[1])), text)
    text = re.sub(r":([a-z_]+):", lambda found: EMOJI.get(found[1], found[0]), text)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    return re.sub(r"\*([^*\n]+)\*", r"<b>\1</b>", text).replace("\n", "<br>")


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%b %-d %H:%M")


def _text(text: Mapping[str, Any]) -> str:
    return mrkdwn(text["text"]) if text["type"] == "mrkdwn" else html.escape(text["text"])


def _section(block: Mapping[str, Any]) -> str:
    if "fields" in block:
        return f'<div class="fields">{"".join(f"<div>{_text(field)}</div>" for field in block["fields"])}</div>'
    kind = ' class="plain"' if block["text"]["type"] == "plain_text" else ""
    return f"<div{kind}>{_text(block['text'])}</div>"


def _plan(block: Mapping[str, Any]) -> str:
    steps = []
    for step in block["tasks"]:
        told = step.get("details", {}).get("elements", [{"elements": []}])[0]["elements"]
        more = "".join(f"<small>{html.escape(each['text'])}</small>" for each in told)
        words = f"<div>{html.escape(step['title'])}{more}</div>"
        steps.append(f'<div class="step {step["status"]}"><i>{STATES[step["status"]]}</i>{words}</div>')
    return f'<div class="plan"><h2>{html.escape(block["title"])}</h2>{"".join(steps)}</div>'


def _actions(block: Mapping[str, Any]) -> str:
    shown = (f'<span class="{each.get("style", "")}">{_text(each["text"])}</span>' for each in block["elements"])
    return f'<div class="actions">{"".join(shown)}</div>'


DRAWN: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "header": lambda block: f"<h1>{_text(block['text'])}</h1>",
    "section": _section,
    "context": lambda block: f'<div class="context">{" ".join(map(_text, block["elements"]))}</div>',
    "plan": _plan,
    "actions": _actions,
}


def drawn(blocks: list[dict[str, Any]], at: datetime, kind: str = "") -> str:
    """A message as HTML."""
    body = "".join(DRAWN[block["type"]](block) for block in blocks)
    who = f'<div class="name"><b>css-upgrades</b> <i>APP</i><span>{at:%H:%M}</span></div>'
    return f'<div class="message {kind}"><div class="face">CSS</div><div>{who}<div class="blocks">{body}</div></div></div>'


def news(kind: Kind, cluster: str, **changes: Any) -> Message:
    """A sample of another cluster's, put into words."""
    event = sample(kind, mark=None).event
    nodes = [f"{cluster}-ess-esn-{number}-1" for number in (1, 2, 3)]
    assert event.task is not None
    completed = event.task.nodes.completed
    facts = replace(
        event.task,
        nodes=replace(event.task.nodes, completed=tuple(nodes[: len(completed)]), in_flight=(nodes[len(completed)],)),
        current_node=nodes[len(completed)],
        **changes.pop("task", {}),
    )
    node = event.node and nodes[max(len(completed) - 1, 0)]
    event = replace(event, cluster=replace(event.cluster, name=cluster, project="prod-beijing"), task=facts, node=node, **changes)
    return render(event, delivery_id="d", attempt=1, may_repeat=False, skipped=0, now=event.observed_at)


def stages(at: datetime, reached: int, status: str) -> tuple[Stage, ...]:
    """All thirteen stages, the first ones over."""
    told, begins = [], at - timedelta(seconds=sum(kind.seconds for kind in STAGES[:reached]) + 95)
    for kind in STAGES:
        ends = begins + timedelta(seconds=kind.seconds)
        if kind.order < reached:
            told.append(Stage(kind.order, kind.name, Status.SUCCESS, "", begins, ends))
        elif kind.order == reached:
            told.append(Stage(kind.order, kind.name, status, kind.description, begins, at if status == Status.FAILED else None))
        else:
            told.append(Stage(kind.order, kind.name, Status.WAITING))
        begins = ends
    return tuple(told)


def page() -> str:
    """Two cards: one at work, one that failed and was acknowledged, with its thread."""
    card = Card(Words(), "https://css-upgrades.example.com", listens=True)
    at = sample(Kind.NODE_COMPLETED).event.observed_at + timedelta(minutes=9)
    eta = Eta(at + timedelta(minutes=34), at + timedelta(minutes=52), "1 finished node")
    working = news(Kind.NODE_STARTED, "search-prod", task={"stages": stages(at, 2, Status.RUNNING)}, eta=eta, observed_at=at)
    assert working.event.task is not None
    one = replace(working.event.task, nodes=replace(working.event.task.nodes, completed=("search-prod-ess-esn-1-1",), total=3))
    one = replace(one, current_node="search-prod-ess-esn-2-1")
    one = replace(one, nodes=replace(one.nodes, in_flight=("search-prod-ess-esn-2-1",)))
    event = replace(working.event, task=one, progress=0.39, node="search-prod-ess-esn-2-1")
    working = render(event, delivery_id="d", attempt=1, may_repeat=False, skipped=0, now=at)
    late = sample(Kind.TASK_FAILED).event.observed_at
    failed = news(Kind.TASK_FAILED, "logs-prod", task={"stages": stages(late, 4, Status.FAILED)}, progress=0.44)
    held = [acknowledgement(failed.event, "lin", late)]
    done = news(Kind.NODE_COMPLETED, "logs-prod")
    left = drawn(card.root(working), at) + drawn(board(card, working.event, failed.event), late)
    right = drawn(card.root(failed, silences=held), late)
    replies = [drawn(card.reply(told), told.event.observed_at, "small") for told in (done, failed)]
    thread = f'<div class="thread"><em>Thread; the failure is also sent to the channel</em>{"".join(replies)}</div>'
    columns = f'<div class="column">{left}</div><div class="column">{right}{thread}</div>'
    return f"<!doctype html><meta charset=utf-8><style>{STYLE}</style><body>{columns}</body>"


def board(card: Card, *events: Event) -> list[dict[str, Any]]:
    """The board while these are under way, and one cluster cannot be watched."""
    standings = []
    for event in events:
        assert event.task is not None
        standings.append(Standing(event.cluster, ((event.task.action, event.task, event.progress),), None, event.observed_at))
    lost = replace(events[0].cluster, name="orders-eu")
    outage = Outage(events[0].observed_at, "refused", "HTTP 403")
    lines = lines_of([*standings, Standing(lost, (), outage, events[0].observed_at)], card)
    return blocks_of(lines, card)


def picture(chromium: str, target: Path) -> None:
    """Show the page and keep what is seen as a PNG."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cards.html"
        file.write_text(page(), encoding="utf-8")
        asked = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--force-device-scale-factor=1"]
        asked += [f"--user-data-dir={folder}/profile", f"--window-size={SIZE[0]},{SIZE[1]}", f"--screenshot={target}"]
        subprocess.run([chromium, *asked, file.as_uri()], check=True, capture_output=True, timeout=60)


def main() -> int:
    if (chromium := browser()) is None:
        print("There is no Chromium here.", file=sys.stderr)  # noqa: T201 - a script speaks so
        return 1
    picture(chromium, TARGET)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
