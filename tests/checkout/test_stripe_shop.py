"""The checkout over Stripe's gateway: the unmodified SDK, against a server that behaves as Stripe's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from chalicelib.checkout import Purchase, PurchaseState
from chalicelib.errors import Unavailable
from chalicelib.instants import MINUTE, SECOND
from chalicelib.payments import OutcomeUnknownError
from chalicelib.payments.stripe import StripeGateway, stripe_client
from tests.checkout.builders import NOW, a_complete_request
from tests.checkout.conftest import ShopFixture
from tests.payments.stripe_double import FakeStripe
from tests.payments.stripe_orders import DECLINED, REQUIRES_ACTION, VISA
from tests.payments.stripe_server import serve


@pytest.fixture
def stripe() -> FakeStripe:
    return FakeStripe()


@pytest.fixture
def shop(shop: ShopFixture, stripe: FakeStripe) -> Iterator[ShopFixture]:
    shop.put_drop("mug", stock=3)
    with serve(stripe) as address:
        gateway = StripeGateway(stripe_client("sk_test_1", address))
        yield replace(shop, checkout=replace(shop.checkout, gateway=gateway))


def authorised_without_webhook(shop: ShopFixture, stripe: FakeStripe) -> Purchase:
    """Money is reserved, its answer was lost, and the search does not know of it yet."""
    purchase = shop.place(("mug", 1), token=VISA)
    stripe.search_index = {}
    stripe.faults.append("after")
    with pytest.raises(OutcomeUnknownError):
        shop.checkout.process_payment(purchase.id, 1, NOW)
    return purchase


def statuses(stripe: FakeStripe) -> list[str]:
    return [one["status"] for one in stripe.intents.values()]


def test_an_order_is_paid_and_given_back_whole(shop: ShopFixture, stripe: FakeStripe) -> None:
    purchase = shop.place(("mug", 2), token=VISA)
    shop.checkout.process_payment(purchase.id, 1, NOW)
    assert (shop.read(purchase.id).state, stripe.net_captured) == (PurchaseState.PAID, purchase.totals.total)
    shop.checkout.cancel_order(purchase.id, "cancel", "", "ann", NOW)
    assert (stripe.net_captured, shop.unit_counts("mug")) == (0, (3, 0, 0))


def test_after_a_decline_another_card_is_proved_and_charged_once(shop: ShopFixture, stripe: FakeStripe) -> None:
    purchase = shop.place(("mug", 1), token=DECLINED)
    shop.checkout.process_payment(purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.OPEN
    shop.checkout.complete(purchase.id, a_complete_request(REQUIRES_ACTION, "again"), NOW)
    shop.checkout.process_payment(purchase.id, 2, NOW)
    assert shop.read(purchase.id).state is PurchaseState.AWAITING_BUYER
    (name,) = stripe.intents
    stripe.complete_challenge(name)
    shop.checkout.process_payment(purchase.id, 2, NOW + MINUTE)
    paid = shop.read(purchase.id)
    assert (paid.state, statuses(stripe), stripe.net_captured) == (PurchaseState.PAID, ["succeeded"], paid.totals.total)


def test_a_held_order_is_not_given_up_on_the_word_of_a_search_that_lags(shop: ShopFixture, stripe: FakeStripe) -> None:
    purchase = authorised_without_webhook(shop, stripe)
    shop.checkout.put_on_hold(purchase.id, "ann", NOW)
    with pytest.raises(Unavailable):
        shop.checkout.cancel_held_order(purchase.id, NOW)
    assert (shop.read(purchase.id).state, shop.unit_counts("mug")) == (PurchaseState.ON_HOLD, (2, 0, 1))
    stripe.search_index = None
    shop.checkout.cancel_held_order(purchase.id, NOW + 4 * MINUTE)
    assert (shop.read(purchase.id).state, statuses(stripe)) == (PurchaseState.CANCELLED, ["canceled"])
    assert shop.unit_counts("mug") == (3, 0, 0)


def test_a_released_order_meets_the_money_it_had_reserved(shop: ShopFixture, stripe: FakeStripe) -> None:
    purchase = authorised_without_webhook(shop, stripe)
    shop.checkout.put_on_hold(purchase.id, "ann", NOW)
    shop.checkout.release_from_hold(purchase.id, "ann", NOW)
    shop.checkout.process_payment(purchase.id, 1, NOW)
    assert (shop.read(purchase.id).state, statuses(stripe)) == (PurchaseState.PAID, ["succeeded"])


def test_a_refund_in_the_console_is_recorded_by_the_comparison(shop: ShopFixture, stripe: FakeStripe) -> None:
    purchase = shop.place(("mug", 1), token=VISA)
    shop.checkout.process_payment(purchase.id, 1, NOW)
    (name,) = stripe.intents
    stripe.intents[name]["created"] = NOW // SECOND
    shop.checkout.gateway.refund(name, refund_id="console", amount=100, now=NOW)
    found = shop.checkout.reconcile(lambda *_: None, NOW - MINUTE, NOW + 5 * MINUTE)
    assert (found.refunds_recorded, found.differences) == (1, [])
    assert [one.amount for one in shop.read(purchase.id).refunds] == [100]
