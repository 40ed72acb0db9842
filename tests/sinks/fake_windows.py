"""The windows of a fake Slack: what ``views.open`` and ``views.update`` take and refuse, as docs.slack.dev says."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from block_limits import of_block, text_problems, units

Answer = dict[str, Any]


@dataclass
class Windows:
    """``lasts``: seconds within which a trigger opens a window, once. Slack's three are few on a busy machine."""

    lasts: float = 60.0
    opened: dict[str, Answer] = field(default_factory=dict)
    """The windows that are open, by id, as they are shown."""
    shown: list[Answer] = field(default_factory=list)
    """Everything that was ever shown, in its order."""
    triggers: dict[str, float] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def trigger(self) -> str:
        """What comes with a press or a command."""
        name = f"1700000000.{next(self.numbers)}.canary"
        self.triggers[name] = time.monotonic()
        return name

    def close(self) -> None:
        """The person closes what is open."""
        self.opened.clear()

    def answer(self, method: str, arguments: Answer) -> Answer:
        view = arguments.get("view")
        wrong = view_problems(view) if isinstance(view, dict) else ["no view"]
        if wrong:
            return {"ok": False, "error": "invalid_arguments", "response_metadata": {"messages": wrong}}
        assert isinstance(view, dict)
        return self._open(arguments, view) if method == "views.open" else self._update(arguments, view)

    def _open(self, arguments: Answer, view: Answer) -> Answer:
        trigger = arguments.get("trigger_id", "")
        if trigger not in self.triggers:
            return {"ok": False, "error": "invalid_trigger_id" if trigger else "invalid_arguments"}
        if time.monotonic() - self.triggers[trigger] > self.lasts:
            return {"ok": False, "error": "expired_trigger_id"}
        if trigger in self.used:
            return {"ok": False, "error": "exchanged_trigger_id"}
        self.used.add(trigger)
        return self._show(f"V{next(self.numbers):08}", view)

    def _update(self, arguments: Answer, view: Answer) -> Answer:
        found = self.opened.get(arguments.get("view_id", ""))
        if found is None:
            return {"ok": False, "error": "not_found"}
        if arguments.get("hash", found["hash"]) != found["hash"]:
            return {"ok": False, "error": "hash_conflict"}
        return self._show(found["id"], view)

    def _show(self, name: str, view: Answer) -> Answer:
        shown = {**view, "id": name, "hash": f"{next(self.numbers)}.hash"}
        self.opened[name] = shown
        self.shown.append(shown)
        return {"ok": True, "view": shown}


def view_problems(view: Answer) -> list[str]:
    """What Slack would have against a view."""
    found = [f"{block.get('type')}: {problem}" for block in view.get("blocks", ()) for problem in of_block(block)]
    if view.get("type") != "modal":
        found.append("no modal")
    if len(view.get("blocks", ())) not in range(1, 101):
        found.append("number of blocks")
    if "title" not in view:
        found.append("no title")
    for name in ("title", "close", "submit"):
        if name in view:
            found += [f"{name}: {problem}" for problem in text_problems(view[name], 24, ("plain_text",))]
    for name, most in (("private_metadata", 3000), ("callback_id", 255), ("external_id", 255)):
        if units(view.get(name, "")) > most:
            found.append(name)
    return found
