"""Asks a running instance over HTTP: what the command line does where it cannot, or should not, open the store itself."""

import json
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import aiohttp

from notifier.outbound import MAX_BODY, BodyTooLarge, cause, open_session, read_capped

Rows = list[dict[str, Any]]

LARGEST_REPORT = 256 * 1024 * 1024
"""Bytes that all that is kept of a task may take: of hundreds of nodes there are tens of thousands of events."""


class RemoteError(Exception):
    """The instance was not reached, or refused; the message says which and what to do, and holds no token."""


class Remote:
    """A running notifier, while it is entered.

    Args:
        url: Where it listens, as ``http://127.0.0.1:8080``.
        token: Its ``http.token``, if it has one.
    """

    def __init__(self, url: str, token: str | None = None) -> None:
        self._url = url.rstrip("/")
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = open_session(total=30.0)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def clusters(self) -> Rows:
        """Every cluster, as `shapes.cluster_json`, page by page. Raises `RemoteError`."""
        found: Rows = []
        after: str | None = None
        while after is not None or not found:
            answer = await self._answer("GET", "clusters", params={} if after is None else {"after": after})
            page, after = _listed(answer, "clusters", self._url), answer.get("next")
            if not page or not isinstance(after, str | None):
                break
            found += page
        return found

    async def replicas(self) -> Rows:
        """Every replica, as `shapes.ReplicaShape`. Raises `RemoteError`."""
        return await self._rows("replicas", {})

    async def events(
        self,
        *,
        cluster: str | None = None,
        kind: str | None = None,
        severity: str | None = None,
        after: int = 0,
        limit: int = 50,
    ) -> Rows:
        """The newest events that match, oldest first, as `shapes.event_json`. Raises `RemoteError`."""
        return await self._rows(
            "events", {"cluster": cluster, "kind": kind, "severity": severity, "after": str(after), "limit": str(limit)}
        )

    async def deliveries(self, *, sink: str | None = None, state: str | None = None, limit: int = 50) -> Rows:
        """The newest deliveries that match, oldest first, as `shapes.delivery_json`. Raises `RemoteError`."""
        return await self._rows("deliveries", {"sink": sink, "state": state, "limit": str(limit)})

    async def retry(self, ids: Sequence[str] | None = None, *, sink: str | None = None) -> list[str]:
        """Send dead deliveries again: the named ones, or without ``ids`` all (of a sink). The ids of those that were dead.

        Raises:
            RemoteError: Nothing is sent again.
        """
        wish: dict[str, object] = {"all": True, "sink": sink} if ids is None else {"ids": list(ids)}
        return [str(found) for found in await self._ask("POST", "deliveries/retry", "resent", json=wish)]

    async def story(self, event: str) -> Rows:
        """An event and what became of it, as `shapes.story_json`, alone in a list. Raises `RemoteError`."""
        return await self._ask("GET", f"events/{quote(event, safe='')}/story", "story")

    async def accuracy(self) -> Rows:
        """How far off the forecasts were, as `shapes.accuracy_json`. Raises `RemoteError`."""
        return await self._ask("GET", "accuracy", "accuracy")

    async def report(self, task: str) -> Rows:
        """All that is kept of the tasks that a word may mean, as `shapes.dossier_json`. Raises `RemoteError`."""
        return await self._ask("GET", f"tasks/{quote(task, safe='')}/report", "report", most=LARGEST_REPORT)

    async def silences(self, *, over: bool = False) -> Rows:
        """The silences that hold or will, with ``over`` all, as `shapes.silence_json`. Raises `RemoteError`."""
        return await self._ask("GET", "silences", "silences", params={"all": "true"} if over else {})

    async def silence(self, wish: Mapping[str, object]) -> Rows:
        """Add a silence, as `wishes.Silencing` spells it; the one that was added. Raises `RemoteError`."""
        return await self._ask("POST", "silences", "silences", json=wish)

    async def expire(self, ids: Sequence[str]) -> list[str]:
        """End silences; the ids of those that held. Raises `RemoteError`."""
        return [str(found) for found in await self._ask("POST", "silences/expire", "expired", json={"ids": list(ids)})]

    async def _rows(self, what: str, query: Mapping[str, str | None]) -> Rows:
        return await self._ask("GET", what, what, params={name: value for name, value in query.items() if value is not None})

    async def _ask(self, method: str, path: str, wanted: str, *, most: int = MAX_BODY, **body: Any) -> list[Any]:
        return _listed(await self._answer(method, path, most=most, **body), wanted, self._url)

    async def _answer(self, method: str, path: str, *, most: int = MAX_BODY, **body: Any) -> dict[str, Any]:
        if self._session is None:
            raise RuntimeError("Remote is used outside `async with`.")
        try:
            async with self._session.request(method, f"{self._url}/api/v1/{path}", headers=self._headers, **body) as response:
                status, text = response.status, await read_capped(response, most)
        except BodyTooLarge as error:
            raise RemoteError(f"{self._url}: {error}. Ask for less.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise RemoteError(f"No answer from {self._url}: {cause(error)}. Is the notifier running there?") from None
        except ValueError:
            raise RemoteError("The token holds what no HTTP header can carry.") from None
        answer = _json(text)
        if status != 200:  # noqa: PLR2004 - HTTP's own number
            detail = answer.get("detail") if isinstance(answer.get("detail"), str) else "no reason given"
            raise RemoteError(f"{self._url} refused (HTTP {status}): {detail}")
        return answer


def _listed(answer: Mapping[str, Any], wanted: str, url: str) -> list[Any]:
    found = answer.get(wanted)
    if not isinstance(found, list):
        raise RemoteError(f"What answers at {url} is no notifier.")
    return found


def _json(text: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(text)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
