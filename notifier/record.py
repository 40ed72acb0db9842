"""Records and does nothing else: looks at every cluster as the watch would, keeps the answers, tells nobody."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from notifier import app, telemetry
from notifier.config import Settings
from notifier.signals import Signals
from notifier.sources.recorder import Recordings
from notifier.store.store import Store

IN_MEMORY = "sqlite://"
"""What is known lives as long as the recording: it decides how often each cluster is looked at."""


async def record(settings: Settings, folder: Path, *, names: bool, seconds: float | None, say: Callable[[str], None]) -> int:
    """Record until interrupted, or for so many seconds; how many answers were kept.

    Raises:
        OSError: Nothing can be written to the folder.
    """
    app.speak(settings)
    silent = replace(settings, sinks=(), routes=(), http=None, heartbeat=None, store=IN_MEMORY)
    signals = Signals()
    store = Store(IN_MEMORY).open()
    try:
        with Recordings(folder, names=names, trouble=telemetry.recording_failed) as kept:
            async with app.Crew(silent, store, recordings=kept) as crew:
                say(f"Recording {len(crew.poller.watches)} clusters to {folder}; Ctrl-C ends it.")
                await signals.stopped(seconds)
    finally:
        store.close()
    return kept.written
