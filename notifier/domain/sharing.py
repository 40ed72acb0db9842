"""How replicas share the clusters: who should hold how many. Each replica computes it by itself, from what all of them see."""

from collections.abc import Mapping


def fair(held: Mapping[str, int], total: int) -> dict[str, int]:
    """How many of ``total`` clusters each replica should hold.

    The shares differ by one at the most, and whoever holds most already gets the larger ones: where the shares are fair, nothing
    changes hands.

    Args:
        held: How many each living replica holds now, by its name.
        total: How many there are.
    """
    order = sorted(held, key=lambda name: (-held[name], name))
    least, more = divmod(total, max(len(order), 1))
    return {name: least + (place < more) for place, name in enumerate(order)}
