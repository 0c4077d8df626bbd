"""Currencies that no provider charges are refused wherever an operator puts an amount, and nothing changes."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.currencies import highest_amount
from chalicelib.payments import stripe_gateway
from tests.api.conftest import ApiClient, an_api, express_checkout
from tests.api.test_markets import OPTION, table_with
from tests.conftest import Tables


@pytest.fixture
def stripe_api(tables: Tables) -> ApiClient:
    return an_api(tables, stripe_gateway(lambda: "sk_test_1", lambda: "sk_test_1", "livedrop"))


def a_show(currency: str) -> dict[str, Any]:
    return {"title": "Show", "currency": currency, "starts_at": "2026-01-01T00:00:00Z"}


def a_drop(amount: int, currency: str) -> dict[str, Any]:
    price = {"amount": amount, "currency": currency}
    return {"show_id": "s1", "sku": "M1", "title": "Mug", "unit_price": price, "stock": 3}


def puts_in(currency: str, amount: int = 1_000) -> dict[str, tuple[str, dict[str, Any], str]]:
    """Return a request for each place that takes a currency: path, body, and the field of the currency."""
    price = {"amount": amount, "currency": currency}
    return {
        "show": ("/shows/s2", a_show(currency), "$.currency"),
        "drop": ("/drops/d1", a_drop(amount, currency), "$.unit_price.currency"),
        "market": (
            "/markets",
            table_with((*OPTION, "price", currency), amount),
            f"$.markets[0].shipping[0].price.{currency}",
        ),
        "amount": ("/discounts/A", {"title": "A", "amount": price}, "$.amount.currency"),
        "maximum": ("/discounts/A", {"title": "A", "percent_bps": 1, "max_amount": price}, "$.max_amount.currency"),
        "minimum": (
            "/discounts/A",
            {"title": "A", "percent_bps": 1, "minimum_subtotal": price},
            "$.minimum_subtotal.currency",
        ),
        "budget": (
            "/discounts/A",
            {"title": "A", "amount": {"amount": 100, "currency": "GBP"}, "budget_amount": price},
            "$.budget_amount.currency",
        ),
    }


PLACES = tuple(puts_in("GBP"))


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("currency", ["ZZZ", "XXX", "XTS", "XAU", "CLF", "gbp"])
def test_code_that_is_no_currency_is_refused_everywhere(api: ApiClient, place: str, currency: str) -> None:
    assert api.send("PUT", "/shows/s1", a_show("GBP")).status == 201
    before, (path, body, field) = api.snapshot(), puts_in(currency)[place]
    answer = api.send("PUT", path, body)
    code = "invalid_request" if currency == "gbp" else "unsupported_currency"
    assert (answer.status, answer.body["field"], answer.body["code"]) == (400, field, code), answer.text
    assert api.snapshot() == before


@pytest.mark.parametrize("place", [one for one in PLACES if one != "show"])
@pytest.mark.parametrize("amount", [10**9 + 10, 10**12 + 10])
def test_amount_above_the_bound_is_refused_with_the_bound_of_its_currency(
    api: ApiClient, place: str, amount: int
) -> None:
    assert api.send("PUT", "/shows/s1", a_show("KWD")).status == 201
    path, body, _ = puts_in("KWD", amount)[place]
    answer = api.send("PUT", path, body)
    assert answer.status == 400
    assert answer.body["detail"].endswith("must be 1000000000 or less in KWD."), answer.text


@pytest.mark.parametrize("place", PLACES)
def test_currency_that_the_provider_does_not_charge_is_refused_everywhere(stripe_api: ApiClient, place: str) -> None:
    assert stripe_api.send("PUT", "/shows/s1", a_show("GBP")).status == 201
    before, (path, body, field) = stripe_api.snapshot(), puts_in("IQD")[place]
    answer = stripe_api.send("PUT", path, body)
    assert (answer.status, answer.body["field"], answer.body["code"]) == (400, field, "unsupported_currency"), (
        answer.text
    )
    assert answer.body["detail"].endswith("Stripe charges nothing in IQD.")
    assert stripe_api.snapshot() == before


@pytest.mark.parametrize("currency", ["ISK", "KWD", "MGA", "JPY"])
def test_provider_with_other_units_takes_prices_in_every_place(stripe_api: ApiClient, currency: str) -> None:
    assert stripe_api.send("PUT", "/shows/s1", a_show(currency)).status == 201
    for place in ("drop", "market", "amount"):
        path, body, _ = puts_in(currency)[place]
        answer = stripe_api.send("PUT", path, body)
        assert answer.status == 201, answer.text


def test_price_between_two_of_the_providers_steps_is_refused_and_changes_nothing(stripe_api: ApiClient) -> None:
    assert stripe_api.send("PUT", "/shows/s1", a_show("KWD")).status == 201
    assert stripe_api.send("PUT", "/drops/d1", a_drop(5_120, "KWD")).status == 201
    before = stripe_api.snapshot()
    answer = stripe_api.send("PUT", "/drops/d1", a_drop(5_124, "KWD"))
    assert (answer.status, answer.body["field"]) == (400, "$.unit_price.amount")
    assert answer.body["detail"] == "`$.unit_price.amount` must be a multiple of 10 minor units in KWD."
    assert stripe_api.snapshot() == before


def test_price_below_the_minimum_charge_is_accepted_since_buyers_can_buy_more(stripe_api: ApiClient) -> None:
    assert stripe_api.send("PUT", "/shows/s1", a_show("GBP")).status == 201
    assert stripe_api.send("PUT", "/drops/d1", a_drop(5, "GBP")).status == 201


def test_highest_price_passes_through_the_api_unchanged(api: ApiClient) -> None:
    price: dict[str, Any] = {"amount": highest_amount("IDR"), "currency": "IDR"}
    assert api.send("PUT", "/shows/s1", a_show("IDR")).status == 201
    drop = api.send("PUT", "/drops/d1", a_drop(price["amount"], "IDR") | {"opens_at": "2026-01-01T00:00:00Z"})
    assert (drop.status, drop.body["unit_price"]) == (201, price)
    assert api.send("GET", "/shows/s1/live").body["drops"][0]["unit_price"] == price
    session = api.send("POST", "/checkout-sessions", express_checkout("d1")).body
    assert {part["type"]: part["amount"] for part in session["totals"]}["total"] == price["amount"]


def test_openapi_document_bounds_prices_by_twelve_digits(api: ApiClient) -> None:
    schemas = api.send("GET", "/openapi.json").body["components"]["schemas"]
    amount = schemas["Price"]["properties"]["amount"]
    assert (amount["minimum"], amount["maximum"]) == (1, 999_999_999_999)
