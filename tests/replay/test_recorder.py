"""What sources answer is kept: all of it, without secrets, within bounds, and never in the way of the watch."""

import gzip
import json
import random
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from notifier import app
from notifier.domain.errors import FetchError, FetchReason
from notifier.domain.model import Action, Cluster, Snapshot
from notifier.engine.recording import recordings
from notifier.outbound import open_session
from notifier.rebuilding import Rebuilding
from notifier.sources.contract import Answer
from notifier.sources.credentials import Given, Token
from notifier.sources.huawei_css import HuaweiCss
from notifier.sources.huawei_door import HuaweiDoor
from notifier.sources.recorder import Limits, Recordings
from notifier.sources.recording import Entry, Reading, RecordingError, files_of
from notifier.sources.redaction import Redaction
from notifier.sources.scenarios import CLUSTER_ID, EPOCH, PROJECT_ID, SCENARIOS
from notifier.sources.simulator import Simulator
from notifier.sources.wire import read_page, to_task
from notifier.store.store import Store

sys.path.append(str(Path(__file__).parents[1] / "engine"))  # Its patience is wanted here too.

from engine_scripts import eventually

CLUSTER = Cluster(CLUSTER_ID, "search-prod", "cn-north-4", "beijing", PROJECT_ID, {"env": "prod"})


def body(**facts: Any) -> bytes:
    (item,) = SCENARIOS["success"].state(700.0)
    return json.dumps({"totalSize": 1, "detailList": [{**item, **facts}]}).encode()


class Scripted:
    """A source that gives these answers, one after another."""

    def __init__(self, *answers: bytes | FetchError) -> None:
        self._answers = list(answers)

    async def fetch(self, cluster: Cluster, action: Action, last: bytes | None = None) -> Answer:
        answer = self._answers.pop(0)
        if isinstance(answer, FetchError):
            raise answer
        if answer == last:
            return Answer(answer, None)
        return Answer(answer, Snapshot(cluster, action, tuple(to_task(item) for item in read_page(answer).items)))


async def record(folder: Path, *answers: bytes | FetchError, **options: Any) -> list[str]:
    """Record these answers; what was said to be wrong."""
    trouble: list[str] = []
    with Recordings(folder, trouble=trouble.append, **options) as kept:
        source = kept.around(Scripted(*answers))
        last = None
        for answer in answers:
            try:
                last = (await source.fetch(CLUSTER, Action.UPGRADING, last)).body
            except FetchError as error:
                assert error is answer  # noqa: PT017 - the recorder passes it on as it is
    return trouble


def read(folder: Path) -> list[Entry]:
    reading = Reading(files_of([folder]))
    entries = list(reading.entries())
    assert reading.trouble == []
    return entries


def text(folder: Path) -> str:
    return "".join(gzip.decompress(path.read_bytes()).decode() for path in files_of([folder]))


async def test_answers_failures_and_repeats_are_kept_in_order(tmp_path: Path) -> None:
    first, second = body(), body(status="FAILED")
    failure = FetchError(FetchReason.SERVER, "HTTP 503")
    assert await record(tmp_path, first, first, failure, first, second) == []
    entries = read(tmp_path)
    assert [entry.failure and entry.failure.reason for entry in entries] == [None, None, "server", None, None]
    assert [entry.snapshot().tasks[0].status for entry in entries if not entry.failure] == ["RUNNING"] * 3 + ["FAILED"]
    assert text(tmp_path).count('"same":true') == 1
    assert all(entry.cluster == CLUSTER for entry in entries)


async def test_what_is_recorded_of_a_real_source_says_what_the_source_said(tmp_path: Path) -> None:
    """Pages and all: the history scenario has more tasks than fit on one."""
    for options in ({}, {"paging": "ignored"}):
        folder = tmp_path / str(len(options))
        async with Simulator(SCENARIOS["history"], **options) as cloud, open_session() as session:  # type: ignore[arg-type]
            source = HuaweiCss(HuaweiDoor(session, cloud.url, PROJECT_ID, Given(Token("t"))), page_limit=5)
            with Recordings(folder) as kept:
                plan = cloud.scenario.clusters[0]
                cluster = Cluster(plan.id, plan.name, "r", "p", PROJECT_ID)
                answer = await kept.around(source).fetch(cluster, Action.UPGRADING)
        (entry,) = read(folder)
        assert answer.snapshot == entry.snapshot()
        assert len(entry.pages) > 1


async def test_no_secret_is_ever_kept(tmp_path: Path) -> None:
    secrets = (
        "AKIAABCDEFGHIJKLMNOP",
        "abcdefghijABCDEFGHIJabcdefghijABCDEFGHIJ",
        "MIIYXQYJKoZIhvcNAQcCoIIYTjCCGEoCAQExDTALBglghkgBZQMEAgEwghZvBgkqhkiG9w0BBwGgghZgBIIWXHsidG9rZW4",
        "hunter2",
    )
    message = f"login with password=hunter2 or {secrets[0]} {secrets[1]}; X-Auth-Token: {secrets[2]}"
    failure = FetchError(FetchReason.REFUSED, f"HTTP 401: Access={secrets[0]} signature={secrets[2]}")
    assert await record(tmp_path, body(failMessage=message), failure) == []
    kept = text(tmp_path)
    assert not [secret for secret in secrets if secret in kept]
    assert "css_test_agency" not in kept
    assert "login with" in kept


async def test_names_are_replaced_where_that_is_wished_and_stay_the_same_throughout(tmp_path: Path) -> None:
    message = "css-test-ess-esn-2-1 of search-prod at 192.168.0.7 did not answer"
    assert await record(tmp_path, body(), body(status="FAILED", failMessage=message), names=True) == []
    kept = text(tmp_path)
    for name in (
        "css-test",
        "search-prod",
        "beijing",
        PROJECT_ID,
        CLUSTER_ID,
        "192.168.0.7",
        SCENARIOS["success"].state(700.0)[0]["id"],
    ):
        assert name not in kept, name
    first, second = read(tmp_path)
    one, other = first.snapshot().tasks[0], second.snapshot().tasks[0]
    assert (one.id, one.total, one.completed, one.in_flight) == (other.id, other.total, other.completed, other.in_flight)
    assert len(set(one.total)) == 3
    assert other.fail_message is not None
    assert other.total[1] in other.fail_message
    assert first.cluster.labels == {}


@settings(max_examples=20, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda each: st.lists(each) | st.dictionaries(st.text(), each),
        max_leaves=12,
    )
)
def test_whatever_the_answer_is_it_can_be_redacted(value: Any) -> None:
    for names in (False, True):
        redacted = Redaction(names=names, key=b"k").body(value)
        assert type(redacted) is type(value)
        json.dumps(redacted)


WORDS = [f"word{number}" for number in range(5000)]


async def test_a_new_file_is_begun_at_a_size_and_the_oldest_go(tmp_path: Path) -> None:
    draw = random.Random(1)
    answers = [body(failMessage=f"{number} " + " ".join(draw.choices(WORDS, k=60))) for number in range(300)]
    assert await record(tmp_path, *answers, limits=Limits(file=2000, folder=9000), clock=stepping()) == []
    files = files_of([tmp_path])
    sizes = [path.stat().st_size for path in files]
    assert len(files) > 2
    assert sum(sizes) <= 9000
    assert max(sizes) <= 4000
    kept = read(tmp_path)
    newest = kept[-1].snapshot().tasks[0].fail_message
    assert newest is not None
    assert newest.startswith("299 ")
    assert len(kept) < 300


def stepping() -> Callable[[], datetime]:
    """A clock that goes on by three seconds whenever it is read: every entry is flushed."""
    now = [EPOCH]

    def clock() -> datetime:
        now[0] += timedelta(seconds=3)
        return now[0]

    return clock


async def test_a_folder_that_goes_away_is_said_once_and_the_watch_goes_on(tmp_path: Path) -> None:
    folder, trouble = tmp_path / "gone", list[str]()
    with Recordings(folder, trouble=trouble.append, limits=Limits(file=1)) as kept:
        source = kept.around(Scripted(*[body(status=str(number)) for number in range(20)]))
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()
        for _ in range(20):
            assert (await source.fetch(CLUSTER, Action.UPGRADING)).snapshot is not None
    assert trouble == [f"nothing is recorded to {folder}: No such file or directory"]


def test_a_folder_that_cannot_be_made_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), Recordings(tmp_path / "file" / "folder"):
        pass


async def test_recordings_are_for_their_owner_only(tmp_path: Path) -> None:
    await record(tmp_path / "new", body())
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert [path.stat().st_mode & 0o777 for path in (tmp_path / "new").iterdir()] == [0o600]


async def test_what_was_flushed_is_there_though_the_program_was_killed(tmp_path: Path) -> None:
    with Recordings(tmp_path, clock=stepping()) as kept:
        source = kept.around(Scripted(body(), body(status="FAILED")))
        await source.fetch(CLUSTER, Action.UPGRADING)
        await source.fetch(CLUSTER, Action.UPGRADING)
        while kept.written < 2:
            pass  # The writer's thread is at it.
        (path,) = files_of([tmp_path])
        (tmp_path / "copy.jsonl.gz").write_bytes(path.read_bytes())
    reading = Reading([tmp_path / "copy.jsonl.gz"])
    assert [entry.snapshot().tasks[0].status for entry in reading.entries()] == ["RUNNING", "FAILED"]
    assert "line 4: the file ends in the middle" in reading.trouble[0]


async def test_a_recording_that_is_cut_anywhere_is_good_up_to_there(tmp_path: Path) -> None:
    await record(tmp_path, *[body(status=str(number)) for number in range(40)], clock=stepping())
    (path,) = files_of([tmp_path])
    whole, cut = path.read_bytes(), tmp_path / "cut"
    read_of: list[int] = []
    for length in range(0, len(whole), 97):
        cut.write_bytes(whole[:length])
        reading = Reading([cut])
        try:
            read_of.append(len(list(reading.entries())))
        except RecordingError:
            read_of.append(-1)
            continue
        assert reading.trouble
    assert read_of == sorted(read_of)
    assert read_of[-1] > 30


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"hello\n", "is no recording"),
        (b'{"recording": "something else"}\n', "is no recording"),
        (b'{"recording": "css-upgrade-notifier recording", "version": 9}\n', "is a recording of version 9"),
        (b"\x1f\x8bnot gzip at all", "no recording can be read of it"),
    ],
)
def test_what_is_no_recording_is_refused_with_its_name(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=said) as error:
        list(Reading([path]).entries())
    assert str(path) in str(error.value)


FIRST = '{"recording":"css-upgrade-notifier recording","version":1}'
WHO = '{"cluster":1,"is":{"id":"c","name":"n","region":"r","project":"p","project_id":"i"}}'
GOOD = '{"at":"2026-03-01T00:00:00Z","of":1,"action":"UPGRADING","pages":[{"totalSize":0}]}'


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "not a line of a recording"),
        ("[]", "not a line of a recording"),
        (GOOD.replace('"of":1', '"of":7'), "not a line of a recording"),
        (GOOD.replace("UPGRADING", "DANCING"), "not a line of a recording"),
        (GOOD.replace("00:00:00Z", "00:00:00"), "a time without its zone"),
        (GOOD.replace('"pages":[{"totalSize":0}]', '"failure":{"reason":"bad mood","detail":""}'), "not a line of a recording"),
        (WHO.replace('"id":"c",', ""), "not a line of a recording"),
        (GOOD.replace('"of":1', '"of":1,"same":true').replace("UPGRADING", "AZ_MIGRATION"), "the same as before, but"),
    ],
)
def test_a_line_that_cannot_be_read_is_named_and_the_others_are_used(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "plain.jsonl"
    path.write_text(f"{FIRST}\n{WHO}\n{GOOD}\n{line}\n{GOOD}\n")
    reading = Reading([path])
    assert len(list(reading.entries())) == 2
    (trouble,) = reading.trouble
    assert trouble.startswith(f"{path}: line 4: ")
    assert said in trouble


def test_an_answer_that_the_api_never_gives_is_an_error_with_its_time() -> None:
    entry = Entry(datetime(2026, 3, 1, tzinfo=UTC), CLUSTER, Action.UPGRADING, ({"neither": 1},))
    with pytest.raises(RecordingError, match="2026-03-01T00:00:00"):
        entry.snapshot()


async def test_run_records_beside_the_watch_and_the_replay_tells_the_same(tmp_path: Path) -> None:
    """What the watch committed and what its recording leads to are the same events, in their order."""
    config = tmp_path / "notifier.yaml"
    began: list[float] = []
    # The cloud stands still until it was looked at: a task that is over by then is told by nobody.
    async with Simulator(SCENARIOS["quick"], speed=20, monotonic=lambda: time.monotonic() - began[0] if began else 0.0) as cloud:
        plan = cloud.scenario.clusters[0]
        config.write_text(
            "projects:\n"
            f"  - {{name: p, region: cn-north-4, project_id: {PROJECT_ID}, endpoint: '{cloud.url}', credentials: {{token: t}},\n"
            f"     clusters: [{{id: {plan.id}}}]}}\n"
            "poll: {active: 100ms, idle: 200ms, rate: 1000}\n"
            f"store: 'sqlite:///{tmp_path}/n.db'\n"
            "sinks: {console: {type: console}}\n"
            "routes: [{match: {kind: task.stalled}, sinks: [console]}]\n"
            "http: {listen: '127.0.0.1:0'}\n"
        )
        settings = app.load(config)
        store = Store(settings.store).open()
        try:
            with recordings(tmp_path / "rec") as kept:
                async with app.Crew(settings, store, recordings=kept):
                    await eventually(lambda: _looked_at(store, plan.id), within=60)
                    began.append(time.monotonic())
                    await eventually(lambda: _ended(store), within=60)
                    told = await store.transact(lambda tx: tx.events(limit=200))
        finally:
            store.close()
    again = [event.id for event in Rebuilding().events(read(tmp_path / "rec"))]
    assert again == [event.id for _, event in told]


async def _looked_at(store: Store, cluster: str) -> bool:
    known, _ = await store.transact(lambda tx: tx.known(Cluster(cluster, "", "", "", PROJECT_ID)))
    return known.baselines == frozenset(Action)


async def _ended(store: Store) -> bool:
    return bool(await store.transact(lambda tx: tx.events(kind="task.succeeded")))


def test_a_folder_without_recordings_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="there is no recording"):
        files_of([tmp_path])
