"""Counts wrong tokens by address, so that guessing takes for ever.

Above the limit a token is not looked at, right or wrong: an answer would be a guess answered. Who was let in from an address
before is let in again, so that another's forgotten script with an old token locks nobody out.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, IPv6Network, ip_address
from math import ceil

MOST = 5
"""Wrong tokens of one address within `SPAN`."""

SPAN = 60.0
"""Seconds."""

REMEMBERED = 1000
"""Addresses, the latest of them; more would let strangers fill the memory."""


@dataclass(slots=True)
class _Address:
    wrong: list[float] = field(default_factory=list)
    right: set[bytes] = field(default_factory=set)


class Guesses:
    """What was offered from where.

    Args:
        clock: Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    def wait(self, address: str, digest: bytes) -> int:
        """Whole seconds until a token from there is looked at; 0: now."""
        found = self._addresses.get(_whose(address))
        if found is None or digest in found.right:
            return 0
        now = self._clock()
        found.wrong = [at for at in found.wrong if now - at < SPAN]
        return 0 if len(found.wrong) < MOST else ceil(found.wrong[0] + SPAN - now)

    def note(self, address: str, digest: bytes, *, right: bool) -> None:
        """A token from there was looked at."""
        whose = _whose(address)
        found = self._addresses.setdefault(whose, _Address())
        self._addresses.move_to_end(whose)
        if right:
            found.right.add(digest)
        else:
            found.wrong.append(self._clock())
        while len(self._addresses) > REMEMBERED:
            self._addresses.popitem(last=False)


def _whose(address: str) -> str:
    """The address, or what one customer has of IPv6: a /64 (https://www.rfc-editor.org/rfc/rfc6177)."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    return str(IPv6Network((int(found), 64), strict=False)) if isinstance(found, IPv6Address) else address
