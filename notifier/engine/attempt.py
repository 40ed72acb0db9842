"""Asks a sink for something and has an answer in time, whatever the sink does: its code is a stranger's.

A sink may hang, heed no cancelling, raise anything, end the program, or give back what cannot be stored. Here that becomes a
`DeliveryError` like any other, for the engine as well as for the commands that try a sink.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import TypeVar

from notifier.domain.errors import DeliveryError, DeliveryReason, Outcome, Scope
from notifier.domain.message import Message, Receipt
from notifier.domain.plain_text import one_line
from notifier.sinks.contract import LARGEST_RECEIPT, Sink

STUBBORN = 1.0
"""Seconds that a sink may go on after it was told to stop. Then its work is closed under it."""

DETAIL = 512
"""Bytes of a failure's detail that are kept."""

LONGEST_PAUSE = 24 * 3600.0
"""Seconds that a receiver may ask us to wait, at the most: more than that is no request but a slip."""

WORK = "work of a sink"

Hide = Callable[[str, int], str]
"""Makes one line of what a sink says, so long at the most, with the sink's secrets hidden."""

T = TypeVar("T")


class Ended(Exception):
    """A sink raised what only the program itself may raise.

    Attributes:
        error: What it raised, such as SystemExit.
    """

    def __init__(self, error: BaseException) -> None:
        super().__init__(type(error).__name__)
        self.error = error


class Unusable(TypeError):
    """A sink gave back, or raised, what cannot be used. Its words are ours: they repeat nothing of it."""


def unheard(_: BaseException) -> None:
    """For whoever wants no word of a crash besides the outcome."""


async def attempt(
    sink: Sink,
    message: Message,
    last: Receipt | None,
    seconds: float,
    *,
    crashed: Callable[[BaseException], None] = unheard,
    hide: Hide = one_line,
) -> Receipt | DeliveryError:
    """Have the sink send one message within so many seconds; never raises for a fault of the sink.

    Args:
        sink: Open.
        message: What is to be said.
        last: The receipt of the lane's previous message.
        seconds: After which the sending is broken off. The sink may need `STUBBORN` more to notice.
        crashed: Is told what the sink raised if that is a fault in its code, which its words may not be shown for.
        hide: For what the sink says of a failure.

    Returns:
        A receipt that can be stored, or a failure whose every part is what it should be.

    Raises:
        CancelledError: Whoever called was told to stop. The sending is over by then.
    """
    try:
        return await within(lambda: _sent(sink, message, last, hide), seconds)
    except TimeoutError:
        return DeliveryError(Outcome.UNCERTAIN, DeliveryReason.TIMEOUT, f"no answer within {round(seconds, 2):g} s")
    except Exception as error:  # noqa: BLE001 - a stranger's sink may raise anything
        crashed(culprit(error))
        return DeliveryError(Outcome.UNCERTAIN, DeliveryReason.CRASHED, raised(error))


async def within(work: Callable[[], Awaitable[T]], seconds: float | None) -> T:
    """What a sink's coroutine gives back within so many seconds; None: whenever it does.

    It runs in a task of its own. That is cancelled first, for a sink may clean up; one that does not heed it is closed, so that
    it keeps neither the outlet nor the end of the program waiting.

    Raises:
        TimeoutError: It took too long.
        Ended: It raised what would have ended the program, or cancelled itself.
        Exception: Whatever else it raised.
    """
    task = asyncio.create_task(contained(work), name=WORK)
    try:
        await asyncio.wait({task}, timeout=seconds)
    except asyncio.CancelledError:
        await break_off(task)
        raise
    if not task.done() and not await break_off(task):
        raise TimeoutError
    if task.cancelled():
        raise Ended(asyncio.CancelledError())
    return task.result()


def raised(error: BaseException) -> str:
    """What a sink did, in one line, without its words: they may quote what was sent, secrets too."""
    if isinstance(error, Unusable):
        return str(error)
    return f"the sink raised {one_line(type(culprit(error)).__name__, 100)}"


def culprit(error: BaseException) -> BaseException:
    """What the sink itself raised."""
    return error.error if isinstance(error, Ended) else error


def checked(receipt: object) -> Receipt:
    """Refuse what a stranger's sink may give back instead of a receipt: it could not be stored, or would fill the store.

    Raises:
        Exception: What is wrong, or what looking at it raises.
    """
    if not isinstance(receipt, Receipt):
        raise Unusable("the sink gave back no receipt")
    fields: object = receipt.fields
    if not isinstance(fields, Mapping):
        raise Unusable("the sink gave back a receipt whose fields are no mapping")
    found = dict(fields)
    size = 0
    for text in (*found.keys(), *found.values()):
        if not isinstance(text, str):
            raise Unusable("the sink gave back a receipt that holds more than text")
        size += len(text) if len(text) > LARGEST_RECEIPT else len(text.encode())
        if size > LARGEST_RECEIPT:
            raise Unusable(f"the sink gave back a receipt of more than {LARGEST_RECEIPT // 1024} KiB")
    return Receipt(found)


def checked_error(error: DeliveryError, hide: Hide = one_line) -> DeliveryError:
    """The failure with nothing in it that could not be stored, shown or computed with; ``hide`` as in `attempt`.

    Raises:
        Exception: What is wrong, or what looking at it raises.
    """
    return DeliveryError(
        _member(Outcome, error.outcome, "outcome"),
        _member(DeliveryReason, error.reason, "reason"),
        _short(hide(str(error.detail), DETAIL)),
        scope=_member(Scope, error.scope, "scope"),
        retry_after=None if error.retry_after is None else _pause(error.retry_after),
        receipt=None if error.receipt is None else checked(error.receipt),
    )


def shown(error: DeliveryError, hide: Hide = one_line) -> DeliveryError:
    """The same for whoever only shows it: where it cannot be used, a failure that says what is wrong with it."""
    try:
        return checked_error(error, hide)
    except Exception as wrong:  # noqa: BLE001 - a stranger's error may raise anything when it is looked at
        return DeliveryError(Outcome.UNCERTAIN, DeliveryReason.CRASHED, raised(wrong))


E = TypeVar("E", Outcome, DeliveryReason, Scope)


def _pause(seconds: object) -> float:
    if not isinstance(seconds, int | float) or not math.isfinite(seconds):
        raise Unusable("the sink raised a DeliveryError whose retry_after is no number of seconds")
    return float(min(max(seconds, 0.0), LONGEST_PAUSE))


def _member(kind: type[E], value: str, what: str) -> E:
    try:
        return kind(value)
    except ValueError:
        raise Unusable(f"the sink raised a DeliveryError whose {what} is none of {kind.__name__}") from None


def _short(line: str) -> str:
    encoded = line.encode()
    return line if len(encoded) <= DETAIL else encoded[: DETAIL - 3].decode(errors="ignore") + "…"


async def _sent(sink: Sink, message: Message, last: Receipt | None, hide: Hide) -> Receipt | DeliveryError:
    try:
        return checked(await sink.send(message, last))
    except DeliveryError as error:
        return checked_error(error, hide)


async def contained(work: Callable[[], Awaitable[T]]) -> T:
    """The work, fit for a task: SystemExit in a task ends the loop, whoever awaits the task.

    Raises:
        Ended: It raised what would have ended the program.
        Exception: Whatever else it raised.
    """
    try:
        return await work()
    except (Exception, asyncio.CancelledError, GeneratorExit, KeyboardInterrupt):
        raise
    except BaseException as error:  # noqa: BLE001 - SystemExit would leave the loop by way of its task
        raise Ended(error) from None


async def break_off(task: "asyncio.Task[T]") -> bool:
    """Whether it came to an end of its own when it was told to stop, with a result or with an error that counts."""
    task.cancel()
    await asyncio.wait({task}, timeout=STUBBORN)
    task.add_done_callback(_taken_note_of)
    if task.done():
        return not task.cancelled()
    # Who catches CancelledError and goes on ends all the same when closed; the task then finds nothing to go on with.
    with suppress(Exception):
        task.get_coro().close()
    task.cancel()
    return False


def _taken_note_of(task: "asyncio.Task[T]") -> None:
    """Nobody asks any more how it ended; without this, asyncio would complain of that."""
    if not task.cancelled():
        task.exception()
