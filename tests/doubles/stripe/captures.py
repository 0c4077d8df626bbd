"""Captures: the whole or a part of a hold, and the money that follows (P1, P2, P6, P9, E12 to E16)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.doubles.stripe.answers import ANSWERS, Refusal, refusal
from tests.doubles.stripe.balance import post
from tests.doubles.stripe.clock import DAY
from tests.doubles.stripe.disputes import open_dispute, warn_of_fraud
from tests.doubles.stripe.events import emit
from tests.doubles.stripe.refunds import pay_waiting_refunds, release_rest
from tests.doubles.stripe.state import Record, State, wire
from tests.doubles.stripe.tokens import CARDS


def capture(state: State, name: str, sent: Mapping[str, Any]) -> Record:
    """Take held money, once. The rest is released at once (P6, D)."""
    intent = state.named("payment_intent", name)
    if intent["status"] != "requires_capture":
        raise _wrong_state(state, intent)
    amount = sent.get("amount_to_capture", intent["amount_capturable"])
    if amount > intent["amount_capturable"]:
        raise refusal("capture_too_large", message="The amount is more than can be captured.")
    charge = state.get(intent["latest_charge"])
    card = CARDS[charge["_card"]]
    if card.capture == "declined":
        raise Refusal(ANSWERS["capture_declined"], {"payment_intent": wire(intent), "charge": charge["id"]})
    if "metadata" in sent:
        intent = state.change(intent, metadata={**intent["metadata"], **sent["metadata"]})
    if card.capture != "succeeds" or state.behaviour.capture_answer != "succeeded":
        in_between = "requires_capture" if state.behaviour.capture_answer == "requires_capture" else "processing"
        shown = state.change(intent, status=in_between, amount_capturable=0 if in_between == "processing" else amount)
        state.change(shown, status="processing", amount_capturable=0)
        if in_between == "processing":
            emit(state, "payment_intent.processing", shown)
        state.after(state.behaviour.capture_takes, _end_capture, intent["id"], amount, card.capture != "fails later")
        return shown
    _take(state, intent, amount)
    return state.get(intent["id"])


def _wrong_state(state: State, intent: Record) -> Refusal:
    expired = intent["status"] == "canceled" and intent["cancellation_reason"] == "automatic"
    row = "unexpected_state"
    if expired:
        row = state.behaviour.expired_code if "charge" in state.behaviour.expired_code else "hold_expired"
    elif intent["status"] == "succeeded":
        row = "charge_already_captured" if "charge" in state.behaviour.captured_code else "already_captured"
    message = f"This PaymentIntent could not be captured because it has a status of {intent['status']}."
    return refusal(row, payment_intent=wire(intent), message=message)


def _end_capture(state: State, name: str, amount: int, succeeds: bool) -> None:
    intent = state.get(name)
    if succeeds:
        _take(state, intent, amount)
        return
    error = {"type": "card_error", "code": "card_declined", "message": "The capture failed."}
    intent = state.change(intent, status="requires_payment_method", last_payment_error=error)
    emit(state, "payment_intent.payment_failed", intent)


def _take(state: State, intent: Record, amount: int) -> None:
    """Take the money of a hold. The intent keeps its old amount (P2, S)."""
    charge = state.change(intent["latest_charge"], captured=True, amount_captured=amount)
    intent = state.change(intent, status="succeeded", amount_capturable=0, amount_received=amount)
    emit(state, "charge.captured", charge)
    if amount < charge["amount"]:
        release_rest(state, charge)
    emit(state, "payment_intent.succeeded", intent)
    settle_capture(state, charge)


def settle_capture(state: State, charge: Record) -> None:
    """Post the money of a captured charge, after some seconds (P9, O), and start what its card will bring."""
    state.after(state.behaviour.balance_transaction_delay, _post_charge, charge["id"])
    card = CARDS[charge["_card"]]
    if card.dispute:
        state.after(DAY, _dispute, charge["id"], card.dispute == "inquiry")
    if card.early_warning:
        state.after(DAY, _warn, charge["id"])


def _post_charge(state: State, name: str) -> None:
    charge = state.get(name)
    whole = post(
        state, "charge", "charge", charge["amount"], charge["currency"], name, of_fee=charge["amount_captured"]
    )
    charge = state.change(charge, balance_transaction=whole["id"])
    emit(state, "charge.updated", charge)
    pay_waiting_refunds(state, name)


def _dispute(state: State, charge: str, is_inquiry: bool) -> None:
    open_dispute(state, charge, inquiry=is_inquiry)


def _warn(state: State, charge: str) -> None:
    warn_of_fraud(state, charge)
