"""The program under test: a real process, started, killed, stopped, continued and ended from outside."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from chaos_audit import Blow
from chaos_forked import Forked
from chaos_ledger import SECRET

from notifier import cli
from notifier.sources.scenarios import Scenario

SLOTS = 8

CONFIG = """\
projects:
  - name: fleet
    region: cn-north-4
    project_id: 6204a5bd270343b5885144cf9c8c158d
    endpoint: {cloud}
    credentials: {{access_key: AK, secret_key: SK}}
    clusters:
{clusters}
poll: {{active: {active}, idle: {idle}, timeout: {timeout}, rate: 2000, unreachable_after: {unreachable_after}}}
store: {store}
sinks:
{sinks}
routes:
  - {{match: {{kind: "*"}}, sinks: [{names}]}}
delivery: {{first_retry: 100ms, max_retry: 1s}}
http: {http}
log: {{format: json, level: warning}}
"""

EVERY, SECOND = 10, 2
"""Of so many starts one is from nothing, first that after the first blow; the others fork a process that has read the program."""

HOOK = '  {name}: {{type: webhook, url: "{url}", secret: {secret}, concurrency: {slots}{more}}}'


def configuration(
    folder: Path,
    scenario: Scenario,
    cloud: str,
    hooks: dict[str, str],
    *,
    more: str = "",
    each: Mapping[str, str] | None = None,
    others: Mapping[str, str] | None = None,
    store: str | None = None,
    http: str = "off",
    active: str = "150ms",
    idle: str = "300ms",
    timeout: str = "500ms",
    unreachable_after: str = "5m",
) -> Path:
    """Write the configuration that watches all of a scenario and tells everything to every hook, and to the ``others``.

    ``more`` is said of all hooks, ``each`` of one by its name, and all there is to say of another sink by its own.
    """
    others = others or {}
    text = CONFIG.format(
        cloud=cloud,
        clusters="\n".join(f"      - {{id: {each.id}, name: {each.name}}}" for each in scenario.clusters),
        store=store or f"sqlite:///{folder}/notifier.db",
        sinks="\n".join(
            [
                HOOK.format(name=name, url=url, secret=SECRET, slots=SLOTS, more=more + (each or {}).get(name, ""))
                for name, url in hooks.items()
            ]
            + [f"  {name}: {settings}" for name, settings in others.items()]
        ),
        names=", ".join([*hooks, *others]),
        http=http,
        active=active,
        idle=idle,
        timeout=timeout,
        unreachable_after=unreachable_after,
    )
    path = folder / "notifier.yaml"
    path.write_text(text)
    return path


def page_at(port: int) -> str:
    """What the configuration says of a status page at that port of this machine."""
    return f"{{listen: '127.0.0.1:{port}'}}"


@dataclass
class Bot:
    """One process at a time; what was done to it is noted."""

    config: Path
    before: Sequence[str] = ()
    """What runs the program: a tracer, say."""
    program: Sequence[str] = ()
    """What is run instead of it."""
    environ: dict[str, str] = field(default_factory=dict)
    blows: list[Blow] = field(default_factory=list)
    process: asyncio.subprocess.Process | Forked | None = None
    starts: int = 0

    @property
    def pid(self) -> int:
        """The program's own, whatever runs it."""
        assert self.process is not None
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0]) if self.before else pid

    @property
    def log(self) -> str:
        path = self.config.with_suffix(".log")
        return path.read_text(errors="replace") if path.exists() else ""

    async def start(self) -> None:
        """Run the program."""
        path = self.config.with_suffix(".log")
        self.starts += 1
        if not (self.before or self.program or self.starts % EVERY == SECOND):
            self.process = await Forked.start(_program, ["run", "-c", str(self.config)], path, self.environ)
            return
        with path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *self.before,
                sys.executable,
                *(self.program or ("-m", "notifier")),
                "run",
                "-c",
                str(self.config),
                stdout=log,
                stderr=log,
                env={**os.environ, **self.environ},
            )

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.returncode is None

    def send(self, number: signal.Signals) -> None:
        """Strike; that it may leave something under way is noted."""
        assert self.process is not None
        assert self.running, self.log[-4000:]
        if number is not signal.SIGCONT:
            self.blows.append(Blow(time.monotonic(), number.name))
        self.process.send_signal(number)

    async def end(self, number: signal.Signals, timeout: float = 60.0) -> int:
        self.send(number)
        assert self.process is not None
        return await asyncio.wait_for(self.process.wait(), timeout)

    async def leave(self) -> None:
        """End it kindly, if it runs: what it lets go of at the end would be repeated by the next start, which does not come.

        A process that has just been started dies of a SIGTERM before it can do anything.
        """
        if self.running:
            assert await self.end(signal.SIGTERM) in {0, -signal.SIGTERM}, self.log[-4000:]

    async def clear(self) -> None:
        """Nothing of it may outlive the test."""
        if self.running:
            assert self.process is not None
            self.process.kill()
            await self.process.wait()


def _program(arguments: list[str]) -> None:
    cli.main(arguments)
