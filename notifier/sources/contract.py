"""What a source is: the door through which answers about a cluster come in."""

from dataclasses import dataclass
from typing import Protocol

from notifier.domain.model import Action, Cluster, Snapshot


@dataclass(frozen=True, slots=True)
class Answer:
    """One good answer of the API.

    Attributes:
        body: The bytes of the first page as they came (decompressed); kept so that the next answer can be compared before it
            is parsed.
        snapshot: What it says, or None where ``body`` is byte for byte the one that the caller had already: nothing is new.
        pages: The bytes of every page, where ``body`` is not all of the answer.
    """

    body: bytes
    snapshot: Snapshot | None
    pages: tuple[bytes, ...] = ()


class Source(Protocol):
    """A door in."""

    async def fetch(self, cluster: Cluster, action: Action, last: bytes | None = None) -> Answer:
        """Ask once where the tasks of a cluster stand, following the pages.

        ``last`` is the body of the previous answer, if the caller kept it: an equal one is not parsed again.

        Raises:
            FetchError: There is no answer, or none that can be believed.
        """


@dataclass(frozen=True, slots=True)
class Listed:
    """The clusters that a project lists, their tags as labels. Unless ``complete``, one that is missing means nothing."""

    clusters: tuple[Cluster, ...]
    complete: bool = True


class ClusterList(Protocol):
    """A door in through which a project's clusters are learned of."""

    async def clusters(self) -> Listed:
        """Ask once which clusters there are, following the pages.

        Raises:
            FetchError: There is no answer, or none that can be believed.
        """
