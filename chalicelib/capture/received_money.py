"""Money that the provider received: compare it with the order's total, return it, and record earlier refunds of it."""

from __future__ import annotations

from typing import Final

from chalicelib.errors import Conflict
from chalicelib.ids import log_reference
from chalicelib.instants import Instant
from chalicelib.payments import Captured, OutcomeUnknownError, RefundFailed, RefundStatus
from chalicelib.purchase import CheckoutContext, Purchase
from chalicelib.refunds import record_provider_refund
from chalicelib.telemetry import count, logger

AMOUNT_DIFFERS: Final = "captured_amount_differs"
"""The failure of a payment whose received amount is not the total. Also the code of a refused release from hold."""
_RETURNED: Final = "-returned-"


def received_amount(purchase: Purchase, captured: Captured) -> int:
    """Return the minor units that the provider received for the order."""
    return purchase.totals.total if captured.amount is None else captured.amount


def is_whole(purchase: Purchase, captured: Captured) -> bool:
    """Return whether exactly the order's total was received. Only then does the order count as paid."""
    return received_amount(purchase, captured) == purchase.totals.total


def is_returned(purchase: Purchase, captured: Captured) -> bool:
    """Return whether all that was received is refunded, so that the provider has no money of the order."""
    return captured.refunded >= received_amount(purchase, captured)


def return_money(context: CheckoutContext, purchase: Purchase, captured: Captured, now: Instant) -> None:
    """Refund what was received for an order that does not count as paid. Safe to repeat.

    The order has no ledger entry, so it records no refund. The movements of the provider's balance record both ways.

    Raises:
        OutcomeUnknownError: the provider did not answer, or refused the refund; try again.
    """
    report_different_amount(purchase, captured)
    left = received_amount(purchase, captured) - captured.refunded
    if left <= 0:
        return
    refund_id = f"{purchase.id}{_RETURNED}{purchase.attempt}-{left}"
    made = context.gateway.refund(captured.provider_id, refund_id=refund_id, amount=left, now=now)
    if isinstance(made, RefundFailed) or made.status is RefundStatus.FAILED:
        count("refunds_refused")
        raise OutcomeUnknownError("The provider refused to refund what it received.")


def is_return_of_money(refund_id: str | None) -> bool:
    """Return whether a refund is by :func:`return_money`. No order has such a refund."""
    return refund_id is not None and _RETURNED in refund_id


def report_different_amount(purchase: Purchase, captured: Captured) -> None:
    """Count and log an order for which another amount than its total was received."""
    count("captured_amount_differs")
    amounts = {"received": received_amount(purchase, captured), "total": purchase.totals.total}
    logger.error("captured amount differs", extra={"purchase": log_reference(purchase.id), **amounts})


def record_earlier_refunds(context: CheckoutContext, purchase: Purchase, captured: Captured, now: Instant) -> None:
    """Record at a paid order the refunds that were made in the provider's console before it was paid.

    After a crash their events and the nightly comparison record them.
    """
    for made in context.gateway.refunds_of(captured.provider_id, now=now):
        try:
            record_provider_refund(context, purchase.id, made, now)
        except Conflict as error:
            count("unmatched_refunds")
            extra = {"purchase": log_reference(purchase.id), "reason": error.code}
            logger.error("earlier refund not recorded", extra=extra)
