"""Finish recorded refunds: refund the money, restock the units, and record the outcome."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from chalicelib.errors import Conflict, Unavailable, WriteConflict
from chalicelib.ids import log_reference
from chalicelib.instants import Instant
from chalicelib.payments import OutcomeUnknownError, ProviderBusyError, ProviderRefund, RefundFailed, RefundStatus
from chalicelib.purchase import (
    CheckoutContext,
    Line,
    Purchase,
    Refund,
    Written,
    next_version,
    order_ref_of,
    pool_of,
    units_to_restock,
)
from chalicelib.stock import HoldRef, OrderRef, Pool
from chalicelib.telemetry import count, logger

MAX_TRIES: Final = 5
"""Writes to try for one change of an order: each refusal means that another change landed."""


def finish_refunds(context: CheckoutContext, purchase: Purchase, now: Instant) -> Purchase:
    """Finish every pending refund, in the order of recording. Repeatable.

    A refund that the provider declines ends as failed and returns no money. No later refund completes before it.
    """
    for index, refund in enumerate(purchase.refunds):
        if refund.is_pending:
            purchase = _finish_refund(context, purchase, index, now)
    return purchase


def _finish_refund(context: CheckoutContext, purchase: Purchase, index: int, now: Instant) -> Purchase:
    refund = purchase.refunds[index]
    outcome = _refund_payment(context, purchase, refund, now)
    if isinstance(outcome, RefundFailed):
        count("refunds_refused")
        logger.error("refund declined", extra={"purchase": log_reference(purchase.id), "code": outcome.code})
        return _close_refund(context, purchase, refund.id, {"failure_code": outcome.code}, now)
    if refund.restock:
        _restock_units(context, purchase, index)
    changes = {
        "completed_at": now,
        "restocked": refund.restock,
        "provider_id": outcome.provider_refund_id if outcome else None,
    }
    return _close_refund(context, purchase, refund.id, changes, now)


def _refund_payment(
    context: CheckoutContext, purchase: Purchase, refund: Refund, now: Instant
) -> ProviderRefund | RefundFailed | None:
    """Refund the money. None when the refund has no amount.

    Raises:
        Unavailable: the provider has not answered, or has not finished the refund.
    """
    payment = purchase.payment
    if not refund.amount:
        return None
    if payment is None or payment.provider_id is None:
        raise Conflict("The order has no captured payment.", code="not_captured")
    refund_id = f"{purchase.id}-{refund.id}"
    try:
        made = context.gateway.refund(payment.provider_id, refund_id=refund_id, amount=refund.amount, now=now)
    except (OutcomeUnknownError, ProviderBusyError) as error:
        raise Unavailable("The payment provider did not answer. Repeat the request with the same key.") from error
    if isinstance(made, ProviderRefund) and made.status is RefundStatus.FAILED:
        return RefundFailed(made.failure_code or "failed")
    if isinstance(made, ProviderRefund) and made.status is RefundStatus.PENDING:
        raise Unavailable("The payment provider has not finished the refund. Repeat the request with the same key.")
    return made


def _restock_units(context: CheckoutContext, purchase: Purchase, index: int) -> None:
    """Put the units of one refund back into the buckets that they were committed in.

    The refunds recorded before it decide how many units each hold has before and after.
    """
    earlier = purchase.model_copy(update={"refunds": purchase.refunds[:index]})
    through = purchase.model_copy(update={"refunds": purchase.refunds[: index + 1]})
    order = order_ref_of(purchase)
    for part in purchase.refunds[index].lines:
        line = next(line for line in purchase.lines if line.id == part.line_id)
        before, after = units_to_restock(earlier, line.id), units_to_restock(through, line.id)
        for pool, hold, expected, remaining in _restock_targets(line, before, after):
            restocked = context.stock.restock(pool, hold, order, expected, remaining)
            if not restocked and not _later_refund_has_passed(context, pool, hold, order, remaining):
                raise WriteConflict("An earlier refund is still restocking its units. Try again.")


def _later_refund_has_passed(
    context: CheckoutContext, pool: Pool, hold: HoldRef, order: OrderRef, remaining: int
) -> bool:
    """Return whether a later refund has restocked units of this hold, which it does only after the earlier ones.

    No hold is left once its last unit is restocked.
    """
    status = context.stock.get_hold_statuses([(pool, hold)])[0]
    return status is None or (status.expires_at is None and status.order == str(order) and status.quantity <= remaining)


def _restock_targets(line: Line, before: int, after: int) -> Iterator[tuple[Pool, HoldRef, int, int]]:
    """Yield each hold that changes, the last first, with its units after ``before`` and after ``after`` restocks."""
    expected, remaining = remaining_by_hold(line, before), remaining_by_hold(line, after)
    for hold in reversed(line.holds):
        if remaining[hold.id] < expected[hold.id]:
            yield pool_of(line), hold, expected[hold.id], remaining[hold.id]


def remaining_by_hold(line: Line, restocked: int) -> dict[str, int]:
    """Return the units of each hold after ``restocked`` units of the line went back. The last hold loses first."""
    remaining = {}
    for hold in reversed(line.holds):
        remaining[hold.id] = max(hold.quantity - restocked, 0)
        restocked = max(restocked - hold.quantity, 0)
    return remaining


def _close_refund(
    context: CheckoutContext, purchase: Purchase, refund_id: str, changes: Mapping[str, object], now: Instant
) -> Purchase:
    """Record the outcome of a refund, once. An order stays uncancelled when the refund that was to cancel it failed."""
    for _ in range(MAX_TRIES):
        refund = next(refund for refund in purchase.refunds if refund.id == refund_id)
        if not refund.is_pending:
            return purchase
        ended = refund.model_copy(update=changes)
        refunds = tuple(ended if other is refund else other for other in purchase.refunds)
        reopens = ended.failure_code is not None and purchase.cancelled_at == refund.requested_at
        cancelled_at = None if reopens else purchase.cancelled_at
        finished = next_version(purchase, now, refunds=refunds, cancelled_at=cancelled_at)
        answer = context.purchases.replace(finished)
        if isinstance(answer, Written):
            return finished
        purchase = answer.existing
    raise WriteConflict("Other requests are changing this order. Try again.")
