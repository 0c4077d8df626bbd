"""Payments with an unknown outcome: looked up before they are begun again, under another key, and paid once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.capture import cancel_order, fail_attempt
from chalicelib.capture.attempt import Failed, Paid, PutOnHold, Superseded
from chalicelib.checkout import update_purchase
from chalicelib.errors import WriteConflict
from chalicelib.instants import MINUTE, SECOND
from chalicelib.payments import OutcomeUnknownError
from chalicelib.payments.stripe.gateway import StripeGateway
from chalicelib.purchase import Purchase, PurchaseState
from tests.builders.purchases import a_purchase_request
from tests.builders.shop import ShopFixture, once
from tests.builders.stripe_shop import MINUTES_TO_CERTAINTY, StripeShop, a_stripe_shop
from tests.doubles.stripe import faults

CREATE = "payment_intents.create"
AUTHORISED = "payment_intent.amount_capturable_updated"


@pytest.fixture
def stripe_shop(shop: ShopFixture) -> StripeShop:
    shop.put_drop("mug", stock=3)
    return a_stripe_shop(shop)


def placed_with_unknown_outcome(stripe_shop: StripeShop, fault: faults.Fault, token: str = "pm_card_visa") -> Purchase:
    placed = stripe_shop.place(token)
    stripe_shop.account.fail_next(CREATE, fault)
    with pytest.raises(OutcomeUnknownError):
        stripe_shop.process(placed)
    return placed


def test_stored_500_without_effect_is_begun_again_under_another_key(stripe_shop: StripeShop) -> None:
    placed = placed_with_unknown_outcome(stripe_shop, faults.server_error(stored=True), "pm_card_visa_1")
    stripe_shop.advance(MINUTES_TO_CERTAINTY * MINUTE)
    assert stripe_shop.process(placed, tried=True) == Paid()
    paid = stripe_shop.read(placed)
    assert paid.payment is not None
    assert (paid.state, paid.payment.tries, stripe_shop.received()) == (PurchaseState.PAID, 1, paid.totals.total)
    assert list(stripe_shop.intents().values()) == ["succeeded"]


def test_nothing_is_begun_again_before_the_look_up_is_certain(stripe_shop: StripeShop) -> None:
    placed = placed_with_unknown_outcome(stripe_shop, faults.server_error(stored=True))
    stripe_shop.advance(5 * SECOND)
    with pytest.raises(OutcomeUnknownError):
        stripe_shop.process(placed, tried=True)
    assert stripe_shop.account.operations().count(CREATE) == 1
    assert stripe_shop.intents() == {}


@pytest.mark.parametrize("stored", [True, False])
def test_500_with_effect_is_found_and_captured_once(stripe_shop: StripeShop, stored: bool) -> None:
    fault = faults.server_error(after_effect=True, stored=stored)
    placed = placed_with_unknown_outcome(stripe_shop, fault, "pm_card_visa_1")
    stripe_shop.advance(5 * SECOND)
    assert stripe_shop.process(placed, tried=True) == Paid()
    assert (list(stripe_shop.intents().values()), stripe_shop.received()) == (["succeeded"], placed.totals.total)
    assert stripe_shop.account.operations().count(CREATE) == 1


def test_each_unknown_outcome_takes_the_next_key(stripe_shop: StripeShop) -> None:
    placed = stripe_shop.place()
    for _ in range(3):
        stripe_shop.account.fail_next(CREATE, faults.server_error(stored=True))
        with pytest.raises(OutcomeUnknownError):
            stripe_shop.process(placed, tried=True)
        stripe_shop.advance(MINUTES_TO_CERTAINTY * MINUTE)
    payment = stripe_shop.read(placed).payment
    assert payment is not None
    assert payment.tries == 3
    assert stripe_shop.process(placed, tried=True) == Paid()
    assert list(stripe_shop.intents().values()) == ["succeeded"]


def test_first_payment_that_comes_late_is_voided_when_its_event_names_it(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stripe may roll a stored 500 forward long afterwards; new objects then come by webhook alone."""
    counted: list[str] = []
    monkeypatch.setattr(fail_attempt, "count", counted.append)
    placed = placed_with_unknown_outcome(stripe_shop, faults.late(5 * MINUTE))
    stripe_shop.advance(MINUTES_TO_CERTAINTY * MINUTE)
    assert stripe_shop.process(placed, tried=True) == Paid()
    stripe_shop.advance(2 * MINUTE)
    (second, first) = stripe_shop.intents()
    assert stripe_shop.intents() == {second: "succeeded", first: "requires_capture"}
    assert stripe_shop.process_event_of(first, AUTHORISED) == Superseded()
    assert stripe_shop.intents() == {second: "succeeded", first: "canceled"}
    assert (stripe_shop.received(), counted) == (placed.totals.total, ["authorisations_voided"])
    assert stripe_shop.read(placed).state is PurchaseState.PAID


@pytest.mark.parametrize("units", [1, 2])
def test_late_payment_of_an_ended_attempt_is_voided_even_if_the_buyer_changed_the_purchase(
    stripe_shop: StripeShop, units: int
) -> None:
    placed = placed_with_unknown_outcome(stripe_shop, faults.late(20 * MINUTE), "pm_card_visa_1")
    stripe_shop.advance(MINUTES_TO_CERTAINTY * MINUTE)
    stripe_shop.account.fail_next(CREATE, faults.refused("generic_decline"))
    assert stripe_shop.process(placed, tried=True) == Failed("generic_decline")
    update_purchase(stripe_shop.context, placed.id, a_purchase_request(("mug", units), key="more"), stripe_shop.now)
    stripe_shop.advance(20 * MINUTE)
    (late,) = (one for one, status in stripe_shop.intents().items() if status == "requires_capture")
    assert stripe_shop.process_event_of(late, AUTHORISED) == Superseded()
    assert stripe_shop.intents()[late] == "canceled"
    assert stripe_shop.read(placed).state is PurchaseState.OPEN


def test_event_of_a_late_first_payment_does_not_capture_beside_the_chosen_one(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = placed_with_unknown_outcome(stripe_shop, faults.late(5 * MINUTE))
    stripe_shop.advance(MINUTES_TO_CERTAINTY * MINUTE)
    first: list[str] = []

    def first_payment_comes_and_its_event_is_processed() -> None:
        stripe_shop.advance(2 * MINUTE)
        first.extend(one for one, status in stripe_shop.intents().items() if status == "requires_capture")
        first.remove(stripe_shop.read(placed).payment.provider_id)  # type: ignore[union-attr, arg-type]
        assert stripe_shop.process_event_of(first[0], AUTHORISED) == Paid()

    once(monkeypatch, StripeGateway, "capture", before=first_payment_comes_and_its_event_is_processed)
    with pytest.raises(WriteConflict):
        stripe_shop.process(placed, tried=True)
    assert sorted(stripe_shop.intents().values()) == ["canceled", "succeeded"]
    assert stripe_shop.intents()[first[0]] == "canceled"
    assert stripe_shop.received() == placed.totals.total
    assert stripe_shop.read(placed).state is PurchaseState.PAID


def test_both_payments_of_an_order_that_is_cancelled_on_hold_are_voided(stripe_shop: StripeShop) -> None:
    placed = placed_with_unknown_outcome(stripe_shop, faults.late(5 * MINUTE))
    context = replace(stripe_shop.context, order_hold_channels=frozenset({placed.channel or ""}))
    stripe_shop.shop = replace(stripe_shop.shop, context=context)
    stripe_shop.advance(MINUTES_TO_CERTAINTY * MINUTE)
    assert stripe_shop.process(placed, tried=True) == PutOnHold()
    stripe_shop.advance(2 * MINUTE)
    assert list(stripe_shop.intents().values()) == ["requires_capture"] * 2
    cancel_order(stripe_shop.context, placed.id, "cancel", "", "ann", stripe_shop.now)
    assert list(stripe_shop.intents().values()) == ["canceled"] * 2
    assert stripe_shop.read(placed).state is PurchaseState.CANCELLED


def test_both_payments_of_an_attempt_whose_capture_fails_are_voided(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = placed_with_unknown_outcome(stripe_shop, faults.late(5 * MINUTE))
    stripe_shop.advance(MINUTES_TO_CERTAINTY * MINUTE)

    def first_payment_comes_and_the_second_is_cancelled_in_the_console() -> None:
        (second,) = stripe_shop.intents()
        stripe_shop.account.console_cancel(second)
        stripe_shop.advance(2 * MINUTE)
        assert sorted(stripe_shop.intents().values()) == ["canceled", "requires_capture"]

    once(monkeypatch, StripeGateway, "capture", before=first_payment_comes_and_the_second_is_cancelled_in_the_console)
    assert stripe_shop.process(placed, tried=True) == Failed("voided")
    assert list(stripe_shop.intents().values()) == ["canceled"] * 2
    assert stripe_shop.read(placed).state is PurchaseState.OPEN


def test_event_that_names_the_payment_spares_the_look_up(stripe_shop: StripeShop) -> None:
    placed = placed_with_unknown_outcome(stripe_shop, faults.server_error(after_effect=True, stored=True))
    stripe_shop.advance(90 * SECOND)
    (only,) = stripe_shop.intents()
    assert stripe_shop.process_event_of(only, AUTHORISED) == Paid()
    assert (stripe_shop.intents(), stripe_shop.received()) == ({only: "succeeded"}, placed.totals.total)


def test_two_workers_of_one_order_pay_it_once(stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that read the order before the first outcome was known goes on under the first key."""
    placed = stripe_shop.place()

    def rival_loses_its_answer_under_the_same_key() -> None:
        stripe_shop.account.fail_next(CREATE, faults.timeout())
        with pytest.raises(OutcomeUnknownError):
            stripe_shop.process(placed)

    once(monkeypatch, StripeGateway, "authorise", before=rival_loses_its_answer_under_the_same_key)
    with pytest.raises(WriteConflict):
        stripe_shop.process(placed)
    assert list(stripe_shop.intents().values()) == ["requires_capture"]
    stripe_shop.advance(5 * SECOND)
    assert stripe_shop.process(placed, tried=True) == Paid()
    assert (list(stripe_shop.intents().values()), stripe_shop.received()) == (["succeeded"], placed.totals.total)
