"""How a sink is found by the name in a configuration, and what is said when it is not."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from notifier.config.settings import SinkOptions
from notifier.sinks import console, registry, webhook
from notifier.sinks.contract import TAKEN
from notifier.sinks.registry import Broken, SinkType, UnknownSinkType, available, load

GOOD = """
from typing import ClassVar
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
        ("raise SystemExit('no licence')", "cannot be imported: SystemExit: no licence"),
        ("def __getattr__(name): raise RuntimeError('lazy')", "cannot be imported: RuntimeError: lazy"),
        (GOOD + "class Sink(Sink):\n    def __init__(self, settings): pass", "cannot be built from (settings, surroundings)"),
        (GOOD + "class Sink(Sink):\n    def __init__(self, a, b, *, c): pass", "cannot be built from (settings, surroundings)"),
        (GOOD + "class Sink(Sink):\n    async def patience(self, event): pass", "patience is no plain method"),
        (GOOD + "class Sink(Sink):\n    patience = 3.0", "patience is no plain method"),
        (GOOD + "class Sink(Sink):\n    def check(self): return []", "check is no coroutine method"),
        (GOOD + "class Sink(Sink):\n    def keep(self, receipts): pass", "keep is no coroutine method"),
        (
            GOOD + "class Settings(SinkSettings):\n    timeout: float = 1.0\n    rate: float = 1.0",
            "its Settings have rate, timeout",
        ),
        (
            GOOD + "class Settings(SinkSettings):\n    default_rate: ClassVar = '1'",
            "the default_rate of its Settings is no number",
        ),
        (
            GOOD + "class Settings(SinkSettings):\n    default_concurrency: ClassVar = 0",
            "the default_concurrency of its Settings is no number above zero",
        ),
        (
            GOOD + "from pydantic import Field\nclass Settings(SinkSettings):\n    tongue: str = Field('x', alias='language')",
            "its Settings have language, which is said of every sink",
        ),
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


def test_a_module_that_does_not_exist_says_so_and_what_to_do() -> None:
    why = refused("no_such_package.sink").why
    assert "ModuleNotFoundError: No module named 'no_such_package'; install it, or set PYTHONPATH to the folder" in why


def test_what_a_module_fails_to_import_is_not_taken_for_the_module(site: Path) -> None:
    (site / "acme_pager").mkdir()
    (site / "acme_pager" / "sink.py").write_text("import acme_sdk")
    assert refused("acme_pager.sink").why == "cannot be imported: ModuleNotFoundError: No module named 'acme_sdk'"


def test_a_name_without_a_dot_that_leads_to_a_module_is_answered_with_the_way_there(site: Path) -> None:
    (site / "acme_file.py").write_text(GOOD)
    (site / "acme_folder").mkdir()
    (site / "acme_folder" / "__init__.py").write_text("")
    assert "put it into a package and write package.acme_file" in refused("acme_file").why
    assert "put it into a package and write package.acme_file" in refused("acme_file.py").why
    assert "name the module in it, such as acme_folder.sink" in refused("acme_folder").why
    assert refused("json").why == "there is none of that name"


def test_an_entry_point_that_no_name_leads_to_is_listed_with_the_reason(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "acme_mod.py").write_text(GOOD)
    offered = [
        EntryPoint("acme", "acme_mod", registry.GROUP),
        EntryPoint("acme", "acme_zod", registry.GROUP),
        EntryPoint("webhook", "acme_mod", registry.GROUP),
        EntryPoint("my sink", "acme_mod", registry.GROUP),
    ]
    monkeypatch.setattr(registry, "entry_points", lambda group: [point for point in offered if point.group == group])
    broken = {(found.name, found.origin): found.why for found in available() if isinstance(found, Broken)}
    assert broken.keys() == {
        ("acme", "entry point acme_zod"),
        ("webhook", "entry point acme_mod"),
        ("my sink", "entry point acme_mod"),
    }
    assert "the name is taken by entry point acme_mod" in broken["acme", "entry point acme_zod"]
    assert "the name is taken by a sink that is built in" in broken["webhook", "entry point acme_mod"]
    assert "no configuration can have this name" in broken["my sink", "entry point acme_mod"]
    assert load("acme").origin == "entry point acme_mod"


def test_an_entry_point_that_names_the_class_says_what_to_name(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (site / "acme_mod.py").write_text(GOOD)
    offer(monkeypatch, acme="acme_mod:Sink")
    assert refused("acme").why == "its entry point does not name a module: name the module alone, without :Sink"


def test_the_names_that_no_setting_may_have_are_those_of_every_sink() -> None:
    assert set(SinkOptions.model_fields) == TAKEN


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
