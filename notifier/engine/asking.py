"""Asks a sink whether it would work, telling nobody anything; its code is a stranger's, and may answer with anything."""

from collections.abc import Callable

from notifier.domain.errors import DeliveryError
from notifier.domain.plain_text import one_line
from notifier.engine.attempt import Hide, raised, shown, within
from notifier.engine.door import Door
from notifier.sinks.contract import Checkable, Sink

LONGEST = 30.0
"""Seconds that an answer may take; a sink may ask its receiver several things."""

SHOWN = 500
"""Characters of each thing that is wrong."""


async def asked(build: Callable[[], Sink], patience: float, hide: Hide = one_line) -> list[str] | None:
    """What is wrong with a sink, each in one line; empty if nothing is, None if it can be opened and offers no check.

    Args:
        build: Gives the sink, not open yet.
        patience: Seconds that it may take to open.
        hide: For what the sink says.
    """
    try:
        sink = build()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's sink may raise anything
        return [f"cannot be built: {raised(error)}"]
    async with Door(sink, patience, hide=hide) as door:
        if (problem := await door.shut()) is not None:
            return [problem.detail]
        return await _checked(sink, hide) if isinstance(sink, Checkable) else None


async def _checked(sink: Checkable, hide: Hide) -> list[str]:
    try:
        found: object = await within(sink.check, LONGEST)
    except TimeoutError:
        return [f"its check gave no answer within {LONGEST:g} s"]
    except DeliveryError as error:
        return [f"its check failed: {shown(error, hide).detail}"]
    except Exception as error:  # noqa: BLE001 - a stranger's sink may raise anything
        return [f"its check failed: {raised(error)}"]
    if not isinstance(found, list) or not all(isinstance(line, str) for line in found):
        return ["its check gave back no list of texts"]
    return [hide(line, SHOWN) for line in found]
