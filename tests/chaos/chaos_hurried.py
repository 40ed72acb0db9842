"""Runs the program with its days and minutes made shorter: ``python chaos_hurried.py FACTOR [PROGRAM …] run -c notifier.yaml``.

What the configuration says is said there. This is what it has no key for: how long a sink that is down is left alone, how often
what has been owed for too long is looked for, and how soon one message to a channel of Slack follows another. ``PROGRAM``: what
runs it, if that is Python too.
"""

import runpy
import sys

from notifier.cli import main
from notifier.domain import retry
from notifier.engine import outlet
from notifier.sinks import slack_channel

if __name__ == "__main__":
    factor = float(sys.argv.pop(1))
    retry.PROBE_EVERY /= factor
    outlet.SWEEP /= factor
    slack_channel.POST_GAP /= factor
    if sys.argv[1].endswith(".py"):
        del sys.argv[0]
        runpy.run_path(sys.argv[0], run_name="__main__")
    else:
        main()
