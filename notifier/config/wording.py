"""The part of a configuration that replaces our words, and the errors about it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict

from notifier.config.document import Document
from notifier.config.masking import scrub
from notifier.config.refusals import refused
from notifier.domain.model import Kind
from notifier.domain.words import Slot

Trial = Callable[[Sequence[tuple[Kind, str]]], Sequence[str | None]]
"""Says what is wrong with each template, which is meant for a kind; None where nothing is."""


def _kind(value: object) -> object:
    if value not in set(Kind):
        close = get_close_matches(str(value), list(Kind), n=1)
        raise refused(
            "no kind of event is called that", f"did you mean '{close[0]}'?" if close else f"there is {', '.join(Kind)}"
        )
    return value


class TellingSettings(BaseModel):
    """Templates for one kind; what is not given stays as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    title: str | None = None
    summary: str | None = None

    @property
    def slots(self) -> Mapping[Slot, str]:
        """Those that are given."""
        found: dict[Slot, str | None] = {"title": self.title, "summary": self.summary}
        return {slot: text for slot, text in found.items() if text is not None}


Wording = Mapping[Annotated[Kind, BeforeValidator(_kind)], TellingSettings]


def check_templates(document: Document, sinks: Mapping[str, Mapping[Kind, Mapping[Slot, str]]], trial: Trial) -> None:
    """Try the templates of all sinks together; what is wrong with one is told at its line."""
    given = list(_given(sinks))
    verdicts = trial([(kind, text) for _, kind, _, text in given])
    for (sink, kind, slot, _), verdict in zip(given, verdicts, strict=True):
        if verdict is not None:
            path = ("sinks", sink, "words", kind.value, slot)
            document.problem(path, scrub(f"the template {verdict}", path, document.at(path)), "see docs/words.md")


def _given(sinks: Mapping[str, Mapping[Kind, Mapping[Slot, str]]]) -> Iterator[tuple[str, Kind, Slot, Any]]:
    for sink, said in sinks.items():
        for kind, slots in said.items():
            for slot, text in slots.items():
                yield sink, kind, slot, text
