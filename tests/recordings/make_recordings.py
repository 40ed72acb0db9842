"""Makes the recordings of this folder and the events that must follow from them: ``python tests/recordings/make_recordings.py``.

They are made of the simulator's scenarios, looked at every 20 seconds, and of the two answers that Huawei's page shows; the one
with a hang is written by the program's own recorder, with digests. A change of the expected events is a change of what people are
told: look at each line before it is committed. Recordings of real clusters go here too; what makes them (``notifier record``)
leaves out secrets, and with ``--redact names`` names as well.
"""

import asyncio
import gzip
import io
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from notifier.domain.errors import FetchReason
from notifier.domain.model import Action, Cluster, Event, Snapshot, Timing
from notifier.domain.render import iso
from notifier.rebuilding import Rebuilding
from notifier.sources.contract import Answer
from notifier.sources.recorder import Recordings
from notifier.sources.recording import SUFFIX, Entry, Failed, Reading, Script, files_of
from notifier.sources.redaction import Redaction
from notifier.sources.scenarios import CLUSTER_ID, EPOCH, PROJECT_ID, SCENARIOS, Scenario
from notifier.sources.wire import read_page, to_task

FOLDER = Path(__file__).parent
DATA = FOLDER.parent / "data"
STEP = 20.0
LINGER = 700.0
"""Seconds that are looked on after nothing happens any more: long enough to miss a cluster that is gone."""

PLAYED = (
    "success",
    "failure",
    "retry-at-zero",
    "retry-at-stage",
    "az",
    "batch",
    "partial",
    "silent-failure",
    "vanish",
    "quick",
    "variants",
)
KEPT = "hang"
"""The scenario that the recorder keeps."""

SEEDS = {"seed_upgrade": Action.UPGRADING, "seed_az": Action.AZ_MIGRATION}
OUTAGES = {"success": (900.0, 1400.0), "az": (1000.0, 1100.0)}
"""Scenario seconds in which the API gives no good answer: one long enough to be told, one not."""


def scenario(name: str) -> Iterator[Entry]:
    """What a poll of each cluster and action saw every `STEP` seconds."""
    played, redaction = SCENARIOS[name], Redaction(names=False, key=b"")
    began, ended = OUTAGES.get(name, (0.0, 0.0))
    at = 0.0
    while at <= played.end + LINGER:
        for plan in played.clusters:
            cluster = Cluster(plan.id, plan.name, "cn-north-4", "recorded", PROJECT_ID, {"env": "test"})
            for action in Action:
                now = EPOCH + timedelta(seconds=at)
                if not plan.exists(at):
                    yield Entry(now, cluster, action, failure=Failed(FetchReason.GONE.value, "HTTP 403 CSS.0015"))
                elif began <= at < ended:
                    yield Entry(now, cluster, action, failure=Failed(FetchReason.SERVER.value, "HTTP 503"))
                else:
                    items = plan.state(at, action)
                    body = redaction.body({"totalSize": len(items), "detailList": items})
                    yield Entry(now, cluster, action, (body,))
        at += STEP


def seed(name: str) -> Iterator[Entry]:
    """Nothing, then the documented answer, then the same again, then a completed task."""
    action, answer = SEEDS[name], json.loads((DATA / f"{name}.json").read_text())
    cluster = Cluster(CLUSTER_ID, "css-test", "cn-north-4", "recorded", PROJECT_ID)
    start = datetime(2023, 1, 5, 3, tzinfo=UTC)
    over = json.loads(json.dumps(answer))
    task = over["detailList"][0]
    task |= {"status": "SUCCESS", "completedNodes": task["totalNodes"], "currentNodeName": "", "currentNodeDetail": []}
    for number, body in enumerate(({"totalSize": 0, "detailList": []}, answer, answer, over)):
        yield Entry(start + timedelta(minutes=number), cluster, action, (body,))


def recorded() -> Mapping[str, Iterable[Entry]]:
    """Every recording that is made here."""
    return {name: scenario(name) for name in PLAYED} | {name: seed(name) for name in SEEDS}


class Played:
    """The scenario as a source at a moment that is set; gives `Recordings` its clock."""

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self.at = 0.0

    @property
    def clusters(self) -> list[Cluster]:
        return [Cluster(plan.id, plan.name, "cn-north-4", "recorded", PROJECT_ID) for plan in self._scenario.clusters]

    @property
    def end(self) -> float:
        return self._scenario.end + STEP

    def now(self) -> datetime:
        return EPOCH + timedelta(seconds=self.at)

    async def fetch(self, cluster: Cluster, action: Action, last: bytes | None = None) -> Answer:
        items = self._scenario.state(self.at, cluster.id, action)
        body = json.dumps({"totalSize": len(items), "detailList": items}).encode()
        tasks = None if body == last else tuple(to_task(item) for item in read_page(body).items)
        return Answer(body, None if tasks is None else Snapshot(cluster, action, tasks))


async def kept(scenario: Scenario, folder: Path) -> Path:
    """A recording of a scenario that `Recordings` wrote, in this folder, which is empty."""
    played = Played(scenario)
    with Recordings(folder, clock=played.now, trouble=print) as recordings:
        source, bodies = recordings.around(played), dict[tuple[str, Action], bytes]()
        while played.at <= played.end:
            for cluster in played.clusters:
                for action in Action:
                    answer = await source.fetch(cluster, action, bodies.get((cluster.id, action)))
                    bodies[cluster.id, action] = answer.body
            played.at += STEP
    (path,) = files_of([folder])
    return path


def written(entries: Iterable[Entry]) -> bytes:
    """A recording; the same entries give the same bytes."""
    script, raw = Script(), io.BytesIO()
    with gzip.GzipFile(fileobj=raw, mode="wb", filename="", mtime=0) as file:
        file.write(Script.first_line([]).encode())
        for entry in entries:
            file.writelines(line.encode() for line in script.lines(entry))
    return raw.getvalue()


def told(event: Event) -> dict[str, Any]:
    """What of an event a recording is a witness of; words, progress and forecasts have tests of their own."""
    facts = {
        "cluster": event.cluster.name,
        "kind": event.kind.value,
        "sequence": event.sequence,
        "id": event.id,
        "time": iso(event.time),
        "seen": iso(event.observed_at),
        "task": event.task and f"{event.task.status} {event.task.attempt}",
        "node": event.node,
        "stage": event.stage and f"{event.stage.order} {event.stage.name}",
        "message": event.task and event.task.fail_message,
        "inferred": not event.observed,
        "catch_up": event.catch_up,
        "outage": event.outage and event.outage.reason,
        "timing": event.timing and _timing(event.timing),
    }
    return {name: value for name, value in facts.items() if value}


def _timing(timing: Timing) -> str:
    usual = "" if timing.usual is None else f", usual {timing.usual:.0f} s by {timing.basis}"
    return f"{timing.lasted:.0f} s since {iso(timing.since)}{usual}"


def rebuilt(path: Path) -> list[dict[str, Any]]:
    """The events that follow from a recording."""
    reading, rebuilding = Reading([path]), Rebuilding()
    events = [told(event) for event in rebuilding.events(reading.entries())]
    trouble = [*reading.trouble, *rebuilding.trouble]
    if trouble:
        raise AssertionError(trouble)
    return events


def expected(path: Path) -> Path:
    """Where the events of a recording are written down."""
    return path.with_name(path.name.removesuffix(SUFFIX) + ".events.jsonl")


def main(given: Sequence[str]) -> int:
    """Without arguments: make all that is made here. With the paths of recordings: write down what follows from them."""
    for name, entries in () if given else recorded().items():
        (FOLDER / f"{name}{SUFFIX}").write_bytes(written(entries))
    if not given:
        with tempfile.TemporaryDirectory() as folder:
            (FOLDER / f"{KEPT}{SUFFIX}").write_bytes(asyncio.run(kept(SCENARIOS[KEPT], Path(folder))).read_bytes())
    for path in [Path(name) for name in given] or [FOLDER / f"{name}{SUFFIX}" for name in (*recorded(), KEPT)]:
        events = rebuilt(path)
        expected(path).write_text("".join(json.dumps(event, ensure_ascii=False) + "\n" for event in events), encoding="utf-8")
        print(f"{path.name}: {path.stat().st_size} bytes, {len(events)} events", file=sys.stderr)  # noqa: T201 - a script
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
