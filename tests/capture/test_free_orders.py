"""A free order has its stock and its ledger entries, and the provider is never asked for an amount of 0."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.capture import process_attempt, release_from_hold
from chalicelib.checkout import complete_purchase
from chalicelib.finance.entries import entries_of
from chalicelib.instants import DAY, MINUTE
from chalicelib.purchase import CheckoutContext, PurchaseState
from chalicelib.refunds import cancel_paid_order
from tests.builders.markets import markets_with_free_shipping
from tests.builders.purchases import NOW, a_complete_request
from tests.builders.reconciliation import compare_all
from tests.builders.shop import ShopFixture


@pytest.fixture
def shop(shop: ShopFixture) -> ShopFixture:
    """Shipping is free, and the code GIFT makes items free. Orders of the channel "market" go on hold."""
    markets = markets_with_free_shipping()
    context = replace(shop.context, markets_at=lambda _: markets, order_hold_channels=frozenset({"market"}))
    assert isinstance(context, CheckoutContext)
    shop = replace(shop, context=context)
    shop.put_drop("mug")
    shop.put_discount("GIFT", percent_bps=10_000, budget_uses=5)
    return shop


def place_free_order(shop: ShopFixture, **changes: Any) -> str:
    purchase = shop.open_purchase(("mug", 1), discount_codes=("GIFT",), **changes)
    assert purchase.totals.total == 0
    complete_purchase(shop.context, purchase.id, a_complete_request("declined", "pay"), NOW)
    return purchase.id


def test_a_free_order_is_paid_without_the_provider(shop: ShopFixture) -> None:
    purchase_id = place_free_order(shop)
    for _ in range(2):
        process_attempt(shop.context, purchase_id, 1, NOW)
    paid = shop.read(purchase_id)
    assert paid.state is PurchaseState.PAID
    assert paid.payment is not None
    assert (paid.payment.provider_id, paid.payment.token, paid.payment.fee) == (None, None, 0)
    assert shop.tables.dynamodb.scan(TableName=shop.tables.sandbox)["Items"] == []
    assert shop.unit_counts("mug") == (2, 0, 1)
    assert shop.budget_counts("GIFT") == [(4, 0, 1)]
    (sale,) = entries_of(paid, "Europe/London")
    assert (sale.gross, sale.discount, sale.amount, sale.tax) == (paid.lines[0].gross, paid.lines[0].gross, 0, 0)
    assert compare_all(shop.context, NOW + 10 * MINUTE).differences == []
    assert compare_all(shop.context, NOW + 2 * DAY).differences == []


def test_a_free_order_is_paid_however_late_its_message_is(shop: ShopFixture) -> None:
    purchase_id = place_free_order(shop)
    process_attempt(shop.context, purchase_id, 1, NOW + DAY, tried=True)
    assert shop.read(purchase_id).state is PurchaseState.PAID


def test_a_cancelled_free_order_restocks_its_units(shop: ShopFixture) -> None:
    purchase_id = place_free_order(shop)
    process_attempt(shop.context, purchase_id, 1, NOW)
    cancelled, refund = cancel_paid_order(shop.context, purchase_id, "k", "", "ann", NOW)
    assert (refund.amount, refund.completed_at, cancelled.cancelled_at) == (0, NOW, NOW)
    assert shop.unit_counts("mug") == (3, 0, 0)
    rows = entries_of(cancelled, "Europe/London")
    assert [sum(getattr(row, name) for row in rows) for name in ("gross", "discount", "net", "quantity")] == [0] * 4


def test_a_free_order_of_a_channel_on_hold_waits_for_its_release(shop: ShopFixture) -> None:
    purchase_id = place_free_order(shop, attribution={"channel": "market"})
    process_attempt(shop.context, purchase_id, 1, NOW)
    assert shop.read(purchase_id).state is PurchaseState.ON_HOLD
    release_from_hold(shop.context, purchase_id, "ann", NOW)
    process_attempt(shop.context, purchase_id, 1, NOW)
    assert shop.read(purchase_id).state is PurchaseState.PAID
