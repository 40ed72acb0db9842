"""Bounds what a client can hold: how many connections there are, and how long one may take to send or to take what it wants.

When the room is full, whoever waits longest without being answered makes way, so that a crowd of slow clients shuts nobody out.
"""

import asyncio
from collections import OrderedDict
from http import HTTPStatus

from aiohttp import web

from notifier import telemetry
from notifier.web.access import HEADERS
from notifier.web.problems import problem

MOST = 100
"""Connections at a time."""

BACKLOG = 64
"""Connections taken at once; fewer than `MOST`, so that nobody is shown out before what he says is read."""

PATIENCE = 10.0
"""Seconds for the head of a request, from the connection's beginning or the last answer's end, and for taking what was sent."""

LINGER = 1.0
"""Seconds for the rest of a body that nobody reads."""


class Room:
    """The connections there are, the one that was answered longest ago first."""

    def __init__(self) -> None:
        self._there: OrderedDict[Connection, None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._there)

    def enter(self, connection: "Connection") -> bool:
        """Let a connection in, at another's cost if need be; False if everybody there is being answered."""
        if len(self._there) >= MOST:
            last = next((each for each in self._there if each.idle), None) or next(
                (each for each in self._there if each.writing_paused), None
            )
            if last is None:
                return False
            self.leave(last)
            last.drop()
        self._there[connection] = None
        return True

    def leave(self, connection: "Connection") -> None:
        """A connection is over."""
        self._there.pop(connection, None)

    def answered(self, connection: "Connection") -> None:
        """A connection had its answer: it is the last to make way."""
        if connection in self._there:
            self._there.move_to_end(connection)


class Connection(web.RequestHandler):
    """A connection in a room."""

    def __init__(self, manager: web.Server, room: Room, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            manager,
            loop=loop,
            keepalive_timeout=PATIENCE,
            lingering_time=LINGER,
            access_log=None,  # type: ignore[arg-type] # what aiohttp's own runner takes for "none"
        )
        self._room = room
        self._wire: asyncio.Transport | None = None
        self._answering = 0
        self._giving_up: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether nothing that was asked for is under way."""
        return not self._answering and (self._wire is None or not self._wire.get_write_buffer_size())

    def begin(self) -> None:
        """A request was read and is being answered."""
        self._answering += 1

    def end(self) -> None:
        """It is answered."""
        self._answering -= 1
        self._room.answered(self)

    def drop(self) -> None:
        """Hang up, whatever is under way."""
        if self._wire is not None:
            self._wire.abort()

    # typing.override needs Python 3.12.
    def connection_made(self, transport: asyncio.BaseTransport) -> None:  # type: ignore[explicit-override]
        """See `asyncio.Protocol`."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - what a TCP server gives
        self._wire = transport
        if self._room.enter(self):
            super().connection_made(transport)
        else:
            transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:  # type: ignore[explicit-override]
        """See `asyncio.Protocol`."""
        self._room.leave(self)
        self._calm()
        super().connection_lost(exc)

    def pause_writing(self) -> None:  # type: ignore[explicit-override]
        """The client takes less than it is sent: that is borne for a while."""
        super().pause_writing()
        self._giving_up = self._loop.call_later(PATIENCE, self.drop)

    def resume_writing(self) -> None:  # type: ignore[explicit-override]
        """It has caught up."""
        self._calm()
        super().resume_writing()

    def _calm(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None

    def handle_error(  # type: ignore[explicit-override]
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - the parser's words quote what was sent
    ) -> web.StreamResponse:
        """What is no HTTP is answered like any other error: with our headers, and without a word of the server's kind."""
        if request.writer.output_size:
            raise ConnectionError("Half an answer was sent already: it cannot be another one.")
        ours = status >= HTTPStatus.INTERNAL_SERVER_ERROR
        if ours and exc is not None:
            telemetry.fault("web", exc)
        answer = problem(status, "A fault of the notifier." if ours else "The request cannot be read.")
        answer.headers.update(HEADERS)
        answer.force_close()
        return answer
