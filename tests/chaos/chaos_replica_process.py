"""A replica as ``notifier run`` is one, but with a short lease and perhaps a wrong clock: ``CONFIG LEASE AHEAD`` (seconds)."""

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import time_machine

from notifier import app


def main(arguments: list[str]) -> None:
    config, lease, ahead = Path(arguments[0]), float(arguments[1]), float(arguments[2])
    if not ahead:
        asyncio.run(app.run(config, lease=lease))
        return
    with time_machine.travel(datetime.now(UTC) + timedelta(seconds=ahead), tick=True):
        asyncio.run(app.run(config, lease=lease))


if __name__ == "__main__":
    main(sys.argv[1:])
