"""Disputes, inquiries and early fraud warnings (D1 to D10)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from tests.doubles.stripe.balance import post
from tests.doubles.stripe.clock import SECOND
from tests.doubles.stripe.events import emit
from tests.doubles.stripe.reviews import close_review
from tests.doubles.stripe.state import Record, State, wire

_OPEN: Final = frozenset({"needs_response", "under_review"})


def open_dispute(
    state: State,
    charge_id: str,
    *,
    amount: int | None = None,
    currency: str | None = None,
    inquiry: bool = False,
    reason: str = "fraudulent",
    answerable: bool = True,
    prevented: bool = False,
) -> Record:
    """Open a chargeback, or an inquiry that moves no money (D1, D2). A charge may have several (D6).

    ``amount`` is in ``currency``, which may be another one than the charge's (D6).
    Not ``answerable``: the network allows no answer, and it is lost at once (D7). ``prevented``: the shop's bank
    prevented it, and no money moves (D1).
    """
    charge = state.change(charge_id, disputed=True)
    record = {
        "id": state.new_id("dispute"),
        "object": "dispute",
        "amount": charge["amount"] if amount is None else amount,
        "balance_transactions": [],
        "charge": charge_id,
        "created": state.seconds,
        "currency": currency or charge["currency"],
        "enhanced_eligibility_types": [],
        "evidence": {},
        "evidence_details": {
            "due_by": (state.now + state.behaviour.dispute_due) // SECOND if answerable else None,
            "enhanced_eligibility": {},
            "has_evidence": False,
            "past_due": False,
            "submission_count": 0,
        },
        "is_charge_refundable": inquiry,
        "livemode": state.behaviour.livemode,
        "metadata": {},
        "network_reason_code": "10.4",
        "payment_intent": charge["payment_intent"],
        "payment_method_details": {
            "card": {
                "brand": "visa",
                "case_type": "inquiry" if inquiry else "chargeback",
                "network_reason_code": "10.4",
            },
            "type": "card",
        },
        "reason": reason,
        "status": "warning_needs_response" if inquiry else "needs_response",
        "_countered": None,
    }
    dispute = state.put(record)
    if charge["review"]:
        close_review(state, charge["review"], "disputed")
    if inquiry:
        emit(state, "charge.dispute.created", dispute)
        state.after(state.behaviour.inquiry_closes, _close_inquiry, dispute["id"])
        return dispute
    if prevented:
        dispute = state.change(dispute, status="prevented", is_charge_refundable=True)
        emit(state, "charge.dispute.created", dispute)
        return dispute
    emit(state, "charge.dispute.created", dispute)
    withdraw_funds(state, dispute["id"])
    if not answerable:
        return lose(state, dispute["id"])
    state.after(state.behaviour.dispute_due, _past_due, dispute["id"])
    return state.get(dispute["id"])


def withdraw_funds(state: State, name: str) -> None:
    """Take the disputed sum and the fee from the balance (D2, O)."""
    dispute = state.get(name)
    fee = state.behaviour.dispute_fee
    posted = post(
        state,
        "adjustment",
        "dispute",
        -dispute["amount"],
        dispute["currency"],
        name,
        fixed_fee=fee,
        description=f"Chargeback withdrawal for {dispute['charge']}",
    )
    dispute = state.change(dispute, balance_transactions=[*dispute["balance_transactions"], wire(posted)])
    emit(state, "charge.dispute.funds_withdrawn", dispute)


def escalate(state: State, name: str) -> Record:
    """Turn an inquiry into a chargeback: the same dispute with another status (D5, D)."""
    dispute = state.change(name, status="needs_response", is_charge_refundable=False)
    emit(state, "charge.dispute.updated", dispute)
    withdraw_funds(state, name)
    state.after(state.behaviour.dispute_due, _past_due, name)
    return state.get(name)


def submit_evidence(state: State, name: str) -> Record:
    """Counter a dispute. The fee for it comes as a transaction of its own, weeks later (D4, O)."""
    dispute = state.get(name)
    details = {**dispute["evidence_details"], "has_evidence": True, "submission_count": 1}
    is_inquiry = dispute["status"].startswith("warning")
    status = "warning_under_review" if is_inquiry else "under_review"
    dispute = state.change(dispute, status=status, evidence_details=details)
    emit(state, "charge.dispute.updated", dispute)
    if not is_inquiry:
        state.after(state.behaviour.countered_fee_after, charge_countered_fee, name)
        state.after(state.behaviour.dispute_decided, _decide, name)
    return dispute


def charge_countered_fee(state: State, name: str) -> None:
    """Post the fee for a countered dispute, without the dispute as its source (D4, O)."""
    dispute = state.get(name)
    if dispute["_countered"] or dispute["status"] == "won":
        return
    day = datetime.fromtimestamp(state.seconds, UTC).date().isoformat()
    posted = post(
        state,
        "stripe_fee",
        "fee",
        -state.behaviour.dispute_fee,
        state.behaviour.settlement_currency,
        None,
        description=f"Card dispute countered fee ({day})",
    )
    state.change(dispute, _countered=posted["id"])


def win(state: State, name: str) -> Record:
    """Decide for the shop: the sum returns, and the countered fee does; the received fee does not (D3, D4)."""
    dispute = state.change(name, status="won", is_charge_refundable=True)
    paid = sum(one["amount"] for one in dispute["balance_transactions"])
    if paid:
        posted = post(
            state,
            "adjustment",
            "dispute_reversal",
            dispute["amount"],
            dispute["currency"],
            name,
            converted=-paid,
            description=f"Chargeback reversal for {dispute['charge']}",
        )
        dispute = state.change(dispute, balance_transactions=[*dispute["balance_transactions"], wire(posted)])
        emit(state, "charge.dispute.funds_reinstated", dispute)
    if dispute["_countered"]:
        amount = -state.get(dispute["_countered"])["amount"]
        currency = state.behaviour.settlement_currency
        post(state, "stripe_fee", "fee", amount, currency, None, description="Card dispute countered fee reversal")
    emit(state, "charge.dispute.closed", dispute)
    return dispute


def lose(state: State, name: str) -> Record:
    """Decide for the buyer: nothing moves any more (D3, D)."""
    dispute = state.change(name, status="lost")
    emit(state, "charge.dispute.closed", dispute)
    return dispute


def _past_due(state: State, name: str) -> None:
    dispute = state.get(name)
    if dispute["status"] == "needs_response":
        state.change(dispute, evidence_details={**dispute["evidence_details"], "past_due": True})
        lose(state, name)


def _decide(state: State, name: str) -> None:
    if state.get(name)["status"] in _OPEN:
        lose(state, name)


def _close_inquiry(state: State, name: str) -> None:
    dispute = state.get(name)
    if dispute["status"].startswith("warning_") and dispute["status"] != "warning_closed":
        emit(state, "charge.dispute.closed", state.change(dispute, status="warning_closed"))


def warn_of_fraud(state: State, charge: str) -> Record:
    """Send an early fraud warning. It may come after the dispute (D10, D)."""
    record = {
        "id": state.new_id("radar.early_fraud_warning"),
        "object": "radar.early_fraud_warning",
        "actionable": not state.get(charge)["refunded"],
        "charge": charge,
        "created": state.seconds,
        "fraud_type": "misc",
        "livemode": state.behaviour.livemode,
        "payment_intent": state.get(charge)["payment_intent"],
    }
    warning = state.put(record)
    emit(state, "radar.early_fraud_warning.created", warning)
    return warning
