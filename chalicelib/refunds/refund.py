"""Refund and cancel an order: never more than was captured, to the unit and to the minor unit.

The provider's fee is not given back: it stays in the books as it was taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from chalicelib.errors import BadInput, Conflict, IdempotencyConflict, Unavailable, WriteConflict
from chalicelib.ids import log_reference, short_digest
from chalicelib.instants import Instant
from chalicelib.payments import OutcomeUnknownError, Refunded, RefundFailed
from chalicelib.purchase import (
    CheckoutContext,
    Line,
    Purchase,
    PurchaseState,
    Refund,
    RefundRequest,
    Written,
    next_version,
    pool_of,
    read_order,
    units_to_restock,
)
from chalicelib.refunds.allocation import RefundAllocation, allocate_refund
from chalicelib.stock import HoldRef, OrderRef, Pool
from chalicelib.telemetry import count, logger

_TRIES = 5

MAX_REFUNDS = 100
MAX_REFUND_LINES = 700
"""Of an order, cancelling it aside, which is always possible: its refunds have to fit into its item."""


def refund_order(
    context: CheckoutContext, purchase_id: str, request: RefundRequest, now: Instant
) -> tuple[Purchase, Refund]:
    """Give back units, shipping or an amount: recorded first, then money, then (with ``restock``) the units, then done.

    Dying anywhere leaves a recorded refund that a repeat of the same key, the next refund, or ``repair`` finishes.
    Two writes, one provider call, and one write for each hold that gives units back.
    """
    purchase = _read_paid_order(context, purchase_id)
    if len(dict(request.lines)) != len(request.lines):
        raise BadInput("A line may be named once.", field="$.lines")
    if request.amount is not None and request.amount < 1:
        raise BadInput("A refund gives back at least one minor unit.", field="$.amount")
    return _execute_refund(context, purchase, request, now)


def cancel_paid_order(
    context: CheckoutContext, purchase_id: str, key: str, fingerprint: str, actor: str, now: Instant
) -> tuple[Purchase, Refund]:
    """Give back all that is left of a paid order, shipping too, and put its units back into stock."""
    purchase = _read_paid_order(context, purchase_id)
    request = RefundRequest(key=key, fingerprint=fingerprint, lines=(), restock=True, actor=actor, full=True)
    return _execute_refund(context, purchase, request, now)


def finish_refunds(context: CheckoutContext, purchase: Purchase, now: Instant) -> Purchase:
    """Carry every recorded refund that is under way to its end, in the order of recording. Safe to repeat.

    One that the provider refuses is over, with nothing given back: no later one was done before it.
    """
    for index, one in enumerate(purchase.refunds):
        if not one.is_pending:
            continue
        outcome = _refund_payment(context, purchase, one, now)
        if isinstance(outcome, RefundFailed):
            count("refunds_refused")
            logger.error("refund refused", extra={"purchase": log_reference(purchase.id), "code": outcome.code})
            purchase = _close_refund(context, purchase, one.id, {"failure_code": outcome.code}, now)
            continue
        if one.restock:
            _restock_units(context, purchase, index)
        changes = {
            "completed_at": now,
            "restocked": one.restock,
            "provider_id": outcome.provider_refund_id if outcome else None,
        }
        purchase = _close_refund(context, purchase, one.id, changes, now)
    return purchase


def _read_paid_order(context: CheckoutContext, purchase_id: str) -> Purchase:
    purchase = read_order(context, purchase_id)
    if purchase.state is not PurchaseState.PAID:
        raise Conflict("The order is being placed; nothing was charged yet.", code="complete_in_progress")
    return purchase


def _execute_refund(
    context: CheckoutContext, purchase: Purchase, request: RefundRequest, now: Instant
) -> tuple[Purchase, Refund]:
    for _ in range(_TRIES):
        existing_refund = next((one for one in purchase.refunds if one.key == short_digest(request.key)), None)
        if existing_refund is not None:
            if existing_refund.fingerprint != short_digest(request.fingerprint):
                raise IdempotencyConflict
            break
        recorded = _record_refund(purchase, request, now)
        answer = context.purchases.replace(recorded)
        if isinstance(answer, Written):
            purchase = recorded
            break
        purchase = answer.existing
    else:
        raise WriteConflict("Too many refunds of this order at once.")
    purchase = finish_refunds(context, purchase, now)
    made = next(one for one in purchase.refunds if one.key == short_digest(request.key))
    if made.failure_code is not None:
        detail = "The provider has less left of this payment than this refund was to give back; nothing was given back."
        raise Conflict(detail, code="refund_refused")
    return purchase, made


def _record_refund(purchase: Purchase, request: RefundRequest, now: Instant) -> Purchase:
    """The purchase with one refund more, not carried out yet. Raises what :func:`back_of` raises.

    ``Conflict`` when there would be too many refunds for one item.
    """
    parts_before = sum(len(one.lines) for one in purchase.refunds)
    max_new_parts = len(request.lines) if request.amount is None else len(purchase.lines)
    if not request.full and (len(purchase.refunds) >= MAX_REFUNDS or parts_before + max_new_parts > MAX_REFUND_LINES):
        raise Conflict("The order has too many refunds; cancel what is left of it.", code="too_many_refunds")
    recorded = with_refund(purchase, request, allocate_refund(purchase, request), now)
    return recorded.model_copy(update={"cancelled_at": purchase.cancelled_at or now}) if request.full else recorded


def with_refund(
    purchase: Purchase, request: RefundRequest, allocation: RefundAllocation, now: Instant, **fields: object
) -> Purchase:
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


def _refund_payment(
    context: CheckoutContext, purchase: Purchase, one: Refund, now: Instant
) -> Refunded | RefundFailed | None:
    payment = purchase.payment
    if not one.amount:
        return None
    if payment is None or payment.provider_id is None:
        raise Conflict("The order has no captured payment.", code="not_captured")
    refund_id = f"{purchase.id}-{one.id}"
    try:
        return context.gateway.refund(payment.provider_id, refund_id=refund_id, amount=one.amount, now=now)
    except OutcomeUnknownError as error:
        raise Unavailable("The payment provider did not answer; ask again with the same key.") from error


def _restock_units(context: CheckoutContext, purchase: Purchase, index: int) -> None:
    """Put the units of one refund back where they were sold from. Targets come from the refunds recorded before it."""
    earlier = purchase.model_copy(update={"refunds": purchase.refunds[:index]})
    through = purchase.model_copy(update={"refunds": purchase.refunds[: index + 1]})
    order = OrderRef(purchase.order_ref, purchase.epoch)
    for part in purchase.refunds[index].lines:
        line = next(one for one in purchase.lines if one.id == part.line_id)
        before = units_to_restock(earlier, line.id)
        after = units_to_restock(through, line.id)
        for pool, hold, expected, remaining in _restock_targets(line, before, after):
            restocked = context.stock.restock(pool, hold, order, expected, remaining)
            if not restocked and not _later_refund_has_passed(context, pool, hold, order, remaining):
                raise WriteConflict("Units of an earlier refund are still on their way back.")


def _later_refund_has_passed(
    context: CheckoutContext, pool: Pool, hold: HoldRef, order: OrderRef, remaining: int
) -> bool:
    """Whether a later refund has passed: it gives back only what the earlier ones left, so theirs are done.

    None stands where the last unit went back.
    """
    status = context.stock.get_hold_statuses([(pool, hold)])[0]
    return status is None or (status.expires_at is None and status.order == str(order) and status.quantity <= remaining)


def _restock_targets(line: Line, before: int, after: int) -> Iterator[tuple[Pool, HoldRef, int, int]]:
    """For each hold that changes: what it has after ``before`` units went back, and after ``after`` did. Last first."""
    expected, remaining = remaining_by_hold(line, before), remaining_by_hold(line, after)
    for hold in reversed(line.holds):
        if remaining[hold.id] < expected[hold.id]:
            yield pool_of(line), hold, expected[hold.id], remaining[hold.id]


def remaining_by_hold(line: Line, restocked: int) -> dict[str, int]:
    """Units that each hold of a line has after ``back`` of them went back into stock: the last hold's go first."""
    remaining = {}
    for hold in reversed(line.holds):
        remaining[hold.id] = max(hold.quantity - restocked, 0)
        restocked = max(restocked - hold.quantity, 0)
    return remaining


def _close_refund(
    context: CheckoutContext, purchase: Purchase, refund_id: str, changes: Mapping[str, object], now: Instant
) -> Purchase:
    """End a refund, once. A refused one that was to cancel the order has not."""
    for _ in range(_TRIES):
        one = next(one for one in purchase.refunds if one.id == refund_id)
        if not one.is_pending:
            return purchase
        ended = one.model_copy(update=changes)
        refunds = tuple(ended if other is one else other for other in purchase.refunds)
        reopens = ended.failure_code is not None and purchase.cancelled_at == one.requested_at
        cancelled_at = None if reopens else purchase.cancelled_at
        finished = next_version(purchase, now, refunds=refunds, cancelled_at=cancelled_at)
        answer = context.purchases.replace(finished)
        if isinstance(answer, Written):
            return finished
        purchase = answer.existing
    raise WriteConflict("Too many changes of this order at once.")
