"""Orders on hold, by an operator or by the rule of a channel."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from chalicelib.capture import cancel_order, process_attempt, put_on_hold, release_from_hold
from chalicelib.capture.attempt import MAX_ORDER_HOLD
from chalicelib.checkout import complete_purchase
from chalicelib.errors import Conflict, NotFound, WriteConflict
from chalicelib.instants import MINUTE, SECOND
from chalicelib.payments import Authorised, Captured, Declined, SandboxGateway
from chalicelib.purchase import (
    CheckoutResult,
    Purchase,
    PurchaseState,
    Written,
)
from chalicelib.purchase.holds import holds_of, order_ref_of
from chalicelib.recovery import recover_lost_orders
from tests.builders.purchases import NOW, a_complete_request
from tests.builders.shop import ShopFixture, once


@pytest.fixture
def shop(shop: ShopFixture) -> ShopFixture:
    """Orders of the channel "market" go on hold."""
    context = replace(shop.context, order_hold_channels=frozenset({"market"}))
    shop_with_channel = replace(shop, context=context)
    shop_with_channel.put_drop("mug")
    return shop_with_channel


def place_in_channel_on_hold(shop: ShopFixture, token: str = "ok") -> str:
    purchase = shop.open_purchase(("mug", 2), attribution={"channel": "market"})
    assert isinstance(
        complete_purchase(shop.context, purchase.id, a_complete_request(token, "pay"), NOW), CheckoutResult
    )
    return purchase.id


def test_an_order_of_a_channel_on_hold_is_authorised_and_waits(shop: ShopFixture) -> None:
    purchase_id = place_in_channel_on_hold(shop)
    for _ in range(2):
        process_attempt(shop.context, purchase_id, 1, NOW)
    on_hold = shop.read(purchase_id)
    assert on_hold.state is PurchaseState.ON_HOLD
    assert on_hold.payment is not None
    assert (on_hold.payment.held_by, on_hold.payment.deadline) == ("channel", NOW + MAX_ORDER_HOLD)
    assert isinstance(shop.gateway.find(purchase_id, 1, now=NOW), Authorised)
    assert shop.unit_counts("mug") == (1, 0, 2)


def test_a_released_order_is_captured_once(shop: ShopFixture) -> None:
    purchase_id = place_in_channel_on_hold(shop)
    process_attempt(shop.context, purchase_id, 1, NOW)
    released = release_from_hold(shop.context, purchase_id, "ann", NOW + MINUTE)
    assert released.state is PurchaseState.PLACED
    assert release_from_hold(shop.context, purchase_id, "bob", NOW + MINUTE) == released
    for _ in range(2):
        process_attempt(shop.context, purchase_id, 1, NOW + MINUTE)
    paid = shop.read(purchase_id)
    assert paid.state is PurchaseState.PAID
    assert paid.payment is not None
    assert (paid.payment.held_by, paid.payment.released_by) == ("channel", "ann")
    assert shop.unit_counts("mug") == (1, 0, 2)


def authenticated_and_on_hold(shop: ShopFixture) -> str:
    """An order of a channel on hold whose buyer has authenticated."""
    purchase_id = place_in_channel_on_hold(shop, "requires_action")
    process_attempt(shop.context, purchase_id, 1, NOW)
    assert shop.read(purchase_id).state is PurchaseState.AWAITING_BUYER
    assert isinstance(shop.gateway, SandboxGateway)
    assert shop.gateway.answer_challenge(purchase_id, 1, proved=True)
    process_attempt(shop.context, purchase_id, 1, NOW + MINUTE)
    assert shop.read(purchase_id).state is PurchaseState.ON_HOLD
    return purchase_id


def test_an_authenticated_order_is_put_on_hold_and_captured_when_released(shop: ShopFixture) -> None:
    purchase_id = authenticated_and_on_hold(shop)
    release_from_hold(shop.context, purchase_id, "ann", NOW + MINUTE)
    process_attempt(shop.context, purchase_id, 1, NOW + MINUTE)
    assert shop.read(purchase_id).state is PurchaseState.PAID
    assert shop.unit_counts("mug") == (1, 0, 2)


def test_a_released_order_without_authorisation_or_token_is_open_again(
    shop: ShopFixture,
) -> None:
    purchase_id = authenticated_and_on_hold(shop)
    shop.gateway.void(f"sbx_{purchase_id}#1", attempt=1, now=NOW)
    release_from_hold(shop.context, purchase_id, "ann", NOW + MINUTE)
    process_attempt(shop.context, purchase_id, 1, NOW + MINUTE)
    purchase = shop.read(purchase_id)
    assert purchase.state is PurchaseState.OPEN
    assert purchase.payment is not None
    assert purchase.payment.failure == "authorisation_expired"
    assert shop.unit_counts("mug") == (1, 2, 0)


def test_an_order_cancelled_on_hold_is_not_charged_and_its_units_are_available(shop: ShopFixture) -> None:
    purchase_id = place_in_channel_on_hold(shop)
    process_attempt(shop.context, purchase_id, 1, NOW)
    cancelled, refund = cancel_order(shop.context, purchase_id, "cancel", "", "ann", NOW + MINUTE)
    assert cancel_order(shop.context, purchase_id, "again", "", "bob", NOW + MINUTE) == (cancelled, refund)
    assert (cancelled.state, refund) == (PurchaseState.CANCELLED, None)
    assert shop.gateway.find(purchase_id, 1, now=NOW) == Declined(f"sbx_{purchase_id}#1", "voided")
    assert shop.unit_counts("mug") == (3, 0, 0)


def test_an_order_past_its_time_on_hold_is_cancelled_by_the_worker(shop: ShopFixture) -> None:
    purchase_id = place_in_channel_on_hold(shop)
    process_attempt(shop.context, purchase_id, 1, NOW)
    late = NOW + MAX_ORDER_HOLD + 2 * MINUTE
    enqueued: list[tuple[str, int]] = []
    recover_lost_orders(shop.context, lambda *attempt: enqueued.append(attempt), late)
    assert enqueued == [(purchase_id, 1)]
    process_attempt(shop.context, *enqueued[0], late)
    assert shop.read(purchase_id).state is PurchaseState.CANCELLED
    assert shop.unit_counts("mug", late) == (3, 0, 0)


def test_a_placed_order_put_on_hold_by_an_operator_is_not_captured(shop: ShopFixture) -> None:
    purchase = shop.place(("mug", 1), key="other")
    on_hold = put_on_hold(shop.context, purchase.id, "ann", NOW)
    assert put_on_hold(shop.context, purchase.id, "bob", NOW) == on_hold
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id) == on_hold
    assert shop.gateway.find(purchase.id, 1, now=NOW) is None
    release_from_hold(shop.context, purchase.id, "ann", NOW)
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.PAID


def test_an_order_put_on_hold_during_its_capture_becomes_paid(shop: ShopFixture) -> None:
    purchase = shop.place(("mug", 1), key="other")
    put_on_hold(shop.context, purchase.id, "ann", NOW)
    release_from_hold(shop.context, purchase.id, "ann", NOW)
    process_attempt(shop.context, purchase.id, 1, NOW)
    paid = shop.read(purchase.id)
    assert isinstance(shop.gateway.find(purchase.id, 1, now=NOW), Captured)
    # As if an operator had put the order on hold before "paid" was written:
    behind = paid.model_copy(update={"version": paid.version + 1, "state": PurchaseState.ON_HOLD, "paid_at": None})
    assert shop.context.purchases.replace(behind) == Written()
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.PAID


def test_a_paid_or_unknown_order_cannot_be_put_on_hold_or_released(shop: ShopFixture) -> None:
    paid = shop.pay(("mug", 1), key="other")
    for refused in (partial(put_on_hold, shop.context), partial(release_from_hold, shop.context)):
        with pytest.raises(Conflict):
            refused(paid.id, "ann", NOW)
        with pytest.raises(NotFound):
            refused("x" * 22, "ann", NOW)
    assert shop.read(paid.id) == paid


# An operator cancels while a worker pays for the order.


def test_an_order_cancelled_on_hold_before_the_authorisation_is_not_charged(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker commits the stock, the cancellation finds nothing to void, and only then is money reserved."""
    purchase = shop.place(("mug", 1), key="other")

    def put_on_hold_and_cancel() -> None:
        put_on_hold(shop.context, purchase.id, "ann", NOW)
        cancel_order(shop.context, purchase.id, "cancel", "", "ann", NOW)

    once(monkeypatch, type(shop.gateway), "authorise", before=put_on_hold_and_cancel)
    with pytest.raises(WriteConflict):
        process_attempt(shop.context, purchase.id, 1, NOW)
    assert isinstance(shop.gateway.find(purchase.id, 1, now=NOW), Authorised)
    process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.CANCELLED
    assert shop.gateway.find(purchase.id, 1, now=NOW) == Declined(f"sbx_{purchase.id}#1", "voided")
    assert shop.unit_counts("mug") == (3, 0, 0)


def captured_and_on_hold(shop: ShopFixture) -> Purchase:
    """An order that was captured and put on hold before "paid" was written."""
    paid = shop.pay(("mug", 1), key="other")
    assert paid.payment is not None
    payment = paid.payment.model_copy(update={"deadline": NOW + MAX_ORDER_HOLD, "held_by": "ann"})
    changes = {"version": paid.version + 1, "state": PurchaseState.ON_HOLD, "paid_at": None, "payment": payment}
    on_hold = paid.model_copy(update=changes)
    assert shop.context.purchases.replace(on_hold) == Written()
    return on_hold


def test_cancelling_a_captured_order_on_hold_moves_none_of_its_units(shop: ShopFixture) -> None:
    on_hold = captured_and_on_hold(shop)
    with pytest.raises(WriteConflict):
        cancel_order(shop.context, on_hold.id, "cancel", "", "ann", NOW)
    assert shop.unit_counts("mug") == (2, 0, 1)
    process_attempt(shop.context, on_hold.id, 1, NOW)
    assert (shop.read(on_hold.id).state, shop.unit_counts("mug")) == (PurchaseState.PAID, (2, 0, 1))


def test_a_late_revert_of_a_cancellation_leaves_a_captured_order_its_units(shop: ShopFixture) -> None:
    on_hold = captured_and_on_hold(shop)
    process_attempt(shop.context, on_hold.id, 1, NOW)
    assert shop.read(on_hold.id).state is PurchaseState.PAID
    for pool, hold in holds_of(on_hold):
        shop.stock.revert_to_hold(pool, hold, order_ref_of(on_hold), NOW // SECOND)
    assert shop.unit_counts("mug", NOW + MINUTE) == (2, 0, 1)


def test_a_late_revert_of_a_cancellation_leaves_a_released_order_its_units(shop: ShopFixture) -> None:
    purchase = shop.place(("mug", 1), key="other")
    on_hold = put_on_hold(shop.context, purchase.id, "ann", NOW)
    release_from_hold(shop.context, purchase.id, "ann", NOW)
    process_attempt(shop.context, purchase.id, 1, NOW)
    for pool, hold in holds_of(on_hold):
        shop.stock.revert_to_hold(pool, hold, order_ref_of(on_hold), NOW // SECOND)
    assert (shop.read(purchase.id).state, shop.unit_counts("mug", NOW + MINUTE)) == (PurchaseState.PAID, (2, 0, 1))
