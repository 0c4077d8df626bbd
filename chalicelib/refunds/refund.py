"""Refund and cancel an order: never more than was captured, to the unit and to the minor unit.

The provider keeps its fee, so the fee stays in the ledger.
"""

from __future__ import annotations

from typing import Final

from chalicelib.errors import BadInput, Conflict, WriteConflict
from chalicelib.ids import short_digest
from chalicelib.instants import Instant
from chalicelib.payments import DisputeStatus
from chalicelib.purchase import (
    CheckoutContext,
    Purchase,
    PurchaseState,
    Refund,
    RefundRequest,
    Written,
    check_fingerprint,
    is_disputed,
    money_at_provider,
    next_version,
    read_order,
)
from chalicelib.refunds.allocation import RefundAllocation, allocate_refund
from chalicelib.refunds.finish_refund import finish_refund
from chalicelib.refunds.restock import MAX_TRIES

MAX_REFUNDS: Final = 100
MAX_REFUND_LINES: Final = 400
"""Refunds of an order, and their lines, have to fit into its item. Cancelling an order is always possible."""

_DISPUTED_CODES: Final = frozenset({"charge_disputed", "refund_disputed_payment"})
"""Stripe's codes for a refund of a payment that its buyer disputes (https://docs.stripe.com/error-codes)."""


def refund_order(
    context: CheckoutContext, purchase_id: str, request: RefundRequest, now: Instant
) -> tuple[Purchase, Refund]:
    """Refund units, shipping or an amount: record the refund, ask the provider, and restock the units once it is done.

    A crash leaves a recorded refund. A repeat of the request, an event, or the recovery of orders finishes it. They
    also finish a refund that is pending at the provider. Costs two writes and one provider call; with
    ``restock`` one write for each hold that loses units, and one of the purchase.

    Raises:
        BadInput: the request names a line twice, or asks for more than remains.
        Conflict: nothing remains, the order is not paid or is disputed, the provider refuses the refund, or the key was
            used with another body.
        NotFound: no order has this id.
        Unavailable: the provider did not answer.
    """
    purchase = _read_paid_order(context, purchase_id, now)
    if len(dict(request.lines)) != len(request.lines):
        raise BadInput("`lines` must name each line once.", field="$.lines")
    if request.amount is not None and request.amount < 1:
        raise BadInput("`amount` must be at least 1.", field="$.amount")
    return _execute_refund(context, purchase, request, now)


def cancel_paid_order(
    context: CheckoutContext, purchase_id: str, key: str, fingerprint: str, actor: str, now: Instant
) -> tuple[Purchase, Refund]:
    """Refund all that remains of a paid order, shipping included, and put its units back into stock.

    The order counts as cancelled once the refund is done.
    """
    purchase = _read_paid_order(context, purchase_id, now)
    request = RefundRequest(key=key, fingerprint=fingerprint, lines=(), restock=True, actor=actor, full=True)
    return _execute_refund(context, purchase, request, now)


def _read_paid_order(context: CheckoutContext, purchase_id: str, now: Instant) -> Purchase:
    purchase = read_order(context, purchase_id)
    if purchase.state is not PurchaseState.PAID:
        sentence = money_at_provider(context, purchase, now).sentence()
        raise Conflict(f"The order is not paid yet. Refund it once it is paid. {sentence}", code="complete_in_progress")
    return purchase


def _execute_refund(
    context: CheckoutContext, purchase: Purchase, request: RefundRequest, now: Instant
) -> tuple[Purchase, Refund]:
    recorded = _record_refund(context, purchase, request, now)
    refund_id = _refund_of(recorded, request).id
    finished = finish_refund(context, recorded, refund_id, now)
    refund = _refund_of(finished, request)
    if refund.failure_code in _DISPUTED_CODES:
        raise _order_disputed(finished)
    if refund.failure_code is not None:
        detail = "The provider has less left of this payment than the refund asks for. Nothing was refunded."
        if refund.provider_id is not None:
            detail = f"The refund failed at the provider ({refund.failure_code}). The buyer has no money of it."
        raise Conflict(detail, code="refund_refused")
    return finished, refund


def _refund_of(purchase: Purchase, request: RefundRequest) -> Refund:
    return next(refund for refund in purchase.refunds if refund.key == short_digest(request.key))


def _order_disputed(purchase: Purchase) -> Conflict:
    detail = "The buyer disputes this payment at the bank. Answer the dispute at the provider. Nothing was refunded."
    if not is_disputed(purchase) and any(dispute.status == DisputeStatus.LOST for dispute in purchase.disputes):
        detail = "The buyer has the money back: the dispute of this payment is lost. Nothing more was refunded."
    return Conflict(detail, code="order_disputed")


def _record_refund(context: CheckoutContext, purchase: Purchase, request: RefundRequest, now: Instant) -> Purchase:
    """Store the refund as requested, once for each key. Return the order that has it."""
    for _ in range(MAX_TRIES):
        existing = next((refund for refund in purchase.refunds if refund.key == short_digest(request.key)), None)
        if existing is not None:
            check_fingerprint(existing.fingerprint, request.fingerprint)
            return purchase
        recorded = _version_with_requested_refund(purchase, request, now)
        answer = context.purchases.replace(recorded)
        if isinstance(answer, Written):
            return recorded
        purchase = answer.existing
    raise WriteConflict("Other requests are changing this order. Try again.")


def _version_with_requested_refund(purchase: Purchase, request: RefundRequest, now: Instant) -> Purchase:
    if is_disputed(purchase):
        raise _order_disputed(purchase)
    parts_before = sum(len(refund.lines) for refund in purchase.refunds)
    max_new_parts = len(request.lines) if request.amount is None else len(purchase.lines)
    if not request.full and (len(purchase.refunds) >= MAX_REFUNDS or parts_before + max_new_parts > MAX_REFUND_LINES):
        raise Conflict("The order has too many refunds. Cancel it to refund the rest.", code="too_many_refunds")
    return with_refund(purchase, request, allocate_refund(purchase, request), now, cancels=request.full)


def with_refund(
    purchase: Purchase, request: RefundRequest, allocation: RefundAllocation, now: Instant, **fields: object
) -> Purchase:
    """Return the next version of a purchase, with one refund more."""
    added = Refund(
        id=f"rf_{len(purchase.refunds) + 1}",
        key=short_digest(request.key),
        fingerprint=short_digest(request.fingerprint),
        lines=allocation.lines,
        amount=allocation.amount,
        shipping=allocation.shipping,
        shipping_tax=allocation.shipping_tax,
        restock=request.restock,
        requested_by=request.actor,
        requested_at=now,
    ).model_copy(update=fields)
    return next_version(purchase, now, refunds=(*purchase.refunds, added))
