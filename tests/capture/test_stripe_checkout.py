"""Orders paid by Stripe's gateway: the unmodified SDK against a server that behaves as Stripe's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.capture import cancel_order, process_attempt, put_on_hold, release_from_hold
from chalicelib.checkout import complete_purchase
from chalicelib.errors import Unavailable
from chalicelib.instants import MINUTE, SECOND
from chalicelib.payments import OutcomeUnknownError
from chalicelib.payments.stripe.gateway import StripeGateway, stripe_client
from chalicelib.purchase import Purchase, PurchaseState
from chalicelib.recovery import reconcile_payments
from chalicelib.refunds import cancel_paid_order
from tests.builders.purchases import NOW, a_complete_request
from tests.builders.shop import ShopFixture
from tests.fakes.stripe.fake_stripe import FakeStripe
from tests.fakes.stripe.server import serve
from tests.payments.stripe_requests import DECLINED, REQUIRES_ACTION, VISA


@pytest.fixture
def stripe() -> FakeStripe:
    return FakeStripe()


@pytest.fixture
def shop(shop: ShopFixture, stripe: FakeStripe) -> Iterator[ShopFixture]:
    shop.put_drop("mug", stock=3)
    with serve(stripe) as address:
        gateway = StripeGateway(stripe_client("sk_test_1", address))
        yield replace(shop, context=replace(shop.context, gateway=gateway))


def authorised_without_webhook(shop: ShopFixture, stripe: FakeStripe) -> Purchase:
    """Reserve money, lose the answer, and let the search not know the payment yet."""
    purchase = shop.place(("mug", 1), token=VISA)
    stripe.search_index = {}
    stripe.faults.append("after")
    with pytest.raises(OutcomeUnknownError):
        process_attempt(shop.context, purchase.id, 1, NOW)
    return purchase


def statuses(stripe: FakeStripe) -> list[str]:
    return [one["status"] for one in stripe.intents.values()]


def test_an_order_is_paid_and_fully_refunded(shop: ShopFixture, stripe: FakeStripe) -> None:
    purchase = shop.place(("mug", 2), token=VISA)
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert (shop.read(purchase.id).state, stripe.net_captured) == (PurchaseState.PAID, purchase.totals.total)
    cancel_paid_order(shop.context, purchase.id, "cancel", "", "ann", NOW)
    assert (stripe.net_captured, shop.unit_counts("mug")) == (0, (3, 0, 0))


def test_another_card_after_a_decline_is_authenticated_and_charged_once(shop: ShopFixture, stripe: FakeStripe) -> None:
    purchase = shop.place(("mug", 1), token=DECLINED)
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.OPEN
    complete_purchase(shop.context, purchase.id, a_complete_request(REQUIRES_ACTION, "again"), NOW)
    process_attempt(shop.context, purchase.id, 2, NOW)
    assert shop.read(purchase.id).state is PurchaseState.AWAITING_BUYER
    (name,) = stripe.intents
    stripe.complete_challenge(name)
    process_attempt(shop.context, purchase.id, 2, NOW + MINUTE)
    paid = shop.read(purchase.id)
    assert (paid.state, statuses(stripe), stripe.net_captured) == (PurchaseState.PAID, ["succeeded"], paid.totals.total)


def test_an_order_on_hold_is_not_cancelled_while_the_search_may_lag(shop: ShopFixture, stripe: FakeStripe) -> None:
    purchase = authorised_without_webhook(shop, stripe)
    put_on_hold(shop.context, purchase.id, "ann", NOW)
    with pytest.raises(Unavailable):
        cancel_order(shop.context, purchase.id, "cancel", "", "ann", NOW)
    assert (shop.read(purchase.id).state, shop.unit_counts("mug")) == (PurchaseState.ON_HOLD, (2, 0, 1))
    stripe.search_index = None
    cancel_order(shop.context, purchase.id, "cancel", "", "ann", NOW + 4 * MINUTE)
    assert (shop.read(purchase.id).state, statuses(stripe)) == (PurchaseState.CANCELLED, ["canceled"])
    assert shop.unit_counts("mug") == (3, 0, 0)


def test_a_released_order_captures_the_money_it_had_reserved(shop: ShopFixture, stripe: FakeStripe) -> None:
    purchase = authorised_without_webhook(shop, stripe)
    put_on_hold(shop.context, purchase.id, "ann", NOW)
    release_from_hold(shop.context, purchase.id, "ann", NOW)
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert (shop.read(purchase.id).state, statuses(stripe)) == (PurchaseState.PAID, ["succeeded"])


def test_a_refund_in_the_console_is_recorded_by_reconciliation(shop: ShopFixture, stripe: FakeStripe) -> None:
    purchase = shop.place(("mug", 1), token=VISA)
    process_attempt(shop.context, purchase.id, 1, NOW)
    (name,) = stripe.intents
    stripe.intents[name]["created"] = NOW // SECOND
    shop.context.gateway.refund(name, refund_id="console", amount=100, now=NOW)
    found = reconcile_payments(shop.context, lambda *_: None, NOW - MINUTE, NOW + 5 * MINUTE)
    assert (found.refunds_recorded, found.differences) == (1, [])
    assert [one.amount for one in shop.read(purchase.id).refunds] == [100]
