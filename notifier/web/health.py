"""Whether the program is well, as the application tells the web room."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Health:
    """How the program is.

    Attributes:
        alive: The loops make progress; if not, a supervisor should restart the program.
        problems: What is wrong, in words that may be shown to anybody: no name of a cluster, no address.
        details: What is wrong beyond that, with names, for those who may see them.
    """

    alive: bool
    problems: tuple[str, ...] = ()
    details: tuple[str, ...] = ()
