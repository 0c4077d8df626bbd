"""A total that the payment provider cannot charge is refused in words, before anything is placed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.checkout import update_purchase
from chalicelib.payments import stripe_gateway
from chalicelib.purchase import CheckoutResult, PurchaseState
from tests.builders.markets import markets_with_free_shipping
from tests.builders.purchases import NOW, a_purchase_request
from tests.builders.shop import ShopFixture
from tests.checkout.actions import complete_purchase, message_codes


@pytest.fixture
def shop(shop: ShopFixture) -> ShopFixture:
    """Shipping is free, and the provider is Stripe. No call reaches it."""
    markets = markets_with_free_shipping()
    gateway = stripe_gateway(lambda: "sk_test_1", lambda: "sk_test_1", "livedrop")
    return replace(shop, context=replace(shop.context, markets_at=lambda _: markets, gateway=gateway))


def test_total_below_the_minimum_charge_is_refused_and_places_nothing(shop: ShopFixture) -> None:
    shop.put_drop("pin", unit_price={"amount": 10, "currency": "GBP"})
    purchase = shop.open_purchase(("pin", 2))
    answer = complete_purchase(shop, purchase)
    assert message_codes(answer) == ["total_not_chargeable"]
    assert answer.messages[0].path == "$.totals"
    assert answer.messages[0].content == (
        "The payment provider cannot charge this total, so nothing was placed. "
        "The minimum charge in GBP is 30 minor units."
    )
    assert shop.read(purchase.id) == purchase
    assert shop.unit_counts("pin") == (1, 2, 0)


def test_one_more_unit_reaches_the_minimum_charge(shop: ShopFixture) -> None:
    shop.put_drop("pin", unit_price={"amount": 10, "currency": "GBP"})
    purchase = shop.open_purchase(("pin", 2))
    complete_purchase(shop, purchase)
    grown = update_purchase(shop.context, purchase.id, a_purchase_request(("pin", 3), key="more"), NOW)
    assert isinstance(grown, CheckoutResult)
    assert complete_purchase(shop, grown.purchase, "pay-more").purchase.state is PurchaseState.PLACED


def test_total_above_twelve_digits_is_refused_and_places_nothing(shop: ShopFixture) -> None:
    shop.put_drop("yacht", stock=10_000, unit_price={"amount": 100_000_000, "currency": "GBP"}, usual_quantity=10_000)
    purchase = shop.open_purchase(("yacht", 10_000))
    assert purchase.totals.total == 10**12
    answer = complete_purchase(shop, purchase)
    assert message_codes(answer) == ["total_not_chargeable"]
    assert shop.read(purchase.id) == purchase


def test_free_order_needs_no_charge(shop: ShopFixture) -> None:
    shop.put_drop("pin", unit_price={"amount": 10, "currency": "GBP"})
    shop.put_discount("GIFT", percent_bps=10_000)
    purchase = shop.open_purchase(("pin", 1), discount_codes=("GIFT",))
    assert purchase.totals.total == 0
    assert complete_purchase(shop, purchase).purchase.state is PurchaseState.PLACED
