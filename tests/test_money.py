from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.money import share, split, tax_within


@given(st.integers(-(10**9), 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_parts_always_add_up_to_the_whole(amount: int, weights: list[int]) -> None:
    assert sum(split(amount, weights)) == amount


@given(st.integers(0, 10**9), st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_a_negative_amount_splits_like_its_positive(amount: int, weights: list[int]) -> None:
    assert split(-amount, weights) == [-part for part in split(amount, weights)]


def test_the_largest_remainder_gets_the_odd_penny_and_ties_go_to_the_first() -> None:
    assert split(100, [1, 1, 1]) == [34, 33, 33]
    assert split(10, [3, 3, 4]) == [3, 3, 4]
    assert split(5, [1, 2]) == [2, 3]
    assert split(7, [0, 0]) == [7, 0]


@pytest.mark.parametrize("weights", [[], [1, -1]])
def test_a_split_without_weights_or_with_a_negative_one_is_refused(weights: list[int]) -> None:
    with pytest.raises(ValueError, match="weights"):
        split(1, weights)


@pytest.mark.parametrize(
    ("gross", "rate_bps", "tax"),
    [(1200, 2000, 200), (165, 2000, 28), (1, 2000, 0), (3, 2000, 1), (-1200, 2000, -200), (999, 0, 0), (105, 500, 5)],
)
def test_tax_within_a_price_is_rounded_half_up(gross: int, rate_bps: int, tax: int) -> None:
    assert tax_within(gross, rate_bps) == tax


def test_a_share_is_rounded_half_away_from_zero() -> None:
    assert [share(50, 100), share(49, 100), share(-50, 100), share(150, 1_000)] == [1, 0, -1, 15]
