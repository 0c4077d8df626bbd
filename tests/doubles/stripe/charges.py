"""Charges: one for each try to pay, held or captured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.doubles.stripe.answers import Answer
from tests.doubles.stripe.clock import SECOND
from tests.doubles.stripe.events import emit
from tests.doubles.stripe.state import Record, State
from tests.doubles.stripe.tokens import Card, Instrument


def make_charge(
    state: State,
    intent: Record,
    instrument: Instrument,
    *,
    proof: str | None = None,
    failure: Answer | None = None,
    captured: bool = False,
) -> Record:
    """Make the charge of one try: it holds or takes the money, or it failed (P11, O).

    The intent's metadata is copied at this instant (P16, D).
    """
    card = instrument.card
    record = {
        "id": state.new_id("charge"),
        "object": "charge",
        "amount": intent["amount"],
        "amount_captured": intent["amount"] if captured else 0,
        "amount_refunded": 0,
        "application": None,
        "application_fee": None,
        "application_fee_amount": None,
        "balance_transaction": None,
        "billing_details": {"address": None, "email": None, "name": None, "phone": None},
        "calculated_statement_descriptor": "LIVEDROP",
        "captured": captured,
        "created": state.seconds,
        "currency": intent["currency"],
        "customer": intent["customer"],
        "description": intent["description"],
        "disputed": False,
        "failure_balance_transaction": None,
        "failure_code": failure.code if failure else None,
        "failure_message": failure.message if failure else None,
        "fraud_details": {},
        "livemode": state.behaviour.livemode,
        "metadata": dict(intent["metadata"]),
        "on_behalf_of": None,
        "outcome": _outcome(card, failure),
        "paid": failure is None,
        "payment_intent": intent["id"],
        "payment_method": instrument.payment_method,
        "payment_method_details": {"type": "card", "card": _card_in_charge(state, card, proof, held=not captured)},
        "presentment_details": None,
        "radar_options": {},
        "receipt_email": None,
        "receipt_number": None,
        "receipt_url": None,
        "refunded": False,
        "review": None,
        "shipping": None,
        "source": None,
        "source_transfer": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": "failed" if failure else "succeeded",
        "transfer_data": None,
        "transfer_group": None,
        "_card": card.name,
    }
    charge = state.put(record)
    emit(state, "charge.failed" if failure else "charge.succeeded", charge)
    return charge


def _outcome(card: Card, failure: Answer | None) -> Mapping[str, Any]:
    if failure is not None:
        return {
            "network_status": failure.network_status,
            "reason": failure.decline_code or failure.code,
            "advice_code": failure.advice_code,
            "risk_level": "highest" if failure.outcome == "blocked" else "normal",
            "seller_message": failure.message,
            "type": failure.outcome,
        }
    return {
        "network_status": "approved_by_network",
        "reason": "elevated_risk_level" if card.review else None,
        "advice_code": None,
        "risk_level": "elevated" if card.review else "normal",
        "seller_message": "Payment complete.",
        "type": "manual_review" if card.review else "authorized",
    }


def _card_in_charge(state: State, card: Card, proof: str | None, *, held: bool) -> Mapping[str, Any]:
    flow = "frictionless" if card.proof else "challenge"
    proved = {"authentication_flow": flow, "result": proof, "version": "2.2.0"} if proof else None
    return {
        "brand": card.brand,
        "capture_before": (state.now + state.behaviour.hold_expires) // SECOND if held else None,
        "country": "GB",
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": f"fp_{card.name}",
        "funding": "credit",
        "last4": "4242",
        "network": card.brand,
        "three_d_secure": proved,
        "wallet": None,
    }
