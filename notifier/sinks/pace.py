"""How fast a receiver may be told: a pace that several sinks share where the receiver counts them as one.

A bot's token has one allowance for a whole workspace, however many channels are told. So the pace belongs to the token and not to
the sink: the program lends all of its sinks the same `Paces`, and those that ask for the same key get the same pace.
"""

import time
from collections.abc import Callable
from hashlib import sha256


class Pace:
    """Turns, one after another, each with a gap behind it."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._next = 0.0

    def wait(self) -> float:
        """Seconds until the next turn is free; 0 if it is."""
        return max(self._next - self._clock(), 0.0)

    def take(self, gap: float) -> float:
        """Take the next turn; seconds until it comes. Whoever comes after waits ``gap`` seconds more."""
        now = self._clock()
        mine = max(self._next, now)
        self._next = mine + gap
        return mine - now


class Paces:
    """The paces of one program, by what they are shared by."""

    def __init__(self) -> None:
        self._paces: dict[bytes, Pace] = {}

    def of(self, *key: str) -> Pace:
        """The pace of a key, which may hold a secret: only its hash is kept."""
        return self._paces.setdefault(sha256("\0".join(key).encode()).digest(), Pace())
