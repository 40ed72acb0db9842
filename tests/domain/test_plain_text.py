"""Laws of the text that strangers wrote, and of the samples."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.model import Kind
from notifier.domain.plain_text import json_line, one_line
from notifier.domain.samples import samples

ANY = st.text(st.characters(exclude_categories=()))


@given(text=ANY, longest=st.none() | st.integers(1, 50))
def test_one_line_is_one_line_that_can_be_encoded(text: str, longest: int | None) -> None:
    line = one_line(text, longest)
    line.encode()
    assert len(line.splitlines()) <= 1
    assert not any(ord(character) < 0x20 or 0x7F <= ord(character) < 0xA0 for character in line)
    assert longest is None or len(line) <= longest
    assert one_line(line, longest) == line


@pytest.mark.parametrize("text", ["", "plain", "数据迁移 🚒", "a\u00a0b", "<b>&"])
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert one_line(text) == text


@given(value=st.dictionaries(st.text(max_size=9), st.none() | st.integers() | st.text(max_size=30), max_size=5))
def test_json_on_one_line_reads_back_as_it_was(value: object) -> None:
    line = json_line(value)
    assert json.loads(line) == value
    assert len(line.splitlines()) == 1


def test_json_carries_no_lone_surrogate() -> None:
    assert json.loads(json_line({"a\ud800": "\udfff"}).encode()) == {"a\ufffd": "\ufffd"}


def test_there_is_a_sample_of_each_kind_and_every_run_has_its_own_ids() -> None:
    now = datetime(2027, 1, 1, tzinfo=UTC)
    first, second = samples(now, run="1"), samples(now, run="2")
    assert {message.event.kind for message in first} == set(Kind)
    assert {message.mark for message in first} == {"TEST"}
    assert max(message.event.time for message in first) == now
    assert [message.event.sequence for message in first] == list(range(1, len(Kind) + 1))
    identities = {identity for message in first + second for identity in (message.id, message.event.id)}
    assert len(identities) == 4 * len(Kind)
    assert samples(now, run="1") == first
