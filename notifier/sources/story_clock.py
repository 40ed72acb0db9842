"""The clock of a story that is watched: it waits for a watcher who is held up, so that he misses no part of it."""

import time


class StoryClock:
    """Goes on with the time, but between two looks no further than a watcher leaves between them anyway.

    Args:
        looks: For so many it stands still: what is over at the first look is told by nobody.
        longest: Seconds by which it goes on from one look to the next at the most.
    """

    def __init__(self, looks: int = 0, longest: float = 0.1) -> None:
        self._looks = looks
        self._longest = longest
        self._now = 0.0
        self._looked_at = time.monotonic()

    def __call__(self) -> float:
        """Look at it: the seconds that have passed in the story."""
        self._looks -= 1
        since, self._looked_at = self._looked_at, time.monotonic()
        if self._looks < 0:
            self._now += min(self._looked_at - since, self._longest)
        return self._now
