"""Record disputes (chargebacks) of an order as the provider has them, and what they take for good."""

from __future__ import annotations

from typing import Final

from chalicelib.errors import Conflict, WriteConflict
from chalicelib.ids import log_reference
from chalicelib.instants import Instant
from chalicelib.payments import DisputeStatus, ProviderDispute
from chalicelib.purchase import (
    CheckoutContext,
    Dispute,
    DisputeLoss,
    Purchase,
    PurchaseState,
    Written,
    next_version,
)
from chalicelib.refunds.allocation import allocate_amount, refundable_remainder
from chalicelib.refunds.excess import with_excess_allocated
from chalicelib.refunds.restock import MAX_TRIES
from chalicelib.telemetry import count, logger

_ENDED: Final = frozenset({DisputeStatus.WON, DisputeStatus.LOST, DisputeStatus.CLOSED})
_NEEDS_A_PERSON: Final = frozenset({DisputeStatus.INQUIRY, DisputeStatus.OPEN, DisputeStatus.LOST})


def record_dispute(context: CheckoutContext, purchase_id: str, dispute_id: str, now: Instant) -> bool:
    """Record a dispute of an order as the provider has it now. Return whether the order changed. Repeatable.

    The provider is asked after the order is read, so that no older answer overwrites a newer one. Costs one call, one
    read and one write.

    Raises:
        Conflict: the provider knows no such dispute (``no_dispute``), the order is not paid (``not_paid``), or by
            another payment (``other_payment``).
        OutcomeUnknownError: the provider did not answer.
        WriteConflict: other requests are changing the order. Try again.
    """
    for _ in range(MAX_TRIES):
        purchase = context.purchases.read(purchase_id)
        dispute = context.gateway.find_dispute(dispute_id, now=now)
        if dispute is None:
            raise Conflict("The provider knows no such dispute.", code="no_dispute")
        if purchase is None or purchase.state is not PurchaseState.PAID:
            raise Conflict("The order is not paid.", code="not_paid")
        if purchase.payment is None or purchase.payment.provider_id != dispute.payment_id:
            raise Conflict("The order was paid by another payment.", code="other_payment")
        disputes = _disputes_with(purchase, dispute, now)
        if disputes == purchase.disputes:
            return False
        changed = with_excess_allocated(next_version(purchase, now, disputes=disputes), now)
        if isinstance(context.purchases.replace(changed), Written):
            _report(purchase, dispute)
            return True
    raise WriteConflict("Other requests are changing this order. Try again.")


def _disputes_with(purchase: Purchase, dispute: ProviderDispute, now: Instant) -> tuple[Dispute, ...]:
    """Return the disputes of a purchase with one as the provider has it now."""
    existing = next((known for known in purchase.disputes if known.id == dispute.id), None)
    is_same_status = existing is not None and existing.status == dispute.status
    ended_at = existing.closed_at if existing is not None and is_same_status else now
    recorded = Dispute(
        id=dispute.id,
        status=dispute.status.value,
        amount=dispute.amount,
        currency=dispute.currency,
        opened_at=dispute.opened_at,
        reason=dispute.reason,
        evidence_due=dispute.evidence_due,
        withdrawn=dispute.withdrawn,
        withdrawn_of_order=dispute.withdrawn_of_payment,
        closed_at=ended_at if dispute.status in _ENDED else None,
        losses=_losses_with(purchase, existing, dispute, now),
    )
    if existing is None:
        return (*purchase.disputes, recorded)
    return tuple(recorded if known is existing else known for known in purchase.disputes)


def _losses_with(
    purchase: Purchase, existing: Dispute | None, dispute: ProviderDispute, now: Instant
) -> tuple[DisputeLoss, ...]:
    """Return a dispute's losses: one more when it is lost, and the last one restored when it is no longer.

    Only money that is withdrawn at present is lost. The dispute's status alone loses none.
    """
    losses = existing.losses if existing is not None else ()
    active = losses[-1] if losses and losses[-1].restored_at is None else None
    lost = dispute.withdrawn_of_payment if dispute.status is DisputeStatus.LOST else 0
    if active is not None and lost == active.amount:
        return losses
    if active is not None and existing is not None:
        losses = (*losses[:-1], active.model_copy(update={"restored_at": now}))
        restored = existing.model_copy(update={"losses": losses})
        disputes = tuple(restored if known is existing else known for known in purchase.disputes)
        purchase = purchase.model_copy(update={"disputes": disputes})
    return (*losses, _loss_of(purchase, lost, now)) if lost else losses


def _loss_of(purchase: Purchase, lost: int, now: Instant) -> DisputeLoss:
    """Spread a loss in the order's currency over what refunds and other losses have left of the order."""
    left = refundable_remainder(purchase)
    spread = allocate_amount(left, min(lost, left.amount))
    return DisputeLoss(
        amount=lost, lines=spread.lines, shipping=spread.shipping, shipping_tax=spread.shipping_tax, lost_at=now
    )


def _report(purchase: Purchase, dispute: ProviderDispute) -> None:
    extra = {"purchase": log_reference(purchase.id), "dispute": dispute.id, "status": dispute.status.value}
    if dispute.status in _NEEDS_A_PERSON:
        count("disputes")
        logger.error("payment disputed", extra=extra)
    else:
        logger.info("dispute ended", extra=extra)
