"""What the commands share: options, how errors are said, how rows are printed."""

import asyncio
import json
import sys
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import wraps
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

T = TypeVar("T")

CONFIG = click.option(
    "--config",
    "-c",
    "path",
    type=click.Path(path_type=Path),
    default=Path("notifier.yaml"),
    show_default=True,
    envvar="NOTIFIER_CONFIG",
    help="The configuration.",
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document a line, for scripts.")
LIMIT = click.option("--limit", type=click.IntRange(1, 200), default=50, show_default=True, help="At most so many, the newest.")

FAILED, WRONG, DAMAGED, INTERRUPTED = 1, 2, 74, 130
"""``DAMAGED`` is EX_IOERR of sysexits.h: a person must look at the disk, or restore a backup."""


def fail(message: object, code: int) -> NoReturn:
    """Say what is wrong, on stderr, and end."""
    click.echo(f"notifier: {message}", err=True)
    sys.exit(code)


def guarded(command: Callable[..., T]) -> Callable[..., T]:
    """Turn the errors that a user can mend into words and an exit code; a fault of ours keeps its traceback."""

    @wraps(command)
    def run(*args: Any, **options: Any) -> T:
        from notifier.config import ConfigError
        from notifier.store.errors import StoreDamaged, StoreError
        from notifier.web.client import RemoteError

        try:
            return command(*args, **options)
        except ConfigError as error:
            fail(error, WRONG)
        except StoreDamaged as error:
            fail(error, DAMAGED)
        except (StoreError, RemoteError) as error:
            fail(error, FAILED)
        except OSError as error:
            fail(error.strerror or error, FAILED)
        except KeyboardInterrupt:
            sys.exit(INTERRUPTED)

    return run


def wait(work: Coroutine[Any, Any, T]) -> T:
    """Run what is asynchronous to its end."""
    return asyncio.run(work)


def show(rows: Iterable[Mapping[str, Any]], as_json: bool, line: Callable[[Mapping[str, Any]], str]) -> None:
    """Print rows: one JSON document a line, or one line in words."""
    for row in rows:
        click.echo(json.dumps(row, ensure_ascii=False) if as_json else line(row))
