"""Fills in what is said of events about time: for how long, what is usual, until when, and what can be done about it.

What can be done is what Huawei documents for a slow or stuck upgrade (see `phrases.TimePhrases`); nothing of it is a guess.
"""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Protocol

from notifier.domain.expectation import DATA
from notifier.domain.model import Eta, Event, Kind, Stage, TaskFacts, Timing
from notifier.domain.phrases import Phrases

SLOTS = ("stood", "moved", "limit", "window")
"""The parts of a sentence that are filled in here."""


class Speaker(Protocol):
    """Who speaks: `words.Words`."""

    @property
    def phrases(self) -> Phrases:
        """What the language has to say."""

    def span(self, length: timedelta) -> str:
        """A length of time."""

    def minute(self, at: datetime) -> str:
        """A moment to the minute."""

    def stage(self, name: str) -> str:
        """A stage's name."""

    def work(self, task: TaskFacts | None) -> str:
        """What is done to the cluster."""


def parts(speaker: Speaker, event: Event) -> Mapping[str, str]:
    """What a `Telling` may say of time; all of it is nothing where the event says nothing of it."""
    said = dict.fromkeys(SLOTS, "")
    timing, time = event.timing, speaker.phrases.time
    if timing is None:
        return said
    said["stood"] = _stood(speaker, event, timing)
    said["moved"] = time.moved.format(span=_span(speaker, timing.lasted))
    if timing.until is not None:
        until, work = speaker.minute(timing.until), speaker.work(event.task)
        said["limit"] = time.limit.format(node=event.node or "?", share=timing.share, until=until, work=work)
        said["window"] = _window(speaker, event, timing, until)
    return said


def basis(phrases: Phrases, said: str) -> str:
    """What a forecast rests on, in the language of the phrases."""
    for pattern, words in phrases.time.bases.items():
        if found := re.fullmatch(pattern, said):
            return found.expand(words)
    return said


def forecast(speaker: Speaker, eta: Eta, template: str) -> str:
    """Between when and when it will end, and by what that is known, as the template has it."""
    bounds = {"earliest": speaker.minute(eta.earliest), "latest": speaker.minute(eta.latest)}
    return template.format(**bounds, basis=basis(speaker.phrases, eta.basis))


def advice(phrases: Phrases, event: Event) -> str | None:
    """What can be done about what stands still or is slow; None for other events."""
    if event.kind not in {Kind.TASK_STALLED, Kind.TASK_DEADLINE_NEAR}:
        return None
    migrates = event.stage is not None and event.stage.order == DATA
    return phrases.time.lever if migrates else phrases.time.elsewhere


def _stood(speaker: Speaker, event: Event, timing: Timing) -> str:
    time = speaker.phrases.time
    said = time.stood.format(what=_at_work(speaker, event.node, event.stage), span=_span(speaker, timing.lasted))
    if timing.unseen >= 1:
        said += time.unseen.format(span=_span(speaker, timing.unseen))
    if timing.usual is not None:
        return said + time.usual.format(span=_span(speaker, timing.usual), basis=basis(speaker.phrases, timing.basis or ""))
    return said + (time.unknown.format(basis=basis(speaker.phrases, timing.basis)) if timing.basis else "")


def _window(speaker: Speaker, event: Event, timing: Timing, until: str) -> str:
    if event.task is None:
        return ""
    time, expected = speaker.phrases.time, ""
    if event.eta is not None:
        expected = forecast(speaker, event.eta, time.expected)
    fit = {True: time.fits, False: time.fits_not, None: time.fits_perhaps}[timing.fits]
    return time.window.format(until=until, fit=fit.format(work=speaker.work(event.task)), expected=expected)


def _at_work(speaker: Speaker, node: str | None, stage: Stage | None) -> str:
    time = speaker.phrases.time
    where = time.node.format(node=node) if node else time.its_node
    if stage is None:
        return time.between.format(where=where)
    named = speaker.phrases.stage.format(order=stage.order, name=speaker.stage(stage.name))
    return time.stage_of.format(stage=named, where=where)


def _span(speaker: Speaker, seconds: float) -> str:
    return speaker.span(timedelta(seconds=seconds))
