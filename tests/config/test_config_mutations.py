"""However a good file is damaged, it is loaded or refused in words, and its secrets stay secret."""

import tempfile
from copy import deepcopy
from pathlib import Path
from typing import Any

from config_files import CANARY, VALID, load_text
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from notifier.config import ConfigError
from notifier.config.reading import parse
from notifier.config.tree import plain

KEYS = ["projects", "name", "token", "secret", "url", "listen", "poll", "active", "kind", "labels", "sinks", "type", "x", "from"]
VALUES: list[Any] = [None, True, 7, 1.5, "", "x", "${NONE}", "${CANARY}", "$", [], {}, [[]], {"a": {"b": 1}}, "5s", -1]


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    below = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [path, *(place for key, value in below for place in places(value, (*path, key)))][0 if path else 1 :]


def holder(data: Any, path: tuple[Any, ...]) -> Any:
    for step in path[:-1]:
        data = data[step]
    return data


@st.composite
def damaged(draw: st.DrawFn) -> Any:
    """The good data after one to four changes: a part dropped, renamed, retyped, or put where another was."""
    data = plain(parse(VALID)[0])
    for _ in range(draw(st.integers(1, 4))):
        path = draw(st.sampled_from(places(data)))
        inside, last = holder(data, path), path[-1]
        change = draw(st.sampled_from(["drop", "rename", "retype", "move"]))
        if change == "drop":
            del inside[last]
        elif change == "rename" and isinstance(inside, dict):
            inside[draw(st.sampled_from(KEYS))] = inside.pop(last)
        elif change == "retype":
            inside[last] = deepcopy(draw(st.sampled_from(VALUES)))
        else:
            other = draw(st.sampled_from(places(data)))
            if other[: len(path)] != path:
                holder(data, other)[other[-1]] = deepcopy(inside[last])
        if not places(data):
            break
    return data


@settings(max_examples=150, deadline=None)
@given(damaged(), st.booleans())
def test_a_damaged_file_is_loaded_or_refused_and_tells_no_secret(data: Any, flow: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.yaml"
        yaml = YAML(typ="safe", pure=True)
        yaml.default_flow_style = flow
        yaml.width = 4096
        yaml.dump(data, path)
        try:
            said = "".join(map(str, load_text(Path(folder), path.read_text()).warnings))
        except ConfigError as error:
            said = str(error) + repr([each.as_dict() for each in error.problems])
    assert CANARY not in said


@settings(max_examples=150, deadline=None)
@given(st.integers(0, len(VALID)), st.integers(0, 12), st.text(alphabet="{}[]:,-#&*!|>'\"%@ \n\tax", max_size=4))
def test_a_file_with_broken_characters_is_loaded_or_refused_and_tells_no_secret(start: int, cut: int, put: str) -> None:
    text = VALID[:start] + put + VALID[start + cut :]
    with tempfile.TemporaryDirectory() as folder:
        try:
            said = "".join(map(str, load_text(Path(folder), text).warnings))
        except ConfigError as error:
            said = str(error)
    assert CANARY not in said
