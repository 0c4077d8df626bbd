"""3-D Secure: units stay held while the buyer authenticates, until a deadline that needs no message."""

from __future__ import annotations

from chalicelib.capture import AwaitingAuthentication, process_attempt
from chalicelib.capture.attempt import Failed, Paid, Superseded
from chalicelib.capture.three_d_secure import AUTHENTICATION_POLL_SECONDS, CHALLENGE_SECONDS
from chalicelib.checkout import complete_purchase, update_purchase
from chalicelib.instants import MINUTE, SECOND
from chalicelib.payments import Captured, Declined
from chalicelib.purchase import CheckoutResult, Purchase, PurchaseState
from chalicelib.purchase.ucp_status import current_result
from chalicelib.recovery import recover_lost_orders
from tests.builders.purchases import NOW, a_complete_request, a_purchase_request
from tests.builders.shop import ShopFixture

DEADLINE = NOW + CHALLENGE_SECONDS * SECOND


def awaiting_authentication(shop: ShopFixture, stock: int = 1) -> Purchase:
    shop.put_drop("mug", stock=stock)
    placed = shop.place(("mug", 1), token="requires_action")
    assert process_attempt(shop.context, placed.id, 1, NOW) == AwaitingAuthentication(AUTHENTICATION_POLL_SECONDS)
    return shop.read(placed.id)


def test_a_purchase_that_waits_for_its_buyer_holds_its_units_until_the_deadline(shop: ShopFixture) -> None:
    waiting = awaiting_authentication(shop)
    assert waiting.state is PurchaseState.AWAITING_BUYER
    assert waiting.payment is not None
    assert waiting.payment.deadline == DEADLINE
    assert waiting.payment.token is None
    assert waiting.payment.action_url == f"/sandbox/challenges/{waiting.id}/1"
    assert shop.unit_counts("mug") == (0, 1, 0)
    (message,) = current_result(waiting, NOW).messages
    assert (message.code, message.severity) == ("authentication_required", "requires_buyer_review")


def test_a_buyer_who_authenticates_pays_once(shop: ShopFixture) -> None:
    waiting = awaiting_authentication(shop)
    assert shop.gateway.answer_challenge(waiting.id, 1, proved=True)
    assert not shop.gateway.answer_challenge(waiting.id, 1, proved=False)
    outcomes = [process_attempt(shop.context, waiting.id, 1, NOW + MINUTE) for _ in range(2)]
    assert outcomes == [Paid(), Superseded()]
    paid = shop.read(waiting.id)
    assert paid.state is PurchaseState.PAID
    assert isinstance(shop.gateway.find(waiting.id, 1, now=NOW), Captured)
    assert shop.unit_counts("mug") == (0, 0, 1)


def test_a_buyer_who_fails_to_authenticate_is_declined_and_may_try_again(shop: ShopFixture) -> None:
    waiting = awaiting_authentication(shop)
    assert shop.gateway.answer_challenge(waiting.id, 1, proved=False)
    assert process_attempt(shop.context, waiting.id, 1, NOW + MINUTE) == Failed("authentication_failed")
    opened = shop.read(waiting.id)
    assert opened.state is PurchaseState.OPEN
    assert opened.payment is not None
    assert opened.payment.failure == "authentication_failed"
    assert shop.unit_counts("mug") == (0, 1, 0)
    assert isinstance(
        complete_purchase(shop.context, waiting.id, a_complete_request("ok", "again"), NOW + MINUTE), CheckoutResult
    )
    process_attempt(shop.context, waiting.id, 2, NOW + MINUTE)
    assert shop.read(waiting.id).state is PurchaseState.PAID


def test_the_provider_is_asked_again_until_the_deadline_and_no_longer(shop: ShopFixture) -> None:
    waiting = awaiting_authentication(shop)
    assert process_attempt(shop.context, waiting.id, 1, NOW + MINUTE) == AwaitingAuthentication(
        AUTHENTICATION_POLL_SECONDS
    )
    assert process_attempt(shop.context, waiting.id, 1, DEADLINE - 2_500) == AwaitingAuthentication(3)
    assert process_attempt(shop.context, waiting.id, 1, DEADLINE) == Failed("authentication_expired")
    assert shop.read(waiting.id).state is PurchaseState.OPEN
    assert shop.gateway.find(waiting.id, 1, now=NOW) == Declined(f"sbx_{waiting.id}#1", "voided")
    assert not shop.gateway.answer_challenge(waiting.id, 1, proved=True)


def test_an_authentication_after_the_deadline_is_voided(shop: ShopFixture) -> None:
    waiting = awaiting_authentication(shop)
    assert shop.gateway.answer_challenge(waiting.id, 1, proved=True)
    process_attempt(shop.context, waiting.id, 1, DEADLINE)
    assert shop.read(waiting.id).state is PurchaseState.OPEN
    assert shop.gateway.find(waiting.id, 1, now=NOW) == Declined(f"sbx_{waiting.id}#1", "voided")


def test_units_past_the_deadline_are_available_although_no_message_came(shop: ShopFixture) -> None:
    waiting = awaiting_authentication(shop)
    rival = shop.open_purchase(("mug", 1), key="rival", now=DEADLINE + 3 * SECOND)
    assert rival.lines[0].quantity == 1
    assert shop.gateway.answer_challenge(waiting.id, 1, proved=True)
    process_attempt(shop.context, waiting.id, 1, DEADLINE + 4 * SECOND)
    assert shop.read(waiting.id).state is PurchaseState.OPEN
    assert isinstance(shop.gateway.find(waiting.id, 1, now=NOW), Declined)
    assert shop.unit_counts("mug", DEADLINE + 4 * SECOND) == (0, 1, 0)


def test_an_attempt_fails_if_its_units_may_not_be_held_long_enough(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    placed = shop.place(("mug", 1), token="requires_action")
    late = placed.lines[0].max_hold_until * SECOND - 30 * SECOND
    assert process_attempt(shop.context, placed.id, 1, late) == Failed("authentication_required")
    opened = shop.read(placed.id)
    assert opened.state is PurchaseState.OPEN
    assert opened.payment is not None
    assert opened.payment.failure == "authentication_required"


def test_a_purchase_that_waits_for_its_buyer_cannot_be_updated(shop: ShopFixture) -> None:
    waiting = awaiting_authentication(shop, stock=3)
    answer = update_purchase(shop.context, waiting.id, a_purchase_request(("mug", 2), key="late"), NOW)
    assert [message.code for message in answer.messages] == ["complete_in_progress", "authentication_required"]
    assert shop.read(waiting.id) == waiting


def test_a_waiting_purchase_whose_message_was_lost_is_recovered_after_its_deadline(shop: ShopFixture) -> None:
    waiting = awaiting_authentication(shop)
    enqueued: list[tuple[str, int]] = []

    def enqueue(purchase_id: str, attempt: int) -> None:
        enqueued.append((purchase_id, attempt))

    recover_lost_orders(shop.context, enqueue, DEADLINE)
    assert enqueued == []
    recover_lost_orders(shop.context, enqueue, DEADLINE + 2 * MINUTE)
    assert enqueued == [(waiting.id, 1)]
