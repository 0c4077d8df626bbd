from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.pricing import DEFAULT_MARKETS, Market, ShippingOption
from chalicelib.purchase import Line, Totals
from chalicelib.purchase.totals import totals_of, with_tax
from tests.builders.purchases import a_line

GB = DEFAULT_MARKETS.by_country["GB"]
US = DEFAULT_MARKETS.by_country["US"]


def test_tax_inclusive_total_is_items_and_shipping() -> None:
    lines = [with_tax(a_line(unit_price=1_275, quantity=2), GB, "GBP")]
    assert lines[0].tax == 425
    assert totals_of(lines, GB, GB.options("GBP")[0], "GBP") == Totals(
        subtotal=2_550, shipping=395, shipping_tax=66, shipping_tax_rate_bps=2_000, tax=491, tax_on_top=0, total=2_945
    )


def test_exclusive_tax_is_added_on_top() -> None:
    market = type(US)(id="XX", tax_included=False, standard_rate_bps=825, shipping=US.shipping)
    lines = [with_tax(a_line(unit_price=1_999, quantity=1), market, "GBP")]
    totals = totals_of(lines, market, market.options("USD")[0], "USD")
    assert (lines[0].tax, totals.shipping_tax, totals.tax_on_top) == (165, 99, 264)
    assert totals.total == 1_999 + 1_195 + 264


def test_tax_category_has_its_own_rate() -> None:
    assert with_tax(a_line(tax_category="books"), GB, "GBP").tax == 0
    assert with_tax(a_line(tax_category="unheard of"), GB, "GBP").tax == 213


def test_purchase_without_destination_has_no_shipping() -> None:
    assert totals_of([with_tax(a_line(), GB, "GBP")], GB, None, "GBP").total == 1_275


def test_purchase_without_lines_costs_nothing() -> None:
    assert totals_of([], GB, GB.options("GBP")[0], "GBP") == Totals()


@pytest.mark.parametrize(("country", "market"), [("GB", "GB"), ("US", "US"), ("DE", "ROW")])
def test_destination_decides_the_market(country: str, market: str) -> None:
    found = DEFAULT_MARKETS.of_country(country)
    assert found is not None
    assert found.id == market
    assert DEFAULT_MARKETS.by_id(market) is found


@pytest.mark.parametrize("country", [None, "", "uk", "GBR", "G8"])
def test_text_that_is_no_country_code_has_no_market(country: str | None) -> None:
    assert DEFAULT_MARKETS.of_country(country) is None


# Any market, any lines.

RATES = st.integers(0, 10_000)
AMOUNTS = st.integers(0, 100_000)


@st.composite
def markets(draw: st.DrawFn) -> Market:
    free_from = draw(st.none() | st.integers(0, 300_000))
    option = ShippingOption(
        id="post",
        title="By post",
        price={"GBP": draw(AMOUNTS)},
        free_from={} if free_from is None else {"GBP": free_from},
    )
    categories = draw(st.dictionaries(st.sampled_from(["books", "food"]), RATES))
    return Market(
        id="XX",
        tax_included=draw(st.booleans()),
        standard_rate_bps=draw(RATES),
        categories=categories,
        shipping=(option,),
    )


@st.composite
def untaxed_lines(draw: st.DrawFn) -> Line:
    price, quantity = draw(st.integers(1, 50_000)), draw(st.integers(1, 9))
    discount = draw(st.integers(0, price * quantity))
    category = draw(st.sampled_from([None, "books", "food", "unheard-of"]))
    return a_line(unit_price=price, quantity=quantity, discount=discount, tax_category=category)


@given(markets(), st.lists(untaxed_lines(), min_size=1, max_size=5))
def test_totals_add_up_in_both_modes(market: Market, untaxed: list[Line]) -> None:
    lines = [with_tax(line, market, "GBP") for line in untaxed]
    sums = totals_of(lines, market, market.shipping[0], "GBP")
    item_amount = sum(line.unit_price * line.quantity - line.discount for line in lines)
    assert sums.subtotal - sums.discount == item_amount
    assert sums.tax == sum(line.tax for line in lines) + sums.shipping_tax
    assert sums.tax_on_top == (0 if market.tax_included else sums.tax)
    assert sums.total == item_amount + sums.shipping + sums.tax_on_top
    assert 0 <= sums.tax <= sums.total


@given(markets(), untaxed_lines())
def test_tax_is_rounded_once_for_each_line_half_away_from_zero(market: Market, untaxed: Line) -> None:
    line = with_tax(untaxed, market, "GBP")
    rate = market.categories.get(untaxed.tax_category or "", market.standard_rate_bps)
    base = 10_000 + rate if market.tax_included else 10_000
    exact = Fraction(untaxed.price * rate, base)
    assert line.tax_rate_bps == rate
    assert -Fraction(1, 2) < exact - line.tax < Fraction(1, 2) or line.tax - exact == Fraction(1, 2)


def test_three_units_are_rounded_as_one_line() -> None:
    market = Market(id="XX", tax_included=False, standard_rate_bps=1_000, shipping=US.shipping)
    assert with_tax(a_line(unit_price=33, quantity=3), market, "GBP").tax == 10
    assert with_tax(a_line(unit_price=33), market, "GBP").tax * 3 == 9


@given(markets(), st.lists(untaxed_lines(), min_size=1, max_size=5))
def test_shipping_is_free_from_the_threshold_after_discounts(market: Market, untaxed: list[Line]) -> None:
    (option,) = market.shipping
    sums = totals_of([with_tax(line, market, "GBP") for line in untaxed], market, option, "GBP")
    free = "GBP" in option.free_from and sum(line.price for line in untaxed) >= option.free_from["GBP"]
    assert sums.shipping == (0 if free else option.price["GBP"])
    assert (sums.shipping_tax_rate_bps == market.standard_rate_bps) or sums.shipping == 0


def test_shipping_is_free_at_the_threshold_and_not_a_penny_below() -> None:
    option = ShippingOption(id="post", title="By post", price={"GBP": 395}, free_from={"GBP": 2_500})
    costs = [
        totals_of([with_tax(a_line(unit_price=2_600, discount=off), GB, "GBP")], GB, option, "GBP").shipping
        for off in (99, 100, 101)
    ]
    assert costs == [0, 0, 395]
    assert option.cost("GBP", 2_499) == 395
