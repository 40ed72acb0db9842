"""Tries templates on samples, in a process of its own that may take two seconds and 256 MiB.

What it refuses never reaches the program: neither a template that is wrong nor one that would have taken all memory. Run as
``python -m notifier.wording.trial`` it reads the templates from its input and says on its output which one it begins and how it
ends, so that whoever started it can tell which was to blame if it dies.
"""

import json
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from notifier.domain.model import Event, Kind
from notifier.domain.samples import sample
from notifier.domain.words import Words
from notifier.wording.data import data_of
from notifier.wording.sandbox import compiled, rendered
from notifier.wording.syntax import Refused

SECONDS = 2
"""Of the processor's time."""

MEMORY = 256 * 1024 * 1024
"""Bytes of address space."""

PATIENCE = 30.0
"""Seconds for all of it, on a machine that has other things to do."""

_WORDS = Words()


def tried(candidates: Sequence[tuple[Kind, str]]) -> list[str | None]:
    """What is wrong with each template, which is meant for a kind, in a few words; None where nothing is."""
    # Forty sinks may share their words by an anchor, and all have these two seconds together.
    distinct = list(dict.fromkeys(candidates))
    verdicts = dict(zip(distinct, _tried(distinct), strict=True))
    return [verdicts[candidate] for candidate in candidates]


def _tried(candidates: Sequence[tuple[Kind, str]]) -> list[str | None]:
    if not candidates:
        return []
    asked = json.dumps([[kind.value, text] for kind, text in candidates])
    try:
        run = subprocess.run(  # noqa: S603 - this very interpreter, with a module of ours
            # -P: what lies in the working directory is no part of the program.
            [sys.executable, "-P", "-m", "notifier.wording.trial", str(SECONDS)],
            input=asked,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        said = run.stdout
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode("utf-8", "replace") if isinstance(error.stdout, bytes) else ""
    verdicts: list[str | None] = ["could not be tried: the process for that did not start"] * len(candidates)
    for line in said.splitlines():
        number, what = json.loads(line)
        verdicts[number] = what
        for later in range(number + 1, len(verdicts)):
            verdicts[later] = "was not tried, because of the one before"
    return verdicts


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    # What the start of the interpreter has cost is nobody's fault.
    seconds = int(time.process_time()) + 1 + int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number, (kind, text) in enumerate(json.load(sys.stdin)):
        _say(number, "takes too much time or memory")
        _say(number, verdict(Kind(kind), text))


def _say(number: int, what: str | None) -> None:
    sys.stdout.write(json.dumps([number, what]) + "\n")
    sys.stdout.flush()


def verdict(kind: Kind, text: str) -> str | None:
    """What is wrong with a template of a kind; None if it can be filled in, also where little is known."""
    full, bare = _data(kind)
    try:
        template = compiled(text)
        rendered(template, full, _WORDS)
    except Refused as error:
        return str(error)
    try:
        rendered(template, bare, _WORDS)
    except Refused as error:
        return f"fails where the API says little: {error}; ask first, as in {{% if eta %}}…{{% endif %}}"
    return None


@cache  # To make a sample takes longer than to try a template on it.
def _data(kind: Kind) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """What a template of a kind is given where much is known, and where little is."""
    event = sample(kind).event
    return data_of(event, _WORDS), data_of(_bare(event), _WORDS)


def _bare(event: Event) -> Event:
    """The same event, with nothing in it that can be absent."""
    task = event.task and replace(
        event.task,
        started_at=None,
        ended_at=None,
        target=None,
        fail_message=None,
        nodes=replace(event.task.nodes, completed=(), in_flight=()),
    )
    stage = event.stage and replace(event.stage, began_at=None, ended_at=None)
    return replace(event, task=task, stage=stage, progress=None, eta=None)


if __name__ == "__main__":
    _main()
