"""Money that the provider received: compare it with the order's total, return it, and record earlier refunds of it."""

from __future__ import annotations

from typing import Final

from chalicelib.capture.attempt import look_up
from chalicelib.errors import Conflict, WriteConflict
from chalicelib.ids import log_reference
from chalicelib.instants import Instant
from chalicelib.payments import Captured, RefundFailed, RefundStatus
from chalicelib.purchase import CheckoutContext, Purchase
from chalicelib.refunds import record_provider_refund
from chalicelib.telemetry import count, logger

AMOUNT_DIFFERS: Final = "captured_amount_differs"
"""The failure of a payment whose received amount is not the total. Also the code of a refused release from hold."""
RETURN_REFUSED: Final = "return_refused"
"""The failure of a payment whose received amount is not the total, and of which every refund failed."""
_RETURNED: Final = "-returned-"
_MAX_RETURNS: Final = 3
"""How many refunds of one amount are tried. Each has an id of its own, because a failed refund stays failed."""


def is_whole(purchase: Purchase, captured: Captured) -> bool:
    """Return whether exactly the order's total was received. Only then does the order count as paid."""
    return captured.amount == purchase.totals.total


def is_returned(captured: Captured) -> bool:
    """Return whether all that was received is refunded, so that the provider has no money of the order."""
    return captured.refunded >= captured.amount


def return_money(context: CheckoutContext, purchase: Purchase, captured: Captured, now: Instant) -> bool:
    """Refund what was received for an order that does not count as paid. Safe to repeat.

    The order has no ledger entry, so it records no refund. The movements of the provider's balance record both ways.

    False: each refund failed, or the provider refuses it, as for a disputed payment. The order ends all the same. Its
    money stays at the provider, which a log line, an alarm and the nightly comparison name. A refund that is pending
    counts as made. If it fails later, its event reports the money.

    Raises:
        OutcomeUnknownError: the provider did not answer; try again.
        WriteConflict: somebody refunded a part meanwhile; try again.
    """
    report_different_amount(purchase, captured)
    left = captured.amount - captured.refunded
    if left <= 0:
        return True
    for number in range(1, _MAX_RETURNS + 1):
        again = f"-{number}" if number > 1 else ""
        refund_id = f"{purchase.id}{_RETURNED}{purchase.attempt}-{left}{again}"
        made = context.gateway.refund(captured.provider_id, refund_id=refund_id, amount=left, now=now)
        if isinstance(made, RefundFailed):
            break
        if made.status is not RefundStatus.FAILED:
            return True
    current = look_up(context, purchase, captured.provider_id, now)
    if not isinstance(current, Captured) or current.refunded != captured.refunded:
        raise WriteConflict("A part of what was received was refunded meanwhile.")
    report_kept_money(purchase, purchase.attempt, captured)
    return False


def report_kept_money(purchase: Purchase, attempt: int, captured: Captured) -> None:
    """Count and log captured money that pays for no order. A person has to refund it at the provider."""
    count("captures_without_order")
    amounts = {"received": captured.amount, "refunded": captured.refunded}
    about = {"purchase": log_reference(purchase.id), "attempt": attempt, "payment": captured.provider_id}
    logger.error("captured without an order", extra=about | amounts | {"currency": purchase.currency})


def is_return_of_money(refund_id: str | None) -> bool:
    """Return whether a refund is by :func:`return_money`. No order has such a refund."""
    return refund_id is not None and _RETURNED in refund_id


def report_different_amount(purchase: Purchase, captured: Captured) -> None:
    """Count and log an order for which another amount than its total was received."""
    count("captured_amount_differs")
    amounts = {"received": captured.amount, "total": purchase.totals.total}
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
