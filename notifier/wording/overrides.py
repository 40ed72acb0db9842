"""The words of a configuration in use: where a template fails, ours are said, and that is counted and logged."""

from collections.abc import Callable, Mapping
from dataclasses import InitVar, dataclass, field, replace
from functools import cache

from jinja2 import Template

from notifier import telemetry
from notifier.config import Settings, SinkEntry
from notifier.domain.model import Event, Kind
from notifier.domain.words import Slot, Words
from notifier.wording.data import data_of
from notifier.wording.sandbox import compiled, rendered
from notifier.wording.syntax import Refused

Said = Mapping[Kind, Mapping[Slot, str]]
"""Templates, by kind and by what they stand for."""


@dataclass(frozen=True)
class Overrides:
    """What a sink says instead of our words; see `Words.given`. ``template`` compiles."""

    sink: str
    said: Said
    template: InitVar[Callable[[str], Template]] = compiled
    _templates: dict[tuple[Kind, Slot], Template] = field(init=False, repr=False, compare=False, default_factory=dict)

    def __post_init__(self, template: Callable[[str], Template]) -> None:
        for kind, slots in self.said.items():
            self._templates.update({(kind, slot): template(text) for slot, text in slots.items()})

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


def spoken(settings: Settings) -> Settings:
    """The settings, with their own words in the words of each sink.

    Every template is compiled, once however many sinks share it; many of them take seconds. It is for a thread.
    """
    template = cache(compiled)
    return replace(settings, sinks=tuple(_spoken(entry, template) for entry in settings.sinks))


def _spoken(entry: SinkEntry, template: Callable[[str], Template]) -> SinkEntry:
    if not getattr(entry.settings, "speaks", True):
        # Also what it says again of what lasts is for programs, which are promised English.
        return replace(entry, words=Words())
    if not entry.said:
        return entry
    return replace(entry, words=replace(entry.words, given=Overrides(entry.name, entry.said, template)))
