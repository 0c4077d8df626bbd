"""Where only a guess says how Stripe behaves, orders end right either way: by what moved, and by their state."""

from __future__ import annotations

import json
from functools import partial
from typing import Any, get_args, get_type_hints

import pytest

from chalicelib.capture import process_event, release_from_hold, store_event
from chalicelib.capture.attempt import AwaitingAuthentication, Failed, Paid
from chalicelib.checkout import complete_purchase
from chalicelib.errors import Conflict
from chalicelib.instants import DAY, HOUR, MINUTE, SECOND
from chalicelib.payments import OutcomeUnknownError, parse_stripe_event
from chalicelib.payments.stripe.gateway import StripeGateway
from chalicelib.purchase import CheckoutResult, Purchase, PurchaseState
from chalicelib.refunds import cancel_paid_order
from tests.builders.purchases import a_complete_request
from tests.builders.reconciliation import compare_all
from tests.builders.shop import ShopFixture, once
from tests.builders.stripe_shop import StripeShop, a_stripe_shop, authorised_on_hold
from tests.doubles.stripe import Behaviour
from tests.payments.stripe_requests import DECLINED, MARK, REQUIRES_ACTION, VISA
from tests.providers.guesses import GUESSES

TOTAL = 1_670


def each(name: str, **others: Any) -> pytest.MarkDecorator:
    """Run a test once for each value of a switch, ``guess``, with other switches as given."""
    values = [pytest.param(value, {name: value, **others}, id=str(value)) for value in GUESSES[name]]
    return pytest.mark.parametrize(("guess", "behaviour"), values)


@pytest.fixture
def stripe_shop(shop: ShopFixture, guess: Any, behaviour: dict[str, Any]) -> StripeShop:
    """A shop at an account in which the test's guess holds."""
    shop.put_drop("mug", stock=2)
    return a_stripe_shop(shop, **behaviour)


def place_again(stripe_shop: StripeShop, purchase: Purchase, token: str, attempt: int) -> None:
    request = a_complete_request(token, f"pay-{attempt}")
    assert isinstance(complete_purchase(stripe_shop.context, purchase.id, request, stripe_shop.now), CheckoutResult)


def process_events(stripe_shop: StripeShop) -> list[str]:
    """Let the worker process the events that are due. Return their types."""
    types = []
    for delivery in stripe_shop.account.take_deliveries():
        event = parse_stripe_event(json.loads(delivery.body), MARK)
        if store_event(stripe_shop.context, event, stripe_shop.now) == "stored":
            process_event(stripe_shop.context, "stripe", event.id, stripe_shop.now)
        stripe_shop.account.answer_delivery(delivery, 200)
        types.append(json.loads(delivery.body)["type"])
    return types


def expect(stripe_shop: StripeShop, purchase: Purchase, state: PurchaseState, received: int) -> None:
    """Check an order's state, what all intents received, where the units are, and Stripe's own balance."""
    units = (1, 0, 1) if state is PurchaseState.PAID else (1, 1, 0)
    assert (stripe_shop.read(purchase).state, stripe_shop.received()) == (state, received)
    assert stripe_shop.shop.unit_counts("mug", stripe_shop.now) == units
    stripe_shop.account.check_balance()


def test_every_value_of_a_switch_is_tried() -> None:
    types = get_type_hints(Behaviour)
    for name, values in GUESSES.items():
        assert getattr(Behaviour(), name) in values
        assert set(get_args(types[name])) <= {*values, str, type(None)}, name
        if types[name] is bool:
            assert set(values) == {True, False}


@each("void_sends_refund_created")
def test_voided_attempt_is_no_refund_of_the_attempt_that_paid(stripe_shop: StripeShop, guess: bool) -> None:
    placed = stripe_shop.place(REQUIRES_ACTION)
    assert isinstance(stripe_shop.process(placed), AwaitingAuthentication)
    (intent,) = stripe_shop.intents()
    stripe_shop.account.authenticate(intent)
    payment = stripe_shop.read(placed).payment
    assert payment is not None
    assert payment.deadline is not None
    stripe_shop.advance(payment.deadline - stripe_shop.now)
    assert stripe_shop.process(placed) == Failed("authentication_expired")
    place_again(stripe_shop, placed, VISA, 2)
    assert stripe_shop.process(placed, attempt=2) == Paid()
    assert process_events(stripe_shop).count("refund.created") == guess
    expect(stripe_shop, placed, PurchaseState.PAID, TOTAL)
    assert stripe_shop.read(placed).refunds == ()


@each("failed_proof_type")
@pytest.mark.parametrize("by_event", [True, False])
def test_failed_proof_ends_the_attempt_and_the_next_one_pays(stripe_shop: StripeShop, by_event: bool) -> None:
    placed = stripe_shop.place(REQUIRES_ACTION)
    stripe_shop.process(placed)
    (intent,) = stripe_shop.intents()
    stripe_shop.account.authenticate(intent, succeeded=False)
    if by_event:
        assert "payment_intent.payment_failed" in process_events(stripe_shop)
    else:
        assert stripe_shop.process(placed) == Failed("payment_intent_authentication_failure")
    expect(stripe_shop, placed, PurchaseState.OPEN, 0)
    place_again(stripe_shop, placed, VISA, 2)
    assert stripe_shop.process(placed, attempt=2) == Paid()
    expect(stripe_shop, placed, PurchaseState.PAID, TOTAL)


def _second_order_with_a_used_token(stripe_shop: StripeShop, token: str) -> None:
    first, second = (stripe_shop.place(token, key=f"key-{number}") for number in range(2))
    assert stripe_shop.process(first) == Paid()
    assert stripe_shop.process(second) == Failed("invalid_token")
    assert stripe_shop.read(second).state is PurchaseState.OPEN
    assert (stripe_shop.received(), stripe_shop.shop.unit_counts("mug", stripe_shop.now)) == (TOTAL, (0, 1, 1))
    place_again(stripe_shop, second, VISA, 2)
    assert stripe_shop.process(second, attempt=2) == Paid()
    assert (stripe_shop.received(), stripe_shop.shop.unit_counts("mug", stripe_shop.now)) == (2 * TOTAL, (0, 0, 2))


@each("used_token_param")
def test_used_confirmation_token_ends_the_attempt_and_takes_nothing(stripe_shop: StripeShop) -> None:
    _second_order_with_a_used_token(stripe_shop, "ctoken_visa_7")


@each("used_payment_method_message")
def test_used_payment_method_ends_the_attempt_and_takes_nothing(stripe_shop: StripeShop) -> None:
    _second_order_with_a_used_token(stripe_shop, "pm_card_visa_7")


@each("declined_payment_method_is_used")
def test_declined_card_that_is_tried_again_is_declined_again(stripe_shop: StripeShop, guess: bool) -> None:
    card = f"{DECLINED}_7"
    placed = stripe_shop.place(card)
    assert stripe_shop.process(placed) == Failed("generic_decline")
    place_again(stripe_shop, placed, card, 2)
    assert stripe_shop.process(placed, attempt=2) == Failed("invalid_token" if guess else "generic_decline")
    expect(stripe_shop, placed, PurchaseState.OPEN, 0)
    place_again(stripe_shop, placed, VISA, 3)
    assert stripe_shop.process(placed, attempt=3) == Paid()
    expect(stripe_shop, placed, PurchaseState.PAID, TOTAL)


@each("max_confirms")
def test_each_attempt_confirms_an_intent_of_its_own(stripe_shop: StripeShop) -> None:
    placed = stripe_shop.place(DECLINED)
    stripe_shop.process(placed)
    for attempt, token in ((2, DECLINED), (3, VISA)):
        place_again(stripe_shop, placed, token, attempt)
        stripe_shop.process(placed, attempt=attempt)
    assert list(stripe_shop.intents().values()) == ["requires_payment_method"] * 2 + ["succeeded"]
    expect(stripe_shop, placed, PurchaseState.PAID, TOTAL)


@each("expired_code", hold_expires=10 * MINUTE)
def test_expired_authorisation_ends_the_attempt_and_refunds_nothing(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed, _ = authorised_on_hold(stripe_shop, monkeypatch)
    release_from_hold(stripe_shop.context, placed.id, "ann", stripe_shop.now)
    expire = partial(stripe_shop.advance, 11 * MINUTE)
    once(monkeypatch, StripeGateway, "capture", before=expire)
    assert stripe_shop.process(placed) == Failed("authorisation_expired")
    process_events(stripe_shop)
    assert (stripe_shop.read(placed).state, stripe_shop.received()) == (PurchaseState.OPEN, 0)
    assert stripe_shop.read(placed).refunds == ()


@each("captured_code")
def test_money_that_is_captured_already_pays_the_order_once(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = stripe_shop.place()

    def somebody_captures() -> None:
        (intent,) = stripe_shop.intents()
        stripe_shop.account.console_capture(intent)

    once(monkeypatch, StripeGateway, "capture", before=somebody_captures)
    assert stripe_shop.process(placed) == Paid()
    process_events(stripe_shop)
    expect(stripe_shop, placed, PurchaseState.PAID, TOTAL)


@each("capture_answer", capture_takes=20 * MINUTE)
def test_order_is_paid_when_its_capture_has_ended_also_past_its_deadline(stripe_shop: StripeShop, guess: str) -> None:
    placed = stripe_shop.place()
    if guess == "succeeded":
        assert stripe_shop.process(placed) == Paid()
    else:
        for wait in (0, 5 * SECOND, 16 * MINUTE):
            stripe_shop.advance(wait)
            with pytest.raises(OutcomeUnknownError):
                stripe_shop.process(placed, tried=wait > 0)
            assert (stripe_shop.read(placed).state, stripe_shop.received()) == (PurchaseState.PLACED, 0)
        stripe_shop.advance(5 * MINUTE)
        assert stripe_shop.process(placed, tried=True) == Paid()
    process_events(stripe_shop)
    expect(stripe_shop, placed, PurchaseState.PAID, TOTAL)


@each("over_refund_code")
def test_refund_of_more_than_is_left_moves_nothing(stripe_shop: StripeShop) -> None:
    placed = stripe_shop.place()
    stripe_shop.process(placed)
    (intent,) = stripe_shop.intents()
    stripe_shop.account.console_refund(intent, 1_000)
    with pytest.raises(Conflict, match="Nothing was refunded"):
        cancel_paid_order(stripe_shop.context, placed.id, "cancel", "", "ann", stripe_shop.now)
    process_events(stripe_shop)
    order = stripe_shop.read(placed)
    assert [one.amount for one in order.refunds if one.completed_at is not None] == [1_000]
    assert (order.cancelled_at, [one.failure_code is None for one in order.refunds]) == (None, [False, True])
    assert [one["amount"] for one in stripe_shop.account.records("refund")] == [1_000]
    expect(stripe_shop, placed, PurchaseState.PAID, TOTAL)


@each("refunds_need_balance", negative_payouts=False)
def test_refund_that_waits_for_the_balance_is_done_when_its_money_moves(stripe_shop: StripeShop, guess: bool) -> None:
    placed = stripe_shop.place()
    stripe_shop.process(placed)
    stripe_shop.advance(10 * DAY)  # the balance is paid out
    cancel_paid_order(stripe_shop.context, placed.id, "cancel", "", "ann", stripe_shop.now)
    waiting = stripe_shop.read(placed)
    assert [(one.amount, one.is_pending) for one in waiting.refunds] == [(TOTAL, guess)]
    assert (waiting.cancelled_at is None, stripe_shop.shop.unit_counts("mug", stripe_shop.now)) == (
        guess,
        (1, 0, 1) if guess else (2, 0, 0),
    )
    stripe_shop.account.foreign_payment(amount=5_000)
    stripe_shop.advance(2 * HOUR)
    process_events(stripe_shop)
    assert compare_all(stripe_shop.context, stripe_shop.now).differences == []
    ended = stripe_shop.read(placed)
    assert [(one.amount, one.is_pending, one.restocked) for one in ended.refunds] == [(TOTAL, False, True)]
    assert (ended.cancelled_at is None, stripe_shop.shop.unit_counts("mug", stripe_shop.now)) == (False, (2, 0, 0))
    stripe_shop.account.check_balance()
