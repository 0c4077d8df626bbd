"""Orders count as paid by what was received. Any other amount is returned, and earlier refunds are recorded."""

from __future__ import annotations

import pytest

from chalicelib.capture import (
    cancel_order,
    fail_attempt,
    process_attempt,
    received_money,
    release_from_hold,
)
from chalicelib.capture.attempt import MAX_ORDER_HOLD, Cancelled, Failed, Paid, PutOnHold, Superseded
from chalicelib.checkout import find_purchase
from chalicelib.errors import Conflict
from chalicelib.instants import DAY, MINUTE
from chalicelib.payments.stripe.gateway import StripeGateway
from chalicelib.purchase import CheckoutResult, PurchaseState, money_at_provider
from chalicelib.purchase.order_status import OrderStatus, order_status_of
from tests.builders.shop import ShopFixture, once
from tests.builders.stripe_shop import StripeShop, a_stripe_shop, authorised_on_hold
from tests.recovery.reconciliation.test_reconcile_stripe import an_icelandic_shop


@pytest.fixture
def stripe_shop(shop: ShopFixture) -> StripeShop:
    shop.put_drop("mug", stock=1)
    return a_stripe_shop(shop)


def refunded(stripe_shop: StripeShop) -> int:
    """Return what the product has refunded. Stripe calls the released rest of a part capture a refund, too."""
    return sum(one["amount"] for one in stripe_shop.account.records("refund") if one["metadata"].get("refund"))


def test_part_captured_in_the_console_leaves_the_order_on_hold(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    placed, intent = authorised_on_hold(stripe_shop, monkeypatch)
    stripe_shop.account.console_capture(intent, 100)
    for _ in range(2):
        assert stripe_shop.process(placed) == PutOnHold()
    on_hold = stripe_shop.read(placed)
    assert on_hold.payment is not None
    assert (on_hold.state, on_hold.payment.captured, counted) == (
        PurchaseState.ON_HOLD,
        100,
        ["captured_amount_differs"] * 2,
    )
    assert on_hold.version == placed.version + 2, "the amount is written once"


def test_order_of_another_amount_is_not_released_once_its_event_has_come(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed, intent = authorised_on_hold(stripe_shop, monkeypatch)
    stripe_shop.account.console_capture(intent, 100)
    assert stripe_shop.process_event_of(intent, "payment_intent.succeeded") == PutOnHold()
    with pytest.raises(Conflict, match="received 100 of 1670 GBP") as refused:
        release_from_hold(stripe_shop.context, placed.id, "ann", stripe_shop.now)
    assert refused.value.code == "captured_amount_differs"
    assert stripe_shop.read(placed).state is PurchaseState.ON_HOLD


@pytest.mark.parametrize("noted", [True, False])
def test_cancelled_order_of_another_amount_refunds_what_was_received(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, noted: bool
) -> None:
    placed, intent = authorised_on_hold(stripe_shop, monkeypatch)
    stripe_shop.account.console_capture(intent, 100)
    stripe_shop.advance(2 * MINUTE)
    if noted:
        stripe_shop.process(placed)
    stripe_shop.advance(2 * MINUTE)
    cancel_order(stripe_shop.context, placed.id, "cancel", "", "ann", stripe_shop.now)
    assert stripe_shop.read(placed).state is PurchaseState.CANCELLED
    assert (refunded(stripe_shop), stripe_shop.shop.unit_counts("mug", stripe_shop.now)) == (100, (1, 0, 0))


def test_deadline_of_an_order_on_hold_refunds_another_amount(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed, intent = authorised_on_hold(stripe_shop, monkeypatch)
    stripe_shop.account.console_capture(intent, 100)
    stripe_shop.process(placed)
    stripe_shop.advance(MAX_ORDER_HOLD + MINUTE)
    assert stripe_shop.process(placed) == Cancelled()
    assert refunded(stripe_shop) == 100


def test_part_captured_while_the_order_is_placed_is_refunded_and_the_attempt_ends(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    placed = stripe_shop.place()

    def somebody_captures_a_part() -> None:
        (intent,) = stripe_shop.intents()
        stripe_shop.account.console_capture(intent, 100)

    once(monkeypatch, StripeGateway, "capture", before=somebody_captures_a_part)
    assert stripe_shop.process(placed) == Failed("captured_amount_differs")
    assert (stripe_shop.read(placed).state, refunded(stripe_shop)) == (PurchaseState.OPEN, 100)
    assert counted == ["captured_amount_differs"]
    answer = find_purchase(stripe_shop.context, placed.id, stripe_shop.now)
    assert isinstance(answer, CheckoutResult)
    assert answer.messages[0].extra == {"reason": "captured_amount_differs"}
    assert "is refunded" in answer.messages[0].content
    assert stripe_shop.process(placed) == Superseded()
    stripe_shop.account.check_balance()


def test_money_that_was_returned_is_no_capture_without_an_order(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarms: list[str] = []
    for module in (fail_attempt, received_money):
        monkeypatch.setattr(module, "count", alarms.append)
    placed = stripe_shop.place()
    once(
        monkeypatch,
        StripeGateway,
        "capture",
        before=lambda: stripe_shop.account.console_capture(next(iter(stripe_shop.intents())), 100),
    )
    stripe_shop.process(placed)
    process_attempt(stripe_shop.context, placed.id, 1, stripe_shop.now)
    assert alarms == ["captured_amount_differs"]


def test_more_than_the_total_is_refunded_and_the_attempt_ends(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, counted: list[str]
) -> None:
    placed = stripe_shop.place()

    def take_more() -> None:
        (intent,) = stripe_shop.intents()
        stripe_shop.account.increment_authorization(intent, 2_000)
        stripe_shop.account.console_capture(intent)

    once(monkeypatch, StripeGateway, "capture", before=take_more)
    assert stripe_shop.process(placed) == Failed("captured_amount_differs")
    assert (stripe_shop.received(), refunded(stripe_shop), counted) == (2_000, 2_000, ["captured_amount_differs"])
    assert stripe_shop.read(placed).state is PurchaseState.OPEN


@pytest.mark.parametrize("attempt", ["7", ""])
def test_order_is_paid_by_a_payment_whose_metadata_staff_edited(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, counted: list[str], attempt: str
) -> None:
    placed = stripe_shop.place()

    def edit() -> None:
        for name in stripe_shop.intents():
            stripe_shop.account.client().v1.payment_intents.update(name, {"metadata": {"attempt": attempt}})

    once(monkeypatch, StripeGateway, "capture", before=edit)
    assert stripe_shop.process(placed) == Paid()
    (intent,) = stripe_shop.intents()
    if attempt:
        assert stripe_shop.process_event_of(intent, "payment_intent.succeeded") == Superseded()
    paid = stripe_shop.read(placed)
    assert (paid.state, stripe_shop.received(), counted) == (PurchaseState.PAID, paid.totals.total, [])


@pytest.mark.parametrize(
    ("amount", "status"), [(400, OrderStatus.PART_REFUNDED), (None, OrderStatus.REFUNDED)], ids=["part", "whole"]
)
def test_refund_made_in_the_console_before_the_order_was_paid_is_recorded(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch, amount: int | None, status: OrderStatus
) -> None:
    placed, intent = authorised_on_hold(stripe_shop, monkeypatch)
    stripe_shop.account.console_capture(intent)
    stripe_shop.account.console_refund(intent, amount)
    stripe_shop.advance(DAY)
    assert stripe_shop.process(placed) == Paid()
    paid = stripe_shop.read(placed)
    assert (order_status_of(paid), [one.amount for one in paid.refunds]) == (status, [amount or placed.totals.total])
    assert stripe_shop.process(placed) == Superseded()
    assert stripe_shop.read(placed) == paid


def test_fraction_of_a_krona_less_than_the_total_leaves_the_order_on_hold_and_is_refunded(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_iceland = an_icelandic_shop(shop)
    placed, intent = authorised_on_hold(in_iceland, monkeypatch, drop="map")
    in_iceland.account.console_capture(intent, 5_049_950)
    assert in_iceland.process(placed) == PutOnHold()
    on_hold = in_iceland.shop.read(placed.id)
    assert on_hold.payment is not None
    assert (on_hold.payment.captured, on_hold.totals.total) == (50_499, 50_500)
    assert money_at_provider(in_iceland.context, on_hold, in_iceland.now).amount == 50_499
    cancel_order(in_iceland.context, placed.id, "cancel", "", "ann", in_iceland.now)
    assert in_iceland.shop.read(placed.id).state is PurchaseState.CANCELLED
    assert refunded(in_iceland) == 5_049_900
