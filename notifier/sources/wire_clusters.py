"""The answer of ``GET /clusters`` as it comes over the wire: a project's clusters, newest first.

As tolerant and as strict as ``wire``: what is no object with ``totalSize`` or ``clusters`` is unreadable, never "no clusters".
Fields that are not used are kept as they came. Facts: Huawei's documentation of ``ListClustersDetails``.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import Field

from notifier.sources.wire import Empty, Item, Wire, read, text

MAX_CLUSTERS = 5000
MAX_TAGS = 50
"""Of a cluster; Huawei allows 20."""


class WireCluster(Item):
    """An item of ``clusters``."""

    name: str | None = None
    status: Any = None
    actions: Any = None
    datastore: Any = None
    created: Any = None
    updated: Any = None
    tags: Any = None

    @property
    def labels(self) -> Mapping[str, str]:
        """The tags: ``[{"key": …, "value": …}]`` as documented, ``{key: value}`` or ``["key=value"]`` as well."""
        return dict(list(_tags(self.tags))[:MAX_TAGS])


class ClusterPage(Wire):
    """One answer: a page of the list of clusters."""

    total_size: Annotated[int | Empty | None, Field(union_mode="left_to_right")] = None
    clusters: Annotated[list[WireCluster | None] | None, Field(max_length=MAX_CLUSTERS)] = None

    @property
    def items(self) -> Iterator[WireCluster]:
        """The clusters that can be told apart: not null and with an id."""
        return (item for item in self.clusters or () if item is not None and item.known)


def read_clusters(body: bytes) -> ClusterPage:
    """Read an answer.

    Raises:
        UnreadableError: It is not what the API promises.
    """
    return read(ClusterPage, body, "total_size", "clusters")


def _tags(tags: object) -> Iterator[tuple[str, str]]:
    listed: list[Any] = tags if isinstance(tags, list) else []
    if isinstance(tags, dict):
        listed = [{"key": key, "value": value} for key, value in tags.items()]
    for tag in listed:
        if isinstance(tag, str):
            tag = dict(zip(("key", "value"), tag.split("=", 1), strict=False))  # noqa: PLW2901 - the same, spelled as documented
        if not isinstance(tag, dict):
            continue
        key, value = tag.get("key"), tag.get("value")
        if isinstance(key, str) and (name := text(key).strip()):
            yield name, text(value) if isinstance(value, str) else ""
