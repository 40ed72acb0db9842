"""Fallbacks: another sink, and no circle."""

from pathlib import Path

import pytest
from config_files import MINIMAL, load_text, refused, told

SINKS = (
    MINIMAL
    + """\
sinks:
  team: {type: plain, fallback: mail, fallback_after: 5m}
  mail: {type: plain, fallback: pager}
  pager: {type: plain}
routes:
  - {sinks: [team]}
"""
)


def test_a_chain_that_ends_is_good_and_who_stands_in_needs_no_route(tmp_path: Path) -> None:
    settings = load_text(tmp_path, SINKS)
    assert [(sink.fallback, sink.fallback_after) for sink in settings.sinks] == [("mail", 300.0), ("pager", 600.0), (None, 600.0)]
    assert [warning.what for warning in settings.warnings] == []


@pytest.mark.parametrize(
    ("old", "new", "problems"),
    [
        (
            "fallback: mail,",
            "fallback: mial,",
            ["8:33: sinks.team.fallback: there is no sink 'mial'; did you mean 'mail'?"],
        ),
        ("fallback: mail,", "fallback: nobody,", ["8:33: sinks.team.fallback: there is no sink 'nobody'; name one of sinks"]),
        (
            "fallback: mail,",
            "fallback: team,",
            ["8:33: sinks.team.fallback: leads back to this very sink; let the last of the chain have no fallback"],
        ),
        (
            "pager: {type: plain}",
            "pager: {type: plain, fallback: team}",
            [
                f"{line}: leads back to this very sink; let the last of the chain have no fallback"
                for line in ("8:33: sinks.team.fallback", "9:33: sinks.mail.fallback", "10:34: sinks.pager.fallback")
            ],
        ),
        (
            "pager: {type: plain}",
            "pager: {type: plain, fallback: mail}",
            [
                f"{line}: leads back to this very sink; let the last of the chain have no fallback"
                for line in ("9:33: sinks.mail.fallback", "10:34: sinks.pager.fallback")
            ],
        ),
    ],
)
def test_a_name_that_is_none_and_a_circle_are_errors(tmp_path: Path, old: str, new: str, problems: list[str]) -> None:
    assert told(refused(tmp_path, SINKS.replace(old, new))) == problems


@pytest.mark.parametrize("none", ["null", "~", ""])
def test_null_is_no_fallback_and_null_in_quotes_is_a_sink(tmp_path: Path, none: str) -> None:
    text = SINKS.replace("fallback: mail, fallback_after: 5m", f"fallback: {none}")
    assert [sink.fallback for sink in load_text(tmp_path, text).sinks] == [None, "pager", None]
    text = SINKS.replace("pager", "null").replace("fallback: null", 'fallback: "null"')
    assert [sink.fallback for sink in load_text(tmp_path, text).sinks] == ["mail", "null", None]


@pytest.mark.parametrize("given", ["fallback: null, fallback_after: 5m", "fallback_after: 5m"])
def test_a_patience_that_nobody_stands_in_after_is_warned_of(tmp_path: Path, given: str) -> None:
    text = SINKS.replace("fallback: mail, fallback_after: 5m", given).replace("sinks: [team]", "sinks: [team, mail]")
    assert [(f"{each.line}:{each.column}", each.path, each.what, each.remedy) for each in load_text(tmp_path, text).warnings] == [
        (
            f"8:{text.splitlines()[7].index('fallback_after') + 1}",
            "sinks.team.fallback_after",
            "changes nothing: this sink has no fallback",
            "name one, as in fallback: NAME, or leave it out",
        )
    ]


def test_a_fallback_is_looked_for_though_there_are_no_sinks(tmp_path: Path) -> None:
    assert [sink.fallback for sink in load_text(tmp_path, MINIMAL).sinks] == [None]
