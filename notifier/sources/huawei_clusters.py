"""Huawei Cloud CSS: the clusters that a project lists, for those who want all of them watched.

The permission is another than that of the polls.
"""

import asyncio

from yarl import URL

from notifier.domain.errors import FetchError, FetchReason
from notifier.domain.model import Cluster
from notifier.sources.contract import Listed
from notifier.sources.huawei_door import HuaweiDoor
from notifier.sources.paging import Sheet, walk
from notifier.sources.wire import UnreadableError, text
from notifier.sources.wire_clusters import MAX_CLUSTERS, WireCluster, read_clusters

PERMISSION = "css:cluster:list"
"""Huawei's documentation, under "Permissions Policies and Supported Actions"."""

PAGE_LIMIT = 100
"""Clusters asked for at once. Huawei: 1 to 1000, 10 by default."""

WALK_TIME = 6
"""A walk through the pages may take so many times the deadline of one request; it is made rarely."""


class HuaweiClusters:
    """The list of a project's clusters, as a ``ClusterList``.

    Args:
        door: To the project.
        region: Of the project.
        project: What a person calls the project.
    """

    def __init__(self, door: HuaweiDoor, *, region: str, project: str) -> None:
        self._door = door
        self._walk_time = door.timeout * WALK_TIME
        self._origin = Cluster("", "", region, project, door.project_id)

    async def clusters(self) -> Listed:
        """Ask once which clusters there are, following the pages.

        Raises:
            FetchError: There is no answer, or none that can be believed.
        """
        url = URL(f"{self._door.clusters}?limit={PAGE_LIMIT}", encoded=True)
        try:
            async with asyncio.timeout(self._walk_time):
                first = await self._turn(url)
                found = await walk(url, first, self._turn, MAX_CLUSTERS)
        except TimeoutError:
            raise FetchError(FetchReason.TIMEOUT, f"the list of clusters took longer than {self._walk_time:g} s") from None
        except FetchError as error:
            if error.reason is not FetchReason.GONE:
                raise
            told = f"{error.detail}; the list needs the permission {PERMISSION}"
            raise FetchError(error.reason, told, retry_after=error.retry_after) from None
        return Listed(tuple(self._cluster(item) for item in found.items.values()), complete=found.complete)

    async def _turn(self, url: URL) -> Sheet[WireCluster]:
        # A key that may poll but not list must not be taken for a bad one: then nobody would be polled for a while.
        body, _ = await self._door.get(url, forbidden=FetchReason.GONE)
        try:
            page = read_clusters(body)
        except UnreadableError as error:
            raise FetchError(FetchReason.UNREADABLE, f"HTTP 200, but {error}") from None
        return Sheet(None if page.total_size == "" else page.total_size, {text(item.id): item for item in page.items}, body)

    def _cluster(self, wire: WireCluster) -> Cluster:
        origin, identity = self._origin, text(wire.id)
        return Cluster(
            identity, text(wire.name).strip() or identity, origin.region, origin.project, origin.project_id, wire.labels
        )
