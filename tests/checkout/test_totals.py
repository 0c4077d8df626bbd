from __future__ import annotations

import pytest

from chalicelib.checkout import DEFAULT_MARKETS, Totals
from chalicelib.checkout.totals import taxed, totals_of
from tests.checkout.builders import a_line

GB = DEFAULT_MARKETS.by_country["GB"]
US = DEFAULT_MARKETS.by_country["US"]


def test_where_prices_include_tax_the_total_is_goods_and_shipping() -> None:
    lines = [taxed(a_line(unit_price=1_275, quantity=2), GB)]
    assert lines[0].tax == 425
    assert totals_of(lines, GB, GB.options("GBP")[0], "GBP") == Totals(
        subtotal=2_550, shipping=395, shipping_tax=66, shipping_tax_rate_bps=2_000, tax=491, tax_on_top=0, total=2_945
    )


def test_where_tax_is_exclusive_it_comes_on_top() -> None:
    market = type(US)(id="XX", tax_included=False, standard_rate_bps=825, shipping=US.shipping)
    lines = [taxed(a_line(unit_price=1_999, quantity=1), market)]
    totals = totals_of(lines, market, market.options("USD")[0], "USD")
    assert (lines[0].tax, totals.shipping_tax, totals.tax_on_top) == (165, 99, 264)
    assert totals.total == 1_999 + 1_195 + 264


def test_a_category_has_its_own_rate() -> None:
    assert taxed(a_line(tax_category="books"), GB).tax == 0
    assert taxed(a_line(tax_category="unheard of"), GB).tax == 213


def test_without_a_destination_no_shipping_is_counted() -> None:
    assert totals_of([taxed(a_line(), GB)], GB, None, "GBP").total == 1_275


def test_nothing_costs_nothing() -> None:
    assert totals_of([], GB, GB.options("GBP")[0], "GBP") == Totals()


@pytest.mark.parametrize(("country", "market"), [("GB", "GB"), ("US", "US"), ("DE", "ROW")])
def test_the_destination_decides_the_market(country: str, market: str) -> None:
    found = DEFAULT_MARKETS.of_country(country)
    assert found is not None
    assert found.id == market
    assert DEFAULT_MARKETS.by_id(market) is found


@pytest.mark.parametrize("country", [None, "", "uk", "GBR", "G8"])
def test_what_is_no_country_code_has_no_market(country: str | None) -> None:
    assert DEFAULT_MARKETS.of_country(country) is None
