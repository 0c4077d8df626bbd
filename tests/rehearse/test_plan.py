"""The plan of a show for a demand."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.stock import plan_sizes
from infra.rehearse.command import SAMPLE
from infra.rehearse.countries import code_of
from infra.rehearse.demand import demand
from infra.rehearse.orders import load, parse
from infra.rehearse.plan import MAX_LINES_PER_PURCHASE, Plan, plan, usual_quantity
from tests.rehearse.test_orders import HEADER, a_csv_line


def planned(*lines: str) -> Plan:
    return plan(demand(parse(HEADER + "".join(lines))), "show-1")


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=24))
def test_drop_with_up_to_24_buyers_has_one_bucket(quantities: list[int]) -> None:
    assert plan_sizes(sum(quantities), usual_quantity(quantities)) == [sum(quantities)]


@given(st.lists(st.integers(1, 500), min_size=25, max_size=200))
def test_drop_with_more_buyers_has_buckets_that_fit_the_largest_quantity(quantities: list[int]) -> None:
    sizes = plan_sizes(sum(quantities), usual_quantity(quantities))
    assert sum(sizes) == sum(quantities)
    assert max(sizes) >= max(quantities)


@pytest.mark.parametrize(("buyers", "each"), [(25, 1), (500, 1), (100, 6), (48, 12)])
def test_equal_buyers_leave_no_fragments(buyers: int, each: int) -> None:
    sizes = plan_sizes(buyers * each, usual_quantity([each] * buyers))
    assert all(size % each == 0 for size in sizes)


def test_drop_offers_one_article_and_exactly_its_demand() -> None:
    the_plan = planned(
        a_csv_line(quantity="2"), a_csv_line(invoice="2", quantity="5"), a_csv_line(invoice="2", price="1.45")
    )
    assert [(d.id, d.sku, d.unit_price, d.stock, d.buyers) for d in the_plan.drops.values()] == [
        ("show-1.00001", "22554", 165, 7, 2),
        ("show-1.00002", "22554", 145, 12, 1),
    ]
    assert [purchase.units for purchase in the_plan.purchases] == [
        {"show-1.00001": 2},
        {"show-1.00001": 5, "show-1.00002": 12},
    ]


def test_more_than_100_lines_are_split_into_several_purchases() -> None:
    the_plan = planned(*(a_csv_line(code=str(20_000 + number)) for number in range(205)))
    assert [len(purchase.units) for purchase in the_plan.purchases] == [100, 100, 5]
    assert [purchase.id for purchase in the_plan.purchases] == ["1.1", "1.2", "1.3"]
    assert {purchase.invoice for purchase in the_plan.purchases} == {"578001"}


def test_refund_names_the_purchase_that_has_its_line() -> None:
    lines = [a_csv_line(code=str(20_000 + number)) for number in range(101)]
    the_plan = planned(*lines, a_csv_line(invoice="C9", code="20100", quantity="-4"))
    (refund,) = the_plan.refunds
    assert (refund.row, refund.purchase, refund.quantity) == (102, "1.2", 4)
    assert the_plan.drops[refund.drop_id].sku == "20100"


def test_waves_of_cues_take_turns_between_kinesis_and_http() -> None:
    the_plan = planned(a_csv_line(), a_csv_line(invoice="2", code="22555"), a_csv_line(invoice="3", code="22556"))
    assert [drop.cue_transport for drop in the_plan.drops.values()] == ["kinesis", "http", "kinesis"]


def test_plan_is_repeatable_and_another_show_shares_no_id() -> None:
    wanted = demand(load(SAMPLE))
    assert plan(wanted, "a") == plan(wanted, "a")
    assert not plan(wanted, "a").drops.keys() & plan(wanted, "b").drops.keys()


def test_the_sample_plan_adds_up() -> None:
    wanted = demand(load(SAMPLE))
    the_plan = plan(wanted, "show-1")
    assert (len(the_plan.drops), len(the_plan.purchases)) == (634, 34)
    assert sum(drop.stock for drop in the_plan.drops.values()) == wanted.units
    assert sum(the_plan.goods_amount(purchase) for purchase in the_plan.purchases) == wanted.goods_amount
    assert max(len(purchase.units) for purchase in the_plan.purchases) <= MAX_LINES_PER_PURCHASE
    assert {purchase.express for purchase in the_plan.purchases} == {True, False}
    ids = [drop.id for drop in the_plan.drops.values()]
    assert all(first < second for first, second in pairwise(ids))


def test_country_becomes_its_code_and_an_unknown_one_the_shops() -> None:
    names = ("EIRE", "United Kingdom", "Channel Islands", "USA", "FR", "Unspecified", "", "Atlantis")
    assert [code_of(name) for name in names] == ["IE", "GB", "JE", "US", "FR", "GB", "GB", "GB"]
