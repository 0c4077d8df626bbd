"""Reviews of Radar: the hold is good meanwhile, and may be captured (P17, S)."""

from __future__ import annotations

from tests.doubles.stripe.events import emit
from tests.doubles.stripe.state import Record, State


def open_review(state: State, charge: Record) -> Record:
    """Open the review of a charge, and return the charge."""
    record = {
        "id": state.new_id("review"),
        "object": "review",
        "billing_zip": None,
        "charge": charge["id"],
        "closed_reason": None,
        "created": state.seconds,
        "ip_address": None,
        "ip_address_location": None,
        "livemode": state.behaviour.livemode,
        "open": True,
        "opened_reason": "rule",
        "payment_intent": charge["payment_intent"],
        "reason": "rule",
        "session": None,
    }
    review = state.put(record)
    emit(state, "review.opened", review)
    return state.change(charge, review=review["id"])


def close_review(state: State, name: str, reason: str) -> None:
    """Close a review for one of its reasons: approved, canceled, refunded, refunded_as_fraud, disputed."""
    review = state.get(name)
    if review["open"]:
        review = state.change(review, open=False, closed_reason=reason, reason=reason)
        for holder in (review["charge"], review["payment_intent"]):
            if holder is not None:
                state.change(holder, review=None)
        emit(state, "review.closed", review)
