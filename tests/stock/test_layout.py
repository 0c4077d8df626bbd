"""The number of a drop's buckets, their sizes, and the ids and homes of holds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.stock import OrderRef, Pool, hold_id, max_units, plan_sizes
from chalicelib.stock.layout import hold_hash, home_of, plan_additions


def test_two_hundred_single_units_need_nine_buckets_of_dozens() -> None:
    assert plan_sizes(200, 1) == [24, 24, 24, 24, 24, 24, 24, 12, 20]


def test_bulk_stock_bought_in_bulk_needs_few_buckets() -> None:
    assert plan_sizes(12_540, 600) == [12_540]
    assert plan_sizes(12_540, 100) == [2_400, 2_400, 2_400, 2_400, 1_200, 1_740]


@pytest.mark.parametrize(("stock", "usual", "buckets"), [(24, 1, 1), (25, 1, 2), (48, 2, 1), (49, 2, 2), (0, 1, 1)])
def test_up_to_24_expected_holds_need_one_bucket(stock: int, usual: int, buckets: int) -> None:
    assert len(plan_sizes(stock, usual)) == buckets


def test_a_drop_stays_within_400_buckets_while_its_committed_units_fit_into_a_write_unit() -> None:
    assert len(plan_sizes(11_000, 1)) == 400
    assert len(plan_sizes(100_000, 1)) == 4_167


@given(stock=st.integers(0, 50_000), usual=st.integers(1, 500))
def test_sizes_add_up_and_are_multiples_of_the_usual_quantity_but_for_one(stock: int, usual: int) -> None:
    sizes = plan_sizes(stock, usual)
    assert sum(sizes) == stock
    assert min(sizes) >= 0
    assert sum(size % usual > 0 for size in sizes) <= 1


@given(quantity=st.integers(1, 5_000), plan=st.integers(1, 50), usual=st.integers(1, 20))
def test_an_addition_adds_up_and_follows_from_its_number(quantity: int, plan: int, usual: int) -> None:
    shares = plan_additions(Pool("d", 9), plan, quantity, usual)
    assert len(shares) == 9
    assert sum(shares) == quantity


def test_small_additions_begin_at_different_buckets() -> None:
    assert plan_additions(Pool("d", 3), 1, 5, 1) == [5, 0, 0]
    assert plan_additions(Pool("d", 3), 2, 5, 1) == [0, 5, 0]


def test_a_drop_may_grow_to_a_thousand_holds_a_bucket() -> None:
    assert [max_units(Pool("d", 1), 1), max_units(Pool("d", 9), 12)] == [1_000, 108_000]


def test_a_hold_id_is_eleven_characters_that_follow_from_the_request() -> None:
    assert hold_id("purchase", "d", 1, 2) == hold_id("purchase", "d", 1, 2) == "dPHSwyubvuc"
    others = {hold_id("purchase", "d", 2, 2), hold_id("purchase", "d", 1, 3), hold_id("purchase", "e", 1, 2)}
    assert len(others) == 3
    assert all(len(name) == 11 for name in others)


def test_a_home_follows_from_the_hold_alone() -> None:
    name = hold_id("purchase", "d", 1, 2)
    assert home_of(name, Pool("d", 5)) == hold_hash(name) % 5


@pytest.mark.parametrize("text", ["", "short", "not a hold!", "AAAAAAAAAAAAAAAA"])
def test_a_text_that_is_no_hold_id_has_no_home(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        hold_hash(text)


@pytest.mark.parametrize(("order", "epoch"), [("short", 1), ("nine-char", 1_000), ("nine-char", -1)])
def test_an_order_reference_of_another_width_is_refused(order: str, epoch: int) -> None:
    with pytest.raises(ValueError, match="9 characters"):
        OrderRef(order, epoch)


def test_order_references_compare_as_their_epochs_do() -> None:
    assert str(OrderRef("order-abc", 9)) < str(OrderRef("order-abc", 10)) < str(OrderRef("order-abc", 100))
