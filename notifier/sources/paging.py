"""Reads lists that come in pages, by rules that differ with the region and the age of the API.

Huawei documents ``offset`` from 1, older pages say ``start``; servers that ignore either must not be asked for ever. A list that
shifts while its pages are read is read again; what cannot be read whole is said to be in parts, so that nobody takes what is
missing for gone.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from yarl import URL

T = TypeVar("T")

MAX_PAGES = 100
MAX_WALKS = 4
"""A list that shifts while its pages are read is read again from the start, three times."""

OFFSETS = ("offset", "start")
"""Where a page begins, from 1: the newer name and the older one (Huawei's documentation, by its age)."""


@dataclass(frozen=True, slots=True)
class Sheet(Generic[T]):
    """One page: how many items the whole list is said to have (None: not said), those of this page by id, its bytes."""

    total: int | None
    items: Mapping[str, T]
    body: bytes

    @property
    def whole(self) -> bool:
        """Whether nothing lies behind it."""
        return (self.total or 0) <= len(self.items)


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A list as it was read: its first page's bytes, its items by id, whether all of them are there, the bytes of every page."""

    body: bytes
    items: Mapping[str, T]
    complete: bool
    pages: tuple[bytes, ...] = ()


async def walk(url: URL, first: Sheet[T], turn: Callable[[URL], Awaitable[Sheet[T]]], most: int) -> Listing[T]:
    """Follow the pages from the first one on; from the start again where the list shifted meanwhile.

    Args:
        url: Where the first page is.
        first: That page, already read.
        turn: Reads a page.
        most: Items after which nothing more is asked for.
    """
    seen: dict[str, T] = {}
    every: list[bytes] = []
    for attempt in range(MAX_WALKS):
        if attempt:
            first = await turn(url)
        pages = [first.body]
        found, shifted = await _rest(url, first, turn, most, pages)
        seen |= found
        every += pages
        if not shifted:
            return Listing(first.body, found, len(found) >= (first.total or 0), tuple(pages))
    return Listing(first.body, seen, complete=False, pages=tuple(every))


async def _rest(
    url: URL, first: Sheet[T], turn: Callable[[URL], Awaitable[Sheet[T]]], most: int, pages: list[bytes]
) -> tuple[dict[str, T], bool]:
    """The items of the first page and of those behind it, and whether the list shifted so that they do not fit together.

    The bytes of each further page go to ``pages``.
    """
    found = dict(first.items)
    total = first.total or 0
    names = iter(OFFSETS)
    name = next(names)
    for _ in range(MAX_PAGES):
        if len(found) >= min(total, most):
            break
        page = await turn(url.update_query({name: len(found) + 1}))
        pages.append(page.body)
        if page.total is not None and page.total != total:
            return found, True
        fresh = {key: item for key, item in page.items.items() if key not in found}
        found |= fresh
        if not fresh:
            following = next(names, None)
            if following is None:
                break
            name = following
    return found, False
