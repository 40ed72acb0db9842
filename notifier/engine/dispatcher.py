"""All outlets together: started, woken by name, stopped in time."""

import asyncio

from notifier.engine.outlet import Outlet


class Dispatcher:
    """All outlets, started and stopped together."""

    def __init__(self, outlets: list[Outlet]) -> None:
        self.outlets = {outlet.settings.name: outlet for outlet in outlets}
        for outlet in outlets:
            outlet.fallback.wake = self.told
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Start serving, on the running loop."""
        self._tasks = [asyncio.create_task(outlet.run(), name=f"outlet {name}") for name, outlet in self.outlets.items()]

    def told(self, sinks: frozenset[str]) -> None:
        """Wake the outlets of sinks that are owed news."""
        for name in sinks:
            if outlet := self.outlets.get(name):
                outlet.wake()

    async def stop(self, grace: float) -> None:
        """Stop all of them within ``grace`` seconds, together."""
        for outlet in self.outlets.values():
            outlet.close()
        # First the loops: a claim that comes back after the outlets have stopped would be sent behind everybody's back.
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(outlet.stop(grace) for outlet in self.outlets.values()))
