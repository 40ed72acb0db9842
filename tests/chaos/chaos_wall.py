"""Runs the program with a wall clock that can be set from outside: ``python chaos_wall.py FILE run -c notifier.yaml``.

At SIGUSR1 the clock is moved by as many seconds as the file says; the monotonic clock goes on as it always does. (libfaketime
0.9.10 would do so from without, but makes ``time.sleep`` of Python 3.11 fail with EINVAL.)
"""

import signal
import sys
import time
from pathlib import Path

import time_machine

from notifier.cli import main

if __name__ == "__main__":
    file = Path(sys.argv.pop(1))
    traveller = time_machine.travel(time.time(), tick=True).start()
    signal.signal(signal.SIGUSR1, lambda *_: traveller.shift(float(file.read_text())))
    main()
