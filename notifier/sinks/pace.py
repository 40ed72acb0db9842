"""How fast a receiver may be told: a pace that several sinks share where the receiver counts them as one.

A bot's token has one allowance for a whole workspace, however many channels are told. So the pace belongs to the token and not to
the sink: the program lends all of its sinks the same `Paces`, and those that ask for the same key get the same pace. Of several
programs that work together, turns are taken where all of them see it, see `Turns`.
"""

import time
from collections.abc import Callable
from hashlib import sha256
from typing import Protocol

ANY = float("inf")
"""However long it takes until a turn comes."""


class Turns(Protocol):
    """Where a turn is taken that other programs want as well."""

    async def take(self, key: str, gap: float, within: float) -> float:
        """As `Pace.take`, for all who name the same key."""


class Pace:
    """Turns, one after another, each with a gap behind it.

    Attributes:
        key: The same for all who share it; tells nothing of what it was made of.
    """

    def __init__(self, key: str = "", turns: Turns | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self.key = key
        self._turns = turns
        self._clock = clock
        self._next = 0.0

    def wait(self) -> float:
        """Seconds until the next turn is free, as far as this program knows; 0 if it is."""
        return max(self._next - self._clock(), 0.0)

    def took(self, gap: float) -> float:
        """A turn was taken where all see it, or there is nobody else; seconds until it comes in this program."""
        now = self._clock()
        mine = max(self._next, now)
        self._next = mine + gap
        return mine - now

    async def take(self, gap: float, *, within: float = ANY) -> float:
        """Take the next turn; seconds until it comes. Whoever comes after waits ``gap`` seconds more.

        ``within``: A turn that is further off is left to others: what is returned then is more than that.
        """
        if self.wait() > within:
            return self.wait()
        if self._turns is None:
            return self.took(gap)
        others = await self._turns.take(self.key, gap, within)
        return others if others > within else max(self.took(gap), others)


class Paces:
    """The paces of one program, by what they are shared by. ``turns``: where they are shared with other programs."""

    def __init__(self, turns: Turns | None = None) -> None:
        self._turns = turns
        self._paces: dict[str, Pace] = {}

    def of(self, *key: str) -> Pace:
        """The pace of a key, which may hold a secret: only its hash is kept."""
        name = sha256("\0".join(key).encode()).hexdigest()
        return self._paces.setdefault(name, Pace(name, self._turns))
