"""The answers that an event follows from, in words; looked up in recordings, with what differs between them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from notifier.domain.evidence import Evidence
from notifier.domain.model import Kind
from notifier.domain.rules import answers
from notifier.sources.comparison import Difference, differences
from notifier.sources.recording import Entry, Reading, files_of

_evidence = TypeAdapter(Evidence)


@dataclass(frozen=True, slots=True)
class Recorded:
    """Where an answer stands in a recording."""

    file: Path
    line: int


@dataclass(frozen=True, slots=True)
class Proof:
    """What an event rests on.

    Attributes:
        said: Of each answer, which it is and what is remembered of it.
        found: By digest, where answers were found.
        differences: Between the two, where both were found.
        wanted: By what is said, the digest that was looked for.
        folder: Where it was looked, None: nowhere.
        trouble: What could not be read there.
    """

    said: tuple[tuple[str, str], ...]
    found: Mapping[str, Recorded]
    differences: tuple[Difference, ...]
    wanted: Mapping[str, str]
    folder: Path | None
    trouble: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """The same for a person."""
        for which, what in self.said:
            yield f"{which}: {what}."
            digest = self.wanted.get(which)
            if self.folder is not None and digest is not None:
                place = self.found.get(digest)
                yield f"    {f'recorded in {place.file}, line {place.line}' if place else f'not found in {self.folder}'}"
        if self.folder is not None and len(self.said) > 1 and len(self.found) == len(set(self.wanted.values())) > 1:
            yield "What differs between them:" if self.differences else "They differ in nothing that a recording keeps."
            yield from (f"    {each.words}" for each in self.differences)

    def json(self) -> dict[str, Any] | None:
        """The same for a program; None where nothing was looked for."""
        if self.folder is None:
            return None
        places = {digest: {"file": str(place.file), "line": place.line} for digest, place in self.found.items()}
        changed = [{"of": each.of, "field": each.field, "before": each.before, "after": each.after} for each in self.differences]
        return {"found": places, "differences": changed}


def prove(story: Mapping[str, Any], folder: Path | None) -> Proof:
    """What a story's event rests on; see `web.shapes.StoryShape`.

    Raises:
        RecordingError: There is no recording in the folder, or what is there is none.
        OSError: It cannot be read.
    """
    event = story["event"]
    rests = None if story.get("evidence") is None else _evidence.validate_python(story["evidence"], strict=False)
    said = answers(Kind(event["kind"]), rests, catch_up=event["catch_up"])
    wanted = {which: answer.digest for which, answer, _ in said if answer is not None}
    reading = None if folder is None else Reading(files_of([folder]))
    found = {} if reading is None else _looked_up(reading, set(wanted.values()))
    pages = [found[digest].pages for digest in wanted.values() if digest in found]
    return Proof(
        said=tuple((which, words) for which, _, words in said),
        found={digest: Recorded(entry.file, entry.line) for digest, entry in found.items() if entry.file is not None},
        differences=tuple(differences(*pages)) if len(pages) == 2 else (),  # noqa: PLR2004 - the earlier and the later
        wanted=wanted,
        folder=folder,
        trouble=() if reading is None else tuple(reading.trouble),
    )


def _looked_up(reading: Reading, wanted: set[str]) -> dict[str, Entry]:
    """The first entry of each answer. Redacted recordings name none, where a name could be guessed by it."""
    found: dict[str, Entry] = {}
    for entry in reading.entries() if wanted else ():
        if entry.digest in wanted and entry.digest not in found:
            found[entry.digest] = entry
            if len(found) == len(wanted):
                break
    return found
