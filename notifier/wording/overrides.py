"""The words of a configuration in use: where a template fails, ours are said, and that is counted and logged."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from jinja2 import Template

from notifier import telemetry
from notifier.config import SinkEntry
from notifier.domain.model import Event, Kind
from notifier.domain.words import Slot, Words
from notifier.wording.data import data_of
from notifier.wording.sandbox import compiled, rendered
from notifier.wording.syntax import Refused

Said = Mapping[Kind, Mapping[Slot, str]]
"""Templates, by kind and by what they stand for."""


@dataclass(frozen=True)
class Overrides:
    """What a sink says instead of our words; see `Words.given`."""

    sink: str
    said: Said
    _templates: dict[tuple[Kind, Slot], Template] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self) -> None:
        for kind, slots in self.said.items():
            self._templates.update({(kind, slot): compiled(text) for slot, text in slots.items()})

    def __call__(self, event: Event, slot: Slot, words: Words) -> str | None:
        """What is said; None: our own words."""
        template = self._templates.get((event.kind, slot))
        if template is None:
            return None
        plain = replace(words, given=None)
        try:
            return rendered(template, data_of(event, plain), plain)
        except Refused as error:
            telemetry.template_failed(self.sink, event.kind, slot, str(error))
            return None


def spoken(entry: SinkEntry) -> Words:
    """In which words a sink speaks: its language and zone, with its configuration's own words in them."""
    return replace(entry.words, given=Overrides(entry.name, entry.said)) if entry.said else entry.words
