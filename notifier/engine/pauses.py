"""Whether a sink is left alone after a try that failed."""

from datetime import datetime

from notifier.domain.errors import DeliveryError, Outcome, Scope
from notifier.domain.retry import pause
from notifier.engine.sending import Interrupted
from notifier.store.rows import SinkState


def after(before: SinkState, error: DeliveryError, now: datetime, *, probe: bool) -> SinkState:
    """How a sink stands after a failure. One that is left alone is so until a ``probe`` shows something else."""
    if isinstance(error, Interrupted):
        return before
    failures = 0 if _listens(error) else before.failures + 1
    hold = pause(error, failures=failures, now=now) if failures else None
    if hold is None:
        found = SinkState(failures, reason=error.reason, detail=error.detail) if failures else SinkState()
    else:
        until = None if hold.until is None else hold.until.timestamp()
        found = SinkState(failures, paused=True, paused_until=until, reason=error.reason, detail=error.detail)
    return found if probe or not before.paused or _later(found, before) else before


def _later(found: SinkState, before: SinkState) -> bool:
    """Whether a pause ends later than the one that holds; None: when someone acts."""
    if not found.paused or before.paused_until is None:
        return False
    return found.paused_until is None or found.paused_until > before.paused_until


def _listens(error: DeliveryError) -> bool:
    """Whether the sink works all the same: it judged this one message."""
    return error.outcome is Outcome.REJECTED and error.scope is Scope.EVENT
