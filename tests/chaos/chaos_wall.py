"""Runs the program with a wall clock that can be set from outside: ``python chaos_wall.py FILE run -c notifier.yaml``.

The file, where there is one, says by how many seconds it is wrong: at the start and again at SIGUSR1. The monotonic clock goes on
as it always does. (libfaketime 0.9.10 would do so from without, but makes ``time.sleep`` of Python 3.11 fail with EINVAL.)
"""

import signal
import sys
import time
from pathlib import Path

import time_machine

from notifier.cli import main

if __name__ == "__main__":
    file = Path(sys.argv.pop(1))
    wrong = float(file.read_text()) if file.exists() else 0.0
    traveller = time_machine.travel(time.time() + wrong, tick=True).start()
    signal.signal(
        signal.SIGUSR1, lambda *_: traveller.move_to(time_machine.escape_hatch.time.time() + float(file.read_text()), tick=True)
    )
    main()
