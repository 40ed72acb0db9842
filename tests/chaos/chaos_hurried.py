"""Runs the program with its days and minutes made shorter: ``python chaos_hurried.py FACTOR run -c notifier.yaml``.

What the configuration says is said there. This is what it has no key for: how long a sink that is down is left alone, and how
often what has been owed for too long is looked for.
"""

import sys

from notifier.cli import main
from notifier.domain import retry
from notifier.engine import dispatcher

if __name__ == "__main__":
    factor = float(sys.argv.pop(1))
    retry.PROBE_EVERY /= factor
    dispatcher.SWEEP /= factor
    main()
