"""Operators see the money of an order as the provider has it, and never a guess from the order's state."""

from __future__ import annotations

from functools import partial

import pytest

from chalicelib.capture import cancel_order, put_on_hold
from chalicelib.errors import Conflict, WriteConflict
from chalicelib.instants import MINUTE
from chalicelib.payments import OutcomeUnknownError
from chalicelib.payments.stripe.gateway import StripeGateway
from chalicelib.purchase import MoneyState, ProviderMoney, Purchase, money_at_provider
from chalicelib.refunds import refund_order
from tests.builders.purchases import a_refund_request
from tests.builders.shop import ShopFixture, once
from tests.builders.stripe_shop import StripeShop, a_stripe_shop
from tests.doubles.stripe import faults


@pytest.fixture
def stripe_shop(shop: ShopFixture) -> StripeShop:
    shop.put_drop("mug", stock=1)
    return a_stripe_shop(shop)


def money(stripe_shop: StripeShop, purchase: Purchase) -> ProviderMoney:
    return money_at_provider(stripe_shop.context, stripe_shop.read(purchase), stripe_shop.now)


def refusal_of_refund(stripe_shop: StripeShop, purchase: Purchase) -> str:
    request = a_refund_request((purchase.lines[0].id, 1))
    with pytest.raises(Conflict) as refused:
        refund_order(stripe_shop.context, purchase.id, request, stripe_shop.now)
    return refused.value.detail


def test_order_in_line_has_nothing_reserved(stripe_shop: StripeShop) -> None:
    placed = stripe_shop.place()
    assert money(stripe_shop, placed) == ProviderMoney(MoneyState.NOTHING, "GBP")
    detail = "The order is not paid yet. Refund it once it is paid. The payment provider has reserved nothing."
    assert refusal_of_refund(stripe_shop, placed) == detail


def test_capture_whose_answer_was_lost_is_shown_as_captured(stripe_shop: StripeShop) -> None:
    placed = stripe_shop.place()
    stripe_shop.account.fail_next("payment_intents.capture", faults.closed(after_effect=True))
    with pytest.raises(OutcomeUnknownError):
        stripe_shop.process(placed)
    assert money(stripe_shop, placed) == ProviderMoney(MoneyState.CAPTURED, "GBP", placed.totals.total)
    assert refusal_of_refund(stripe_shop, placed) == (
        "The order is not paid yet. Refund it once it is paid."
        " The payment provider has captured 1670 GBP (minor units)."
    )
    with pytest.raises(Conflict, match="has captured 1670 GBP"):
        cancel_order(stripe_shop.context, placed.id, "cancel", "", "ann", stripe_shop.now)


def test_order_on_hold_shows_reserved_captured_and_refunded_money(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = stripe_shop.place()
    hold = partial(put_on_hold, stripe_shop.context, placed.id, "ann", stripe_shop.now)
    once(monkeypatch, StripeGateway, "authorise", after=hold)
    with pytest.raises(WriteConflict):
        stripe_shop.process(placed)
    assert money(stripe_shop, placed) == ProviderMoney(MoneyState.RESERVED, "GBP", 1_670)
    (intent,) = stripe_shop.intents()
    stripe_shop.account.console_capture(intent, 1_000)
    stripe_shop.account.console_refund(intent, 300)
    stripe_shop.advance(MINUTE)
    shown = money(stripe_shop, placed)
    assert shown == ProviderMoney(MoneyState.CAPTURED, "GBP", 1_000, 300)
    assert shown.sentence() == ("The payment provider has captured 1000 GBP (minor units), of which 300 are refunded.")


def test_silent_provider_is_shown_as_unknown(stripe_shop: StripeShop) -> None:
    placed = stripe_shop.place()
    stripe_shop.account.choose_faults(lambda request, number: faults.closed())
    assert money(stripe_shop, placed).state is MoneyState.UNKNOWN
    assert "does not say at this moment" in refusal_of_refund(stripe_shop, placed)


def test_order_cancelled_on_hold_is_asked_for_by_its_payment(stripe_shop: StripeShop) -> None:
    """Without the payment's id, the provider's list since placing would be read."""
    placed = stripe_shop.place()
    stripe_shop.account.fail_next("payment_intents.capture", faults.closed())
    with pytest.raises(OutcomeUnknownError):
        stripe_shop.process(placed)
    put_on_hold(stripe_shop.context, placed.id, "ann", stripe_shop.now)
    stripe_shop.advance(2 * MINUTE)
    cancel_order(stripe_shop.context, placed.id, "cancel", "", "ann", stripe_shop.now)
    before = len(stripe_shop.account.operations())
    assert money(stripe_shop, placed) == ProviderMoney(MoneyState.NOTHING, "GBP")
    assert stripe_shop.account.operations()[before:] == ["payment_intents.retrieve"]
