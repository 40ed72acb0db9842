"""What an event carries of its task: the stages of the node at work, cut to what can be stored and sent with every event."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from notifier.domain.known import LONGEST_NAME, LONGEST_PROSE, MOST_STAGES, KnownTask
from notifier.domain.model import Action, Kind, Stage, Status, Task
from notifier.domain.render import payload
from notifier.domain.samples import sample
from notifier.store import codec

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def known(*stages: Stage) -> KnownTask:
    return KnownTask(Task("t", Status.RUNNING, 1, ("a", "b"), ("a",), ("b",), "b", stages))


def test_the_stages_are_those_of_the_current_node_by_their_order() -> None:
    facts = known(Stage(2, "later", Status.WAITING), Stage(0, "first", Status.SUCCESS, "", NOW, NOW)).facts(Action.UPGRADING)
    assert facts.current_node == "b"
    assert [stage.name for stage in facts.stages] == ["first", "later"]


def test_only_what_matters_now_is_described() -> None:
    stages = [Stage(n, "s", status, "words") for n, status in enumerate((Status.SUCCESS, Status.RUNNING, Status.FAILED, "ODD"))]
    assert [stage.description for stage in known(*stages).facts(Action.UPGRADING).stages] == ["", "words", "words", ""]


def test_a_body_stays_small_however_much_the_api_says() -> None:
    stages = tuple(Stage(n, "n" * 256, Status.RUNNING if n == 7 else Status.WAITING, "d" * 4096, NOW, NOW) for n in range(200))
    facts = known(*stages).facts(Action.UPGRADING)
    assert len(facts.stages) == MOST_STAGES
    assert max(len(stage.name) for stage in facts.stages) == LONGEST_NAME
    assert max(len(stage.description) for stage in facts.stages) == LONGEST_PROSE
    event = replace(sample(Kind.NODE_STARTED).event, task=facts)
    assert len(json.dumps(payload(event))) < 20_000


def test_an_event_that_an_earlier_version_stored_can_still_be_read() -> None:
    event = sample(Kind.NODE_COMPLETED).event
    stored = json.loads(codec.dump(codec.event, event))
    del stored["task"]["stages"], stored["task"]["current_node"]
    read = codec.event.validate_json(json.dumps(stored))
    assert read.task is not None
    assert (read.task.stages, read.task.current_node) == ((), None)
    assert codec.event.validate_json(codec.dump(codec.event, event)) == event
