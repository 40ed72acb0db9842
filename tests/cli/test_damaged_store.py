"""A store that is damaged ends the program with a code of its own: to start it again would cure nothing."""

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from notifier.cli import main
from notifier.signals import Signals
from notifier.store.errors import StoreDamaged

CONFIG = """\
projects:
  - name: prod
    region: cn-north-4
    project_id: 6204a5bd270343b5885144cf9c8c158d
    credentials: {{access_key: AK, secret_key: SK}}
    clusters: [{{id: ea244205-d641-45d9-9dcb-ab2236bcd07e, name: search}}]
store: sqlite:///{folder}/notifier.db
sinks: {{console: {{type: console}}}}
http: off
"""


@pytest.mark.parametrize("command", ["run", "migrate"])
def test_a_file_that_is_no_database_ends_with_74_and_a_remedy(tmp_path: Path, command: str) -> None:
    (tmp_path / "notifier.yaml").write_text(CONFIG.format(folder=tmp_path))
    (tmp_path / "notifier.db").write_bytes(b"dear diary, " * 500)
    found = CliRunner().invoke(main, [command, "-c", str(tmp_path / "notifier.yaml")])
    assert found.exit_code == 74
    assert "Restore a backup" in found.stderr
    assert "Traceback" not in found.output


async def test_damage_in_the_middle_of_a_run_ends_the_wait_for_signals() -> None:
    signals = Signals()
    waiting = asyncio.create_task(signals.next())
    await asyncio.to_thread(signals.damaged, StoreDamaged("the disk fails"))
    with pytest.raises(StoreDamaged, match="the disk fails"):
        async with asyncio.timeout(60):
            await waiting
