"""How a sink is found by the name in a configuration, and what is said when it is not."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from notifier.sinks import console, registry, webhook
from notifier.sinks.registry import Broken, SinkType, UnknownSinkType, available, load

GOOD = """
from notifier.sinks.contract import SinkSettings
from notifier.sinks.console import Sink
class Settings(SinkSettings): pass
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from, and forgets afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.startswith("acme")]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def offer(monkeypatch: pytest.MonkeyPatch, **points: str) -> None:
    offered = [EntryPoint(name, value, registry.GROUP) for name, value in points.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: [point for point in offered if point.group == group])


def refused(name: str) -> UnknownSinkType:
    with pytest.raises(UnknownSinkType) as caught:
        load(name)
    assert isinstance(caught.value, LookupError)
    assert str(caught.value).isprintable()
    return caught.value


def test_ours_are_found_by_their_files_name() -> None:
    assert load("webhook") == SinkType("webhook", "built in", webhook.Settings, webhook.Sink)
    assert load("console").sink is console.Sink


@pytest.mark.parametrize(
    "name",
    [
        "contract",
        "registry",
        "conformance",
        "posting",
        "email_letter",
        "smtp",
        "__init__",
        "",
        ".",
        "..console",
        "a b.c",
        "os;x",
    ],
)
def test_what_is_no_sink_is_not_found(name: str) -> None:
    assert "there is none of that name" in refused(name).why


def test_a_typing_error_is_answered_with_the_name_that_was_meant() -> None:
    error = refused("webhok")
    assert error.matches == ("webhook",)
    assert str(error) == "sink type 'webhok': there is none of that name; did you mean webhook?"


def test_a_module_of_a_stranger_is_found_by_its_dotted_name(site: Path) -> None:
    (site / "acme_pager").mkdir()
    (site / "acme_pager" / "sink.py").write_text(GOOD)
    found = load("acme_pager.sink")
    assert (found.name, found.origin, found.settings.__module__) == (
        "acme_pager.sink",
        "module acme_pager.sink",
        "acme_pager.sink",
    )


def test_an_installed_package_offers_a_short_name(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "acme_mod.py").write_text(GOOD)
    offer(monkeypatch, acme="acme_mod", webhook="acme_mod")
    assert load("acme").origin == "entry point acme_mod"
    assert load("webhook").sink is webhook.Sink, "ours cannot be replaced"
    assert "acme" in refused("acmee").matches


def test_the_distribution_behind_an_entry_point_is_named(site: Path) -> None:
    (site / "acme_mod.py").write_text(GOOD)
    info = site / "acme_dist-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-dist\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[notifier.sinks]\nacme_by_dist = acme_mod\n")
    assert load("acme_by_dist").origin == "acme-dist 1.2"


@pytest.mark.parametrize(
    ("source", "why"),
    [
        ("import no_such_module_anywhere", "ModuleNotFoundError: No module named 'no_such_module_anywhere'"),
        ("raise RuntimeError('two\\nlines \\x1b[31m')", "RuntimeError: two lines \ufffd[31m"),
        ("def broken(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
        ("", "has no class Settings that derives from SinkSettings"),
        ("class Settings: pass\nclass Sink: pass", "has no class Settings that derives from SinkSettings"),
        (GOOD + "del Sink", "has no class Sink"),
        (GOOD + "class Sink: pass", "has no coroutine method send"),
        (GOOD + "class Sink(Sink):\n    def send(self, message, last): pass", "has no coroutine method send"),
    ],
)
def test_a_module_that_cannot_be_used_says_why_in_one_line(
    site: Path, monkeypatch: pytest.MonkeyPatch, source: str, why: str
) -> None:
    (site / "acme_bad.py").write_text(source)
    offer(monkeypatch, acme="acme_bad")
    assert why in refused("acme").why
    broken = [offer for offer in available() if isinstance(offer, Broken)]
    assert [(offer.name, offer.origin) for offer in broken] == [("acme", "entry point acme_bad")]
    assert why in broken[0].why


def test_a_module_that_does_not_exist_says_so() -> None:
    assert "ModuleNotFoundError: No module named 'no_such_package'" in refused("no_such_package.sink").why


def test_all_of_ours_are_available(monkeypatch: pytest.MonkeyPatch) -> None:
    offer(monkeypatch)
    found = available()
    assert all(isinstance(offer, SinkType) for offer in found)
    assert {"console", "webhook"} <= {offer.name for offer in found}


def test_nothing_is_imported_before_it_is_asked_for() -> None:
    asked = (
        "import sys; from notifier.sinks.registry import load; before = set(sys.modules); load('console'); print(sorted(before))"
    )
    before = subprocess.run([sys.executable, "-c", asked], check=True, capture_output=True, text=True).stdout
    assert "'notifier.sinks.registry'" in before
    assert "'notifier.sinks.console'" not in before
    assert "'notifier.sinks.webhook'" not in before
