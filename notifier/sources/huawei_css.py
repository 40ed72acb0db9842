"""Huawei Cloud CSS: asks ``upgrade/detail`` where the tasks of a cluster stand, and says why when it gets no answer.

An answer that brings nothing new is recognised by its bytes before it is parsed, so that an unchanged poll costs little more than
the bare request. Sources of facts: "D" Huawei's or Open Telekom Cloud's documentation, "C" published code that met the real API.
"""

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import quote

from yarl import URL

from notifier.domain.errors import FetchError, FetchReason
from notifier.domain.model import Action, Cluster, Snapshot
from notifier.sources.contract import Answer
from notifier.sources.huawei_door import HuaweiDoor
from notifier.sources.paging import Sheet, walk
from notifier.sources.wire import MAX_TASKS, Drift, UnreadableError, WireTask, drift, read_page, to_task

PAGE_LIMIT = 100
"""Tasks asked for at once. Huawei: 1 to 1000, 10 by default (D); one page spares a walk whose rules differ by region."""

WALK_TIME = 3
"""A walk through the pages may take so many times the deadline of one request."""

_MOST_TARGETS = 50_000


class HuaweiCss:
    """The tasks of a project's clusters, as a ``Source``.

    Args:
        door: To the project.
        page_limit: Tasks asked for at once; None leaves it to the server.
        on_drift: Called with what an answer holds that is not known here, whenever there is any.
    """

    def __init__(
        self,
        door: HuaweiDoor,
        *,
        page_limit: int | None = PAGE_LIMIT,
        on_drift: Callable[[frozenset[Drift]], None] | None = None,
    ) -> None:
        self._door = door
        self._walk_time = door.timeout * WALK_TIME
        self._limit = () if page_limit is None else (f"limit={page_limit}",)
        self._on_drift = on_drift
        self._targets: dict[tuple[str, Action], _Target] = {}

    async def fetch(self, cluster: Cluster, action: Action, last: bytes | None = None) -> Answer:
        """Ask once where the tasks of a cluster stand, following the pages; see ``Source.fetch``.

        Raises:
            FetchError: There is no answer, or none that can be believed.
        """
        target = self._targets.get((cluster.id, action)) or self._new_target(cluster.id, action)
        body, request_id = await self._door.get(target.url)
        if last is not None and body == last and target.whole == hash(last):
            return Answer(last, None, request_id=request_id)  # The old bytes: they know their hash.
        page = self._read(body)
        if page.whole:
            target.whole = hash(body)
            return Answer(body, _snapshot(cluster, action, page.items), request_id=request_id)
        try:
            async with asyncio.timeout(self._walk_time):
                listing = await walk(target.url, page, self._turn, MAX_TASKS)
        except TimeoutError:
            raise FetchError(FetchReason.TIMEOUT, f"the pages of the list took longer than {self._walk_time:g} s") from None
        snapshot = _snapshot(cluster, action, listing.items, partial=not listing.complete)
        return Answer(listing.body, snapshot, listing.pages, request_id)

    def _new_target(self, cluster_id: str, action: Action) -> "_Target":
        if len(self._targets) >= _MOST_TARGETS:
            self._targets.clear()
        # Upgrades are asked for without action_mode, which every generation of the API understands (C).
        query = [f"action_mode={action}"] if action is not Action.UPGRADING else []
        query.extend(self._limit)
        path = f"{self._door.clusters}/{quote(cluster_id, safe='')}/upgrade/detail"
        target = self._targets[cluster_id, action] = _Target(
            URL("?".join([path, "&".join(query)] if query else [path]), encoded=True)
        )
        return target

    async def _turn(self, url: URL) -> Sheet[WireTask]:
        return self._read((await self._door.get(url)).body)

    def _read(self, body: bytes) -> Sheet[WireTask]:
        try:
            page = read_page(body)
        except UnreadableError as error:
            raise FetchError(FetchReason.UNREADABLE, f"HTTP 200, but {error}") from None
        if self._on_drift is not None and (news := drift(page)):
            self._on_drift(news)
        return Sheet(None if page.total_size == "" else page.total_size, {str(item.id): item for item in page.items}, body)


class _Target:
    """Where one list of a cluster is asked for, and the hash of the last body that held all of it (None: none did)."""

    __slots__ = ("url", "whole")

    def __init__(self, url: URL) -> None:
        self.url = url
        self.whole: int | None = None


def _snapshot(cluster: Cluster, action: Action, found: Mapping[str, WireTask], *, partial: bool = False) -> Snapshot:
    return Snapshot(cluster, action, tuple(to_task(item) for item in found.values()), partial=partial)
