"""Header lines that every mail program reads: ASCII, folded, encoded words of at most 75 characters (RFC 5322; 2047, 2). Pure.

The standard library's policies fold ids in their middle, which then thread no more, unless lines may be long; with long lines
they write encoded words of any length; and where they fold names of people that need encoding, they add or lose spaces.
"""

import re
from collections.abc import Iterable
from email.header import Header
from email.headerregistry import Address
from email.utils import quote

LINE = 76
"""Characters in a line with an encoded word in it; what needs none is folded there as well."""

LONGEST_WORD = 50
"""Characters of a word that stands as it is: it fits beside the longest name of a header. A longer one is encoded."""

_FOLD = "\r\n "
_PHRASE = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~ -]+")
_ROOM = LINE - len("From: ") - len(",")


def folded(name: str, value: str) -> str:
    """What stands behind the name of a header that is read by people."""
    plain = _plain(value) and all(len(word) <= LONGEST_WORD for word in value.split())
    return Header(value, "us-ascii" if plain else "utf-8", maxlinelen=LINE, header_name=name).encode(linesep="\r\n")


def people(addresses: Iterable[Address]) -> str:
    """What stands behind ``From`` and ``To``: an address a line."""
    return f",{_FOLD}".join(map(_mailbox, addresses))


def _mailbox(address: Address) -> str:
    name = address.display_name
    if not name:
        return address.addr_spec
    if not _plain(name) or len(name) > LONGEST_WORD:
        phrase = Header(name, "utf-8", maxlinelen=_ROOM).encode(linesep="\r\n")
    else:
        phrase = name if _PHRASE.fullmatch(name) else f'"{quote(name)}"'
    spec = f"<{address.addr_spec}>"
    return f"{phrase} {spec}" if len(phrase) + len(spec) < _ROOM else f"{phrase}{_FOLD}{spec}"


def _plain(value: str) -> bool:
    """Whether a text may stand as it is; what looks like an encoded word would be read as one."""
    return value.isascii() and "=?" not in value
