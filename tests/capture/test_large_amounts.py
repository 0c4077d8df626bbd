"""The highest price of a currency with small units is charged, recorded and refunded to the minor unit."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.capture import process_attempt
from chalicelib.checkout import complete_purchase
from chalicelib.currencies import highest_amount
from chalicelib.discounts import PutDiscountRequest
from chalicelib.finance import entries_of
from chalicelib.instants import MINUTE, rfc3339
from chalicelib.pricing import DEFAULT_MARKETS, Markets
from chalicelib.purchase import PurchaseState
from chalicelib.refunds import cancel_paid_order
from chalicelib.shows import PutShowRequest
from tests.builders.purchases import NOW, a_complete_request
from tests.builders.shop import ShopFixture

HIGHEST = highest_amount("IDR")


def test_highest_price_is_charged_recorded_and_refunded_exactly(shop: ShopFixture) -> None:
    markets = DEFAULT_MARKETS.model_dump(mode="json")
    markets["markets"][0]["shipping"][0]["price"]["IDR"] = 0
    changed = Markets.model_validate(markets)
    shop = replace(shop, context=replace(shop.context, markets_at=lambda _: changed))
    show = {"title": "Jakarta", "currency": "IDR", "starts_at": rfc3339(NOW - 10 * MINUTE)}
    shop.shows.put_show("jakarta", PutShowRequest.model_validate(show), "test", NOW - 10 * MINUTE)
    shop.put_drop("ring", show_id="jakarta", unit_price={"amount": HIGHEST, "currency": "IDR"})
    budget = {"amount": HIGHEST, "currency": "IDR"}
    amount = {"amount": 100_000_000_001, "currency": "IDR"}
    body = {"title": "Big", "amount": amount, "budget_amount": budget}
    shop.context.discounts.put("BIG", PutDiscountRequest.from_body(body), None, "test", NOW - MINUTE)
    purchase = shop.open_purchase(("ring", 1), discount_codes=("BIG",))
    total = HIGHEST - 100_000_000_001
    assert purchase.totals.total == total
    complete_purchase(shop.context, purchase.id, a_complete_request(), NOW)
    process_attempt(shop.context, purchase.id, 1, NOW)
    paid = shop.read(purchase.id)
    assert paid.state is PurchaseState.PAID
    assert shop.budget_counts("BIG") == [(HIGHEST - 100_000_000_001, 0, 100_000_000_001)]
    sale, *_ = entries_of(paid, "Europe/London")
    assert (sale.unit_price, sale.gross, sale.discount, sale.amount) == (HIGHEST, HIGHEST, 100_000_000_001, total)
    refunded, refund = cancel_paid_order(shop.context, purchase.id, "cancel", "", "ann", NOW)
    assert (refund.amount, refund.is_pending) == (total, False)
    assert sum(entry.amount for entry in entries_of(refunded, "Europe/London") if not entry.fee) == 0
