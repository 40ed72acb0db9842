"""Whether the program is well, as the application tells the web room."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Health:
    """How the program is.

    Attributes:
        alive: The loops make progress; if not, a supervisor should restart the program.
        problems: What is wrong, in words that may be shown to anybody: no name of a cluster, no address.
        details: What is wrong beyond that, with names, for those who may see them.
        asked: When each cluster gave its last good answer, by its key; nothing of those that gave none since the start.
    """

    alive: bool
    problems: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
    asked: Mapping[str, datetime] = field(default_factory=dict)
