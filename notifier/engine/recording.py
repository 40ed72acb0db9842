"""Where the answers of all sources are kept, if somebody wishes it."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

from notifier import telemetry
from notifier.sources.recorder import Recordings


def recordings(folder: Path | None, *, names: bool = False) -> AbstractContextManager[Recordings | None]:
    """The folder to record to, if there is one. What goes wrong with it is logged."""
    return nullcontext() if folder is None else Recordings(folder, names=names, trouble=telemetry.recording_failed)
