"""The YAML reader: what values mean, where they stand, what is refused."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from notifier.config.reading import MAX_DEPTH, Unreadable, meaning, parse
from notifier.config.tree import MappingNode, ScalarNode, plain, walk


def data(text: str) -> object:
    root, flaws = parse(text)
    assert flaws == []
    return plain(root)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", "on"),
        ("yes", "yes"),
        ("012", 12),
        ("0o17", 15),
        ("0x1F", 31),
        ("7.10", 7.1),
        ("-1e3", -1000.0),
        ("22:00", "22:00"),
        ("1_000", "1_000"),
        ("true", True),
        ("False", False),
        ("~", None),
        ("", None),
        ("2026-03-01", "2026-03-01"),
        (".inf", float("inf")),
        ("-.Inf", float("-inf")),
    ],
)
def test_plain_scalars_mean_what_the_core_schema_of_yaml_1_2_says(text: str, value: object) -> None:
    assert meaning(text) == value
    assert type(meaning(text)) is type(value)


def test_not_a_number_is_one_float_that_differs_from_itself() -> None:
    value = meaning(".nan")
    assert isinstance(value, float)
    assert value != value  # noqa: PLR0124 - that is what makes it NaN


def test_a_quoted_scalar_is_a_text_and_the_written_text_is_kept_beside_the_value() -> None:
    root, _ = parse("a: 7.10\nb: '7.10'")
    assert isinstance(root, MappingNode)
    assert plain(root) == {"a": 7.1, "b": "7.10"}
    assert [node.text for _, node in walk(root) if isinstance(node, ScalarNode)] == ["7.10", "7.10"]


def test_keys_are_the_text_that_was_written() -> None:
    assert data("on: 1\n7.10: 2\ntrue: 3") == {"on": 1, "7.10": 2, "true": 3}


@given(st.text(alphabet="ab \u00e9\U0001f600", min_size=1, max_size=8), st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_span_is_exactly_the_text_of_its_value(words: str, line_break: str) -> None:
    text = f'# first{line_break}key: "{words}"{line_break}other: [x, "{words}"]{line_break}'
    root, _ = parse(text)
    written = [text[node.span.start : node.span.end] for _, node in walk(root) if isinstance(node, ScalarNode)]
    assert written == [f'"{words}"', "x", f'"{words}"']


def test_duplicate_keys_are_all_found_and_the_first_is_named() -> None:
    _, flaws = parse("a: 1\nb: {c: 1, c: 2}\na: 3\n")
    assert [(flaw.path, flaw.span.line, flaw.remedy) for flaw in flaws] == [
        (("b", "c"), 2, "keep one; the first is in line 2"),
        (("a",), 3, "keep one; the first is in line 1"),
    ]


@pytest.mark.parametrize("text", ["a: !!str 5", "a: !x {}", "a: !x []", "!k a: 1", "a: ! b"])
def test_tags_are_refused(text: str) -> None:
    _, flaws = parse(text)
    assert [flaw.what for flaw in flaws] == ["tags (!…) are not allowed"]


def test_aliases_and_merge_keys_share_and_a_written_key_wins() -> None:
    text = "base: &b {x: 1, y: 2}\nother: &o {z: 3}\na: {<<: *b, y: 9}\nc: {y: 8, <<: [*b, *o]}\nd: *b\nq: {'<<': 1}"
    assert data(text) == {
        "base": {"x": 1, "y": 2},
        "other": {"z": 3},
        "a": {"x": 1, "y": 9},
        "c": {"x": 1, "y": 8, "z": 3},
        "d": {"x": 1, "y": 2},
        "q": {"<<": 1},
    }


def test_a_merge_of_something_else_than_a_mapping_is_refused() -> None:
    _, flaws = parse("a: {<<: 5}")
    assert [flaw.what for flaw in flaws] == ["<< takes a mapping or a list of them"]


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "the file is empty"),
        ("# nothing\n", "the file is empty"),
        ("a: 1\n---\nb: 2", "is a second document"),
        ("a: *nobody", "an alias (*…) to nothing that stands above it"),
        ("a: &x [*x]", "an alias (*…) to nothing that stands above it"),
        ("{a: 1}: 2", "a key must be a text"),
        ("[" * (MAX_DEPTH + 1), f"is nested more than {MAX_DEPTH} deep"),
        ("a: \x01", "is not YAML: a control character"),
        ('a: "\\UFFFFFFFF"', "is not YAML: a number behind \\U that is no character's"),
        ('a: "\\U00110000"', "is not YAML: a number behind \\U that is no character's"),
        ("%YAML 1.3\n---\na", "is not YAML that can be read (AssertionError)"),
        ("a: b: c", "is not YAML: mapping values are not allowed here"),
        ("a: !tok!en x", "is not YAML: tags (!…) are not allowed"),
    ],
)
def test_what_cannot_be_read_is_refused_in_words(text: str, what: str) -> None:
    with pytest.raises(Unreadable) as caught:
        parse(text)
    assert caught.value.flaw.what == what
    assert str(caught.value) == what


def test_an_unquoted_placeholder_in_braces_is_answered_with_the_remedy() -> None:
    with pytest.raises(Unreadable) as caught:
        parse("a:\n  b: {c: ${X}}")
    assert caught.value.flaw.remedy == "put ${…} in quotes inside { } and [ ]"
    assert (caught.value.flaw.span.line, caught.value.flaw.span.column) == (2, 11)


def test_a_control_character_is_found_in_its_line_and_column() -> None:
    with pytest.raises(Unreadable) as caught:
        parse("a: 1\nb: x\x01")
    assert (caught.value.flaw.span.line, caught.value.flaw.span.column) == (2, 5)


def test_an_alias_bomb_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    began = time.process_time()
    with pytest.raises(Unreadable, match="aliases expand to more than 200000 values"):
        parse("\n".join(lines))
    assert time.process_time() - began < 1


@given(st.one_of(st.text(max_size=60), st.text(alphabet="ab:-[]{}&*!|>'\"%@`#,? \n\t<$", max_size=60)))
def test_any_text_is_read_or_refused_and_nothing_else(text: str) -> None:
    try:
        root, _ = parse(text)
    except Unreadable:
        return
    plain(root)
