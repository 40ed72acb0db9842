"""Every limit of Slack's Block Kit that a message of ours could break: one checker for all tests.

From docs.slack.dev, reference of the blocks, and from what others met: ``msg_blocks_too_long`` from about 11,000 characters on.
"""

from collections.abc import Iterator
from typing import Any

TOGETHER = 10_000
BLOCKS = 50
STEP_STATES = {"pending", "in_progress", "complete", "error"}


def units(text: str) -> int:
    """Characters as JavaScript counts them."""
    return len(text.encode("utf-16-le")) // 2


def texts(value: Any) -> list[str]:
    """Every text of some blocks, titles of plans and their steps included."""
    if isinstance(value, dict):
        own = [value[key] for key in ("text", "title") if isinstance(value.get(key), str)]
        return own + [text for each in value.values() if isinstance(each, dict | list) for text in texts(each)]
    return [text for each in value for text in texts(each)] if isinstance(value, list) else []


def problems(blocks: list[dict[str, Any]]) -> list[str]:
    """What Slack would have against some blocks."""
    found = [f"{block.get('type')}: {problem}" for block in blocks for problem in of_block(block)]
    if len(blocks) > BLOCKS:
        found.append(f"{len(blocks)} blocks")
    if (total := sum(map(units, texts(blocks)))) >= TOGETHER:
        found.append(f"{total} characters in all")
    if sum(block.get("type") == "plan" for block in blocks) > 1:
        found.append("two plans")
    return found


def of_block(block: dict[str, Any]) -> Iterator[str]:
    """What Slack would have against one block, wherever it is shown."""
    if units(block.get("block_id", "")) > 255:
        yield "block_id"
    match block.get("type"):
        case "header":
            yield from text_problems(block["text"], 150, ("plain_text",))
        case "section":
            if not (("text" in block) ^ ("fields" in block)):
                yield "neither text nor fields, or both"
            if "text" in block:
                yield from text_problems(block["text"], 3000)
            if len(block.get("fields", [None])) not in range(1, 11):
                yield "number of fields"
            for field in block.get("fields", []):
                yield from text_problems(field, 2000)
        case "context":
            if len(block["elements"]) not in range(1, 11):
                yield "number of elements"
            for element in block["elements"]:
                yield from text_problems(element, 3000)
        case "actions":
            if len(block["elements"]) not in range(1, 26):
                yield "number of elements"
            names = [element["action_id"] for element in block["elements"] if "action_id" in element]
            if len(names) != len(set(names)):
                yield "the same action_id twice"
            for element in block["elements"]:
                yield from _button(element)
        case "plan":
            yield from _plan(block)
        case _:
            yield "no such block"


def _button(element: dict[str, Any]) -> Iterator[str]:
    if element["type"] != "button":
        yield "no button"
    yield from text_problems(element["text"], 75, ("plain_text",))
    for key, most in (("action_id", 255), ("value", 2000), ("url", 3000)):
        if key in element and not 0 < units(element[key]) <= most:
            yield key
    if element.get("style", "primary") not in {"primary", "danger"}:
        yield "style"


def _plan(block: dict[str, Any]) -> Iterator[str]:
    if not isinstance(block["title"], str) or not 0 < units(block["title"]) <= 150:
        yield "title"
    ids = [step["task_id"] for step in block["tasks"]]
    if not ids or len(ids) != len(set(ids)):
        yield "task_id"
    for step in block["tasks"]:
        if step["type"] != "task_card" or step["status"] not in STEP_STATES:
            yield "step"
        if not isinstance(step["title"], str) or not 0 < units(step["title"]) <= 150:
            yield "title of a step"
        if "details" in step and step["details"]["type"] != "rich_text":
            yield "details"


def text_problems(text: dict[str, Any], most: int, types: tuple[str, ...] = ("plain_text", "mrkdwn")) -> Iterator[str]:
    """What Slack would have against a text object."""
    if text["type"] not in types:
        yield f"a text of type {text['type']}"
    if not 0 < units(text["text"]) <= most:
        yield f"a text of {units(text['text'])} characters"
