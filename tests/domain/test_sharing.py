"""Who should hold how many clusters: as even as can be, and without needless changes of hands."""

from hypothesis import given
from hypothesis import strategies as st

from notifier.domain.sharing import fair

HELD = st.dictionaries(st.sampled_from("abcdefg"), st.integers(0, 50), min_size=1)


@given(HELD, st.integers(0, 200))
def test_everything_is_shared_out_and_nobody_gets_more_than_one_more_than_another(held: dict[str, int], total: int) -> None:
    shares = fair(held, total)
    assert shares.keys() == held.keys()
    assert sum(shares.values()) == total
    assert max(shares.values()) - min(shares.values()) <= 1


@given(HELD, st.integers(0, 200))
def test_where_the_shares_are_fair_nothing_changes_hands(held: dict[str, int], total: int) -> None:
    shares = fair(held, total)
    assert fair(shares, total) == shares


def test_who_holds_most_gets_the_larger_share() -> None:
    assert fair({"a": 0, "b": 10, "c": 0}, 10) == {"a": 3, "b": 4, "c": 3}


def test_without_anybody_nobody_holds_anything() -> None:
    assert fair({}, 7) == {}
