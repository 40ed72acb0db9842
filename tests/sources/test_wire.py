"""Answers as they come, and the tasks we would write by hand for them."""

import json
from contextlib import suppress
from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from notifier.domain.model import Stage, Task
from notifier.sources import wire
from notifier.sources.wire import (
    MAX_TASKS,
    Drift,
    DriftKind,
    UnreadableError,
    drift,
    moment,
    names,
    read_page,
    text,
    to_task,
)

DATA = Path(__file__).parents[1] / "data"
MIGRATES = "Data is migrated from a node to other nodes in the cluster by running the exclude command."
REFRESHES = (
    "The cluster task status is refreshed. If there are no nodes to be replaced, the task is marked as completed. "
    "Otherwise, another node starts to be replaced."
)
NODES = ("css-test-ess-esn-1-1", "css-test-ess-esn-2-1", "css-test-ess-esn-3-1")


def at(moment: str) -> datetime:
    return datetime.fromisoformat(moment).replace(tzinfo=UTC)


def tasks(body: bytes) -> list[Task]:
    return [to_task(item) for item in read_page(body).items]


def one(**fields: Any) -> Task:
    [task] = tasks(json.dumps({"totalSize": 1, "detailList": [{"id": "t", **fields}]}).encode())
    return task


def test_the_documented_upgrade_reads_as_one_would_write_it_by_hand() -> None:
    assert tasks((DATA / "seed_upgrade.json").read_bytes()) == [
        Task(
            id="b7ac4c5b-3bda-4feb-a303-eb80f4bce986",
            status="RUNNING",
            executions=1,
            total=NODES,
            completed=(),
            in_flight=(NODES[0],),
            current_node=NODES[0],
            stages=(
                Stage(0, "Data migration", "SUCCESS", MIGRATES, at("2023-01-05T02:23:42"), at("2023-01-05T02:29:51")),
                Stage(12, "Task status update", "WAITING", REFRESHES),
            ),
            started_at=at("2023-01-05T02:23:39"),
            target="7.10.2_22.5.1_1230",
        )
    ]


def test_the_documented_az_migration_reads_as_one_would_write_it_by_hand() -> None:
    assert tasks((DATA / "seed_az.json").read_bytes()) == [
        Task(
            id="8ebe958b-b8c6-4939-b5a7-85aee9468888",
            status="RUNNING",
            executions=1,
            total=(NODES[1], NODES[0], NODES[2]),
            completed=(NODES[1],),
            in_flight=(NODES[0],),
            current_node=NODES[0],
            stages=(
                Stage(0, "Data migration", "SUCCESS", MIGRATES, at("2022-12-29T08:41:05"), at("2022-12-29T08:41:23")),
                Stage(12, "Task status update", "RUNNING", REFRESHES, at("2023-01-04T06:53:42")),
            ),
            started_at=at("2022-12-29T08:32:29"),
            target="cn-north-4c",
        )
    ]


def test_the_seeds_hold_nothing_that_is_not_known() -> None:
    for name in ("seed_upgrade.json", "seed_az.json"):
        assert drift(read_page((DATA / name).read_bytes())) == frozenset()


def test_a_failed_upgrade_tells_its_message_and_where_it_stopped() -> None:
    task = one(
        status="FAILED",
        totalNodes="n1",
        completedNodes="",
        currentNodeName="n1",
        failMessage="[402c6c3]RdsBindExistPortToInstanceTask-fail:null",
        executeTimes="1",
        endTime="2024-07-19T09:16:20",
    )
    assert task.in_flight == ("n1",)
    assert task.fail_message == "[402c6c3]RdsBindExistPortToInstanceTask-fail:null"
    assert task.ended_at == at("2024-07-19T09:16:20")


@pytest.mark.parametrize("nothing", ["absent", None, "", []])
def test_whatever_is_absent_null_or_empty_means_nothing_is_there(nothing: Any) -> None:
    lists = dict.fromkeys(("totalNodes", "completedNodes", "currentBatchNodes", "currentNodeDetail"), nothing)
    scalars = dict.fromkeys(
        (
            "status",
            "startTime",
            "endTime",
            "currentNodeName",
            "executeTimes",
            "migrateParam",
            "finalAzInfoMap",
            "failMessage",
            "imageInfo",
        ),
        None if nothing == [] else nothing,
    )
    fields = {} if nothing == "absent" else lists | scalars
    assert one(**fields) == Task(id="t", status="")


@pytest.mark.parametrize(
    "body", ['{"totalSize":0}', '{"detailList":null}', '{"detailList":[]}', '{"totalSize":"","detailList":[null]}']
)
def test_a_list_without_tasks_is_a_good_answer(body: str) -> None:
    assert tasks(body.encode()) == []


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "an empty body"),
        (b"  \n", "an empty body"),
        (b"{}", "neither totalSize nor detailList"),
        (b'{"errCode":"CSS.0001"}', "neither totalSize nor detailList"),
        (b"[]", "object"),
        (b"null", "object"),
        (b"7", "object"),
        (b"<!doctype html><h1>HTTP STATUS: 500", "HTML or XML, not JSON"),
        (b'{"totalSize":1,"detailList":[{"id":"a"', "Invalid JSON: EOF"),
        (b'{"totalSize":1} and more', "trailing characters"),
        (b'{"totalSize":"many"}', "totalSize"),
        (b'{"totalSize":NaN}', "totalSize"),
        (b'{"totalSize":1.5}', "totalSize"),
        (b'{"detailList":{"id":"a"}}', "detailList: Input should be a valid array"),
        (b'{"detailList":["a"]}', "detailList.0"),
        (b'{"detailList":[{"id":{}}]}', "detailList.0.id"),
        (b'{"detailList":[{"id":"a","currentNodeDetail":[3]}]}', "currentNodeDetail"),
        (b'{"detailList":[{"id":"a","status":["RUNNING"]}]}', "status"),
        (b'{"totalSize":' + b"9" * 5000 + b"}", "number out of range"),
        (b'{"totalSize":0,"new":' + b"9" * 5000 + b"}", "number out of range"),
        (b"[" * 100_000, "recursion limit exceeded"),
        (b'{"totalSize":0,"new":' + b"[" * 100_000, "recursion limit exceeded"),
        (b'{"totalSize":0,"new":' + b'{"a":' * 200 + b"0" + b"}" * 201, "recursion limit exceeded"),
        (b'{"detailList":[' + b"null," * MAX_TASKS + b"null]}", "detailList"),
    ],
)
def test_what_is_no_answer_is_unreadable_and_never_no_tasks(body: bytes, why: str) -> None:
    with pytest.raises(UnreadableError) as caught:
        read_page(body)
    assert why in str(caught.value)
    assert len(str(caught.value)) <= 256
    assert str(caught.value).isprintable()


def test_brackets_in_a_text_are_no_depth() -> None:
    noisy = json.dumps({"totalSize": 1, "detailList": [{"id": "a", "failMessage": '[{"\\' * 1000}]}).encode()
    assert len(tasks(noisy)) == 1


def test_an_answer_of_the_wrong_shape_is_read_only_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_read_mended", lambda _: pytest.fail("read again"))
    with pytest.raises(UnreadableError, match="at most 1000"):
        read_page(json.dumps({"detailList": [{"id": str(number)} for number in range(2000)]}).encode())


def test_a_list_that_is_far_too_long_is_not_even_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    # A hundred thousand tasks took the loop more than a second when they were read, searched for depth, mended and read again.
    monkeypatch.setattr(wire, "Page", None)
    with pytest.raises(UnreadableError, match="more than 40000 objects"):
        read_page(json.dumps({"detailList": [{"id": str(number)} for number in range(100_000)]}).encode())


def test_a_thousand_tasks_are_read() -> None:
    many = json.dumps({"totalSize": MAX_TASKS, "detailList": [{"id": str(number)} for number in range(MAX_TASKS)]})
    assert len(tasks(many.encode())) == MAX_TASKS


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        (b"a\\ud800b", "a�b"),
        (b"a\\udc00\\ud800", "a��"),
        (b"\\ud83d\\ude00", "😀"),
        (b"\\ud800\\ud83d\\ude00", "�😀"),
        (b"\\\\ud800", "\\ud800"),
        (b"a\\u0000b", "a�b"),
        (b"a\\u001b[31mb\\u009b", "a�[31mb�"),
        (b"line\\nnext\\tcell\\u2028x", "line next cell x"),
        (b"\\u202eevil\\u202c\\u2066", "evil"),
        (b"bad \xff byte", "bad � byte"),
        ("中文阶段".encode(), "中文阶段"),
        (b"a\\u3000b\\u00a0c", "a\u3000b\u00a0c"),
    ],
)
def test_text_is_made_harmless_and_never_spoils_the_answer(raw: bytes, clean: str) -> None:
    [task] = tasks(b'{"totalSize":1,"detailList":[{"id":"t","failMessage":"' + raw + b'","currentNodeName":"' + raw + b'"}]}')
    assert task.fail_message == clean
    assert task.current_node == clean
    clean.encode()


def test_a_byte_order_mark_does_not_spoil_the_answer() -> None:
    assert tasks(b"\xef\xbb\xbf" + b'{"totalSize":0}') == []


def test_text_has_a_longest_length() -> None:
    assert one(currentNodeName="n" * 300).current_node == "n" * 255 + "…"
    assert one(currentNodeName="n" * 256).current_node == "n" * 256
    long = one(failMessage="m" * 5000, currentNodeDetail=[{"desc": "d" * 5000}])
    assert long.fail_message is not None
    assert len(long.fail_message) == len(long.stages[0].description) == 4096


@given(st.text(st.characters()))
def test_no_text_whatever_gets_through_with_a_control_a_surrogate_or_a_bidi_character(raw: str) -> None:
    clean = text(raw)
    clean.encode()
    assert len(clean) <= 256
    assert text(clean) == clean
    assert not set(clean) & {chr(code) for code in (*range(32), *range(127, 160), 0x202E, 0x2066, 0x2028)}


NO_TIMES: tuple[object, ...] = (
    None,
    "",
    "--",
    " ",
    0,
    -1,
    True,
    [],
    {},
    "soon",
    "2023-02-30T00:00:00",
    "1999-01-01",
    "9998-01-01",
)
WILD_TIMES = ("0001-01-01T00:00:00+08:00", "9999-12-31T23:59:59-08:00", 10**30, "9" * 400, float("nan"), float("inf"))


@pytest.mark.parametrize("value", NO_TIMES + WILD_TIMES)
def test_an_impossible_time_is_none(value: object) -> None:
    assert moment(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("2023-01-05T02:23:42", "2023-01-05T02:23:42"),
        ("2023-01-05T02:23:42Z", "2023-01-05T02:23:42"),
        ("2023-01-05T10:23:42+08:00", "2023-01-05T02:23:42"),
        ("2023-01-05 02:23:42.5", "2023-01-05T02:23:42.500000"),
        (1520408087099, "2018-03-07T07:34:47.099000"),
        ("1520408087099", "2018-03-07T07:34:47.099000"),
        (1520408087, "2018-03-07T07:34:47"),
        (1520408087099.0, "2018-03-07T07:34:47.099000"),
    ],
)
def test_times_are_utc_however_they_are_written(value: object, expected: str) -> None:
    assert moment(value) == at(expected)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a,b", ("a", "b")),
        (" a , b ,, a", ("a", "b")),
        (["a", None, " b", ""], ("a", "b")),
        ("a_b-1", ("a_b-1",)),
        (",", ()),
    ],
)
def test_lists_come_joined_or_as_lists(value: Any, expected: tuple[str, ...]) -> None:
    assert names(value) == expected
    assert one(totalNodes=value).total == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("1", 1),
        (2, 2),
        (" 3", 3),
        (4.0, 4),
        ("", None),
        (None, None),
        ("x", None),
        (1.5, None),
        (True, None),
        (-1, None),
        ([], None),
        (2**31, None),
    ],
)
def test_executions_come_as_a_number_or_as_text(value: Any, expected: int | None) -> None:
    assert one(executeTimes=value).executions == expected


def test_an_execution_count_beyond_all_measure_is_none() -> None:
    assert one(executeTimes="9" * 5000).executions is None
    [task] = tasks(b'{"totalSize":1,"detailList":[{"id":"t","executeTimes":NaN,"startTime":Infinity}]}')
    assert (task.executions, task.started_at) == (None, None)


def test_stages_keep_their_orders_with_holes_and_without_one_take_their_place() -> None:
    found = one(currentNodeDetail=[{"order": "12"}, None, {"order": 0}, {"order": None}, {"order": -5}, {"order": "x"}]).stages
    assert [stage.order for stage in found] == [12, 0, 3, 4, 5]


def test_the_batch_in_flight_is_what_is_at_work_and_not_completed() -> None:
    batch = one(status="RUNNING", currentBatchNodes="a, b,c", currentNodeName="d", completedNodes="b")
    assert batch.in_flight == ("a", "c", "d")
    assert one(status="RUNNING", currentNodeName="a", currentBatchNodes="a").in_flight == ("a",)
    assert one(status="FAILED", currentNodeName="a").in_flight == ("a",)
    assert one(status="SUCCESS", currentNodeName="a", currentBatchNodes="b").in_flight == ()


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"finalAzInfoMap": '{"az2":"n2","az1":"n1"}', "migrateParam": '{"targetAz":"az9"}'}, "az1, az2"),
        ({"finalAzInfoMap": {"az1": "n1"}}, "az1"),
        ({"migrateParam": '{"targetAz":"az2,az1"}'}, "az1, az2"),
        ({"finalAzInfoMap": "", "migrateParam": {"targetAz": "az1"}}, "az1"),
        ({"finalAzInfoMap": "{broken", "migrateParam": '{"targetAz":"az1"}'}, "az1"),
        ({"finalAzInfoMap": "[" * 100_000, "migrateParam": "[1]"}, None),
        ({"migrateParam": '{"targetAz":7}'}, None),
        ({"migrateParam": "not json"}, None),
        ({"imageInfo": {"displayName": "7.10.2"}, "migrateParam": '{"targetAz":"az1"}'}, "7.10.2"),
        ({"imageInfo": {"displayName": None}}, None),
    ],
)
def test_the_target_is_the_image_or_the_zones(fields: dict[str, Any], expected: str | None) -> None:
    assert one(**fields).target == expected


def test_what_is_new_in_an_answer_is_listed_and_harmless() -> None:
    page = read_page(
        json.dumps(
            {
                "totalSize": 3,
                "newPage": 1,
                "detailList": [
                    None,
                    {"id": "", "status": "RUNNING"},
                    {
                        "id": "t",
                        "status": "PAUSED\n",
                        "newTask": {"deep": 1},
                        "imageInfo": {"newImage": 1},
                        "currentNodeDetail": [None, {"status": "SKIPPED", "newStage": 1}],
                    },
                ],
            }
        ).encode()
    )
    assert drift(page) == {
        Drift(DriftKind.FIELD, "newPage"),
        Drift(DriftKind.FIELD, "detailList.newTask"),
        Drift(DriftKind.FIELD, "detailList.imageInfo.newImage"),
        Drift(DriftKind.FIELD, "detailList.currentNodeDetail.newStage"),
        Drift(DriftKind.TASK_STATUS, "PAUSED "),
        Drift(DriftKind.STAGE_STATUS, "SKIPPED"),
        Drift(DriftKind.NO_ID, "detailList"),
    }
    [task] = [to_task(item) for item in page.items]
    assert (task.id, task.status) == ("t", "PAUSED ")


def test_no_answer_can_flood_the_list_of_what_is_new() -> None:
    flood = {"totalSize": 0} | {f"field{number}": 0 for number in range(1000)}
    assert len(drift(read_page(json.dumps(flood).encode()))) == 32


SEED = json.loads((DATA / "seed_az.json").read_bytes())
PATHS = [("detailList", 0, key) for key in SEED["detailList"][0]] + [
    ("detailList", 0, "currentNodeDetail", index, key)
    for index in (0, 1)
    for key in SEED["detailList"][0]["currentNodeDetail"][0]
]
SCALARS = st.none() | st.just("") | st.text(max_size=20) | st.integers() | st.floats()


@given(st.sampled_from(PATHS), SCALARS)
@example(("detailList", 0, "id"), 0)
@example(("detailList", 0, "id"), "\u202e ")
def test_a_scalar_in_any_place_spoils_at_most_its_own_field(path: tuple[Any, ...], value: Any) -> None:
    changed = deepcopy(SEED)
    holder = changed
    for step in path[:-1]:
        holder = holder[step]
    holder[path[-1]] = value
    try:
        found = tasks(json.dumps(changed).encode())
    except UnreadableError:
        assert path[-1] == "currentNodeDetail" or isinstance(value, int | float)
        return
    [original] = tasks(json.dumps(SEED).encode())
    nameless = path[-1] == "id" and not text(None if value is None else str(value)).strip()
    assert len(found) == (0 if nameless else 1)
    for task in found:
        assert task.total == original.total or path[-1] == "totalNodes"
        assert task.completed == original.completed or path[-1] == "completedNodes"
        assert len(task.stages) == 2 or path[-1] == "currentNodeDetail"


@given(
    st.binary(max_size=200)
    | st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)).map(
        lambda v: json.dumps(v).encode()
    )
)
def test_no_body_whatever_raises_anything_else(body: bytes) -> None:
    with suppress(UnreadableError):
        assert all(task.id for task in tasks(body))
