"""Refunds: of captured money, and the refund objects of released holds (P4 to P6, R1 to R10, E19 to E23)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.doubles.stripe.answers import Refusal, refusal
from tests.doubles.stripe.balance import balance_of, post
from tests.doubles.stripe.clock import DAY, HOUR
from tests.doubles.stripe.currencies import THREE_DECIMAL, to_settlement
from tests.doubles.stripe.events import emit
from tests.doubles.stripe.reviews import close_review
from tests.doubles.stripe.state import Record, State, wire
from tests.doubles.stripe.tokens import CARDS

_OPEN_INQUIRY: Final = frozenset({"warning_needs_response", "warning_under_review"})
_REVERSAL_UNTIL: Final = DAY
"""A refund this soon after the charge goes out as a reversal (R6, S; the duration is a guess)."""


def create(state: State, sent: Mapping[str, Any]) -> Record:
    """Refund captured money, whole or in part."""
    charge = _charge_of(state, sent)
    if not charge["captured"]:
        message = "This PaymentIntent is not captured: cancel it instead."
        raise refusal("refund_of_hold", message=message)
    if _is_disputed(state, charge):
        raise refusal("charge_disputed", message="This charge has been charged back.", charge=charge["id"])
    left = charge["amount"] - charge["amount_refunded"]
    if left <= 0:
        raise refusal("charge_already_refunded", message=f"Charge {charge['id']} has already been refunded.")
    amount = sent.get("amount", left)
    if amount > left:
        message = f"Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"
        raise refusal("refund_too_large", code=state.behaviour.over_refund_code, message=message)
    if charge["currency"] in THREE_DECIMAL and amount % 10:
        raise refusal("invalid_charge_amount", message="The last digit of the amount must be 0.")
    return make_refund(state, charge, amount, reason=sent.get("reason"), metadata=sent.get("metadata") or {})


def _charge_of(state: State, sent: Mapping[str, Any]) -> Record:
    if "charge" in sent and "payment_intent" not in sent:
        return state.named("charge", sent["charge"], in_path=False, param="charge")
    if "payment_intent" not in sent:
        raise refusal("parameter_missing", message="One of these parameters is needed: charge, payment_intent.")
    intent = state.named("payment_intent", sent["payment_intent"], in_path=False, param="payment_intent")
    if intent["latest_charge"] is None:
        raise refusal("refund_of_hold", message="This PaymentIntent does not have a successful charge to refund.")
    return state.get(intent["latest_charge"])


def _is_disputed(state: State, charge: Record) -> bool:
    """Whether an open or lost chargeback bars refunds. An inquiry does not, nor a dispute that was won (E21, D9)."""
    disputes = [one for one in state.records["dispute"].values() if one["charge"] == charge["id"]]
    return any(not one["is_charge_refundable"] for one in disputes)


def make_refund(
    state: State, charge: Record, amount: int, *, reason: str | None = None, metadata: Mapping[str, str] | None = None
) -> Record:
    """Make a refund of captured money. Its status follows the card and the behaviour (R1, R2)."""
    way = CARDS[charge["_card"]].refund
    kind = "reversal" if state.seconds - charge["created"] < _REVERSAL_UNTIL // 1_000 else "refund"
    refund = state.put(_record(state, charge, amount, reason, metadata or {}, "refund", kind))
    _add_to_charge(state, charge["id"], amount)
    if way == "requires action":
        refund = state.change(refund, status="requires_action")
    _announce(state, refund)
    if charge["balance_transaction"] is None:
        state.change(refund, pending_reason="charge_pending")
    else:
        _fund(state, refund["id"])
    if charge.get("_dispute_announced"):  # accepted, and failed some seconds later (R8, O)
        state.after(5_000, fail_refund, refund["id"], "charge_for_pending_refund_disputed")
    if state.get(charge["id"])["refunded"]:
        _end_what_refunds_end(state, state.get(charge["id"]))
    return state.get(refund["id"])


def _end_what_refunds_end(state: State, charge: Record) -> None:
    """Close review, inquiries and warnings of a charge that is refunded whole (P17, D9, D10)."""
    if charge["review"]:
        close_review(state, charge["review"], "refunded")
    for dispute in list(state.records["dispute"].values()):
        if dispute["charge"] == charge["id"] and dispute["status"] in _OPEN_INQUIRY:
            emit(state, "charge.dispute.closed", state.change(dispute, status="warning_closed"))
    for warning in list(state.records["radar.early_fraud_warning"].values()):
        if warning["charge"] == charge["id"] and warning["actionable"]:
            emit(state, "radar.early_fraud_warning.updated", state.change(warning, actionable=False))


def _record(
    state: State,
    charge: Record,
    amount: int,
    reason: str | None,
    metadata: Mapping[str, str],
    category: str | None,
    kind: str,
) -> dict[str, Any]:
    return {
        "id": state.new_id("refund"),
        "object": "refund",
        "amount": amount,
        "balance_transaction": None,
        "charge": charge["id"],
        "created": state.seconds,
        "currency": charge["currency"],
        "destination_details": {"card": {"reference_status": "pending", "type": kind}, "type": "card"},
        "metadata": dict(metadata),
        "payment_intent": charge["payment_intent"],
        "reason": reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": "pending" if category == "refund" else "succeeded",
        "transfer_reversal": None,
        "_category": category,
        "_since": state.now,
    }


def _add_to_charge(state: State, name: str, amount: int) -> None:
    charge = state.get(name)
    refunded = charge["amount_refunded"] + amount
    state.change(charge, amount_refunded=refunded, refunded=refunded >= charge["amount"])


def _announce(state: State, refund: Record) -> None:
    emit(state, "refund.created", refund)
    emit(state, "charge.refunded", state.get(refund["charge"]))


def release_hold(state: State, charge: Record, reason: str | None) -> None:
    """Show a released hold as Stripe does: a refund object without a balance transaction (P4, P5, O)."""
    rest = charge["amount"] - charge["amount_refunded"]
    refund = state.put(_record(state, charge, rest, reason, {}, None, "reversal"))
    _add_to_charge(state, charge["id"], rest)
    if state.behaviour.void_sends_refund_created:
        emit(state, "refund.created", refund)
    emit(state, "charge.refunded", state.get(charge["id"]))


def release_rest(state: State, charge: Record) -> None:
    """Show the rest of a part capture: a refund object, and later a transaction of its own category (P6, O)."""
    rest = charge["amount"] - charge["amount_captured"]
    refund = state.put(_record(state, charge, rest, None, {}, "partial_capture_reversal", "reversal"))
    _add_to_charge(state, charge["id"], rest)
    _announce(state, refund)


def pay_waiting_refunds(state: State, charge: str) -> None:
    """Post the refunds that waited for their charge's own transaction."""
    for refund in list(state.records["refund"].values()):
        waits = refund["charge"] == charge and refund["balance_transaction"] is None and refund["_category"]
        if waits and refund["status"] not in {"failed", "canceled"}:
            _fund(state, refund["id"])


def _fund(state: State, name: str) -> None:
    """Take a refund's money from the balance, or wait until there is enough (E23, S)."""
    refund = state.get(name)
    if refund["status"] in {"failed", "canceled"} or refund["balance_transaction"]:
        return
    category, settled = refund["_category"], to_settlement(state, refund["amount"], refund["currency"])
    if category == "refund" and state.behaviour.refunds_need_balance and balance_of(state) < settled:
        state.change(refund, status="pending", pending_reason="insufficient_funds")
        if state.now - refund["_since"] >= state.behaviour.unfunded_refund_fails:
            fail_refund(state, name, "insufficient_funds")
        else:
            state.after(HOUR, _fund, name)
        return
    kind, source = "refund", name
    transaction = post(state, kind, category, -refund["amount"], refund["currency"], source)
    refund = state.change(refund, balance_transaction=transaction["id"])
    if category == "refund" and refund["status"] == "pending":
        _begin(state, refund)


def _begin(state: State, refund: Record) -> None:
    way = CARDS[state.get(refund["charge"])["_card"]].refund
    if way == "fails":
        fail_refund(state, refund["id"], "expired_or_canceled_card")
        return
    if state.behaviour.refund_status == "succeeded" and way != "stays pending":
        _succeed(state, refund["id"])
        return
    state.change(refund, pending_reason="processing")
    takes = state.behaviour.refund_takes if way != "stays pending" else 5 * DAY
    state.after(takes, _succeed, refund["id"])


def _succeed(state: State, name: str) -> None:
    refund = state.get(name)
    if refund["status"] != "pending":
        return
    was_pending = refund.get("pending_reason") is not None
    refund = state.change(refund, status="succeeded", pending_reason=None)
    if was_pending and state.behaviour.refund_success_sends_updated:
        emit(state, "refund.updated", refund)
        emit(state, "charge.refund.updated", refund)
    if CARDS[state.get(refund["charge"])["_card"]].refund == "fails later":
        state.after(state.behaviour.refund_failure_takes, fail_refund, name, "expired_or_canceled_card")


def fail_refund(state: State, name: str, reason: str, status: str = "failed") -> None:
    """End a refund without success: the sum returns to the balance, and may be refunded again (R2 to R4)."""
    refund = state.get(name)
    if refund["status"] in {"failed", "canceled"}:
        return
    returned = None
    if refund["balance_transaction"]:
        paid = state.get(refund["balance_transaction"])
        posted = post(
            state,
            "refund_failure",
            "refund_failure",
            refund["amount"],
            refund["currency"],
            name,
            converted=-paid["amount"],
        )
        returned = posted["id"]
    refund = state.change(
        refund,
        status=status,
        failure_reason=reason,
        failure_balance_transaction=returned,
        pending_reason=None,
    )
    charge = state.get(refund["charge"])
    state.change(charge, amount_refunded=charge["amount_refunded"] - refund["amount"], refunded=False)
    if status == "failed":
        emit(state, "refund.failed", refund)
    emit(state, "refund.updated", refund)
    emit(state, "charge.refund.updated", refund)


def cancel(state: State, name: str, sent: Mapping[str, Any]) -> Record:
    """Cancel a refund by the API: only one that waits for the buyer (R5, S)."""
    refund = state.named("refund", name)
    if refund["status"] != "requires_action":
        raise _not_cancelable(refund)
    fail_refund(state, name, "merchant_request", "canceled")
    return state.get(name)


def _not_cancelable(refund: Record) -> Refusal:
    message = f"A refund that is {wire(refund)['status']} cannot be canceled."
    return refusal("refund_not_cancelable", message=message)
