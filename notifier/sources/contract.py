"""What a source is: the door through which answers about a cluster come in."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple, Protocol

from notifier.domain.evidence import AnswerFacts
from notifier.domain.model import Action, Cluster, Snapshot


class Answer(NamedTuple):
    """One good answer of the API.

    Attributes:
        body: The bytes of the first page as they came (decompressed); kept so that the next answer can be compared before it
            is parsed.
        snapshot: What it says, or None where ``body`` is byte for byte the one that the caller had already: nothing is new.
        pages: The bytes of every page, where ``body`` is not all of the answer.
        request_id: What the API called the request for the first page, None where it did not say.
    """

    body: bytes
    snapshot: Snapshot | None
    pages: tuple[bytes, ...] = ()
    request_id: str | None = None

    @property
    def whole(self) -> tuple[bytes, ...]:
        """All of it, page by page. Of an answer that is the same the source keeps only the first page, which is all of it."""
        return self.pages or (self.body,)

    def facts(self, received_at: datetime) -> AnswerFacts:
        """What is remembered of it."""
        return AnswerFacts(received_at, sum(map(len, self.whole)), digest(self.whole), self.request_id)


def digest(pages: Iterable[bytes]) -> str:
    """What an answer is known by: the SHA-256 of the bytes of its pages, one after another, in hexadecimal digits."""
    found = sha256()
    for page in pages:
        found.update(page)
    return found.hexdigest()


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
