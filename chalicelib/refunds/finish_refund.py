"""Finish recorded refunds: ask the provider, record what it answers, and restock the units once a refund is done."""

from __future__ import annotations

from chalicelib.errors import Conflict, Unavailable, WriteConflict
from chalicelib.ids import log_reference
from chalicelib.instants import Instant
from chalicelib.payments import OutcomeUnknownError, ProviderBusyError, ProviderRefund, RefundFailed, RefundStatus
from chalicelib.purchase import CheckoutContext, Purchase, Refund, Written, next_version
from chalicelib.refunds.excess import with_excess_allocated
from chalicelib.refunds.restock import MAX_TRIES, restock_done_refunds
from chalicelib.telemetry import count, logger


def finish_refunds(context: CheckoutContext, purchase: Purchase, now: Instant) -> Purchase:
    """Take each unfinished refund as far as it goes now. Repeatable.

    A pending refund is looked up at the provider, one call each. One that the provider cannot answer for does not stop
    the others.

    Raises:
        Unavailable: the provider did not answer for one of them.
        WriteConflict: other requests are changing the order. Try again.
    """
    unavailable: Unavailable | None = None
    for refund in purchase.refunds:
        if refund.is_pending or refund.is_restock_due:
            try:
                purchase = finish_refund(context, purchase, refund.id, now)
            except Unavailable as error:
                unavailable = error
    if unavailable is not None:
        raise unavailable
    return purchase


def finish_refund(context: CheckoutContext, purchase: Purchase, refund_id: str, now: Instant) -> Purchase:
    """Take one refund as far as it goes now: done, failed, or pending at the provider. Repeatable.

    Raises:
        Unavailable: the provider did not answer.
        WriteConflict: other requests are changing the order. Try again.
    """
    refund = next(refund for refund in purchase.refunds if refund.id == refund_id)
    if refund.is_pending:
        return record_answer(context, purchase, refund_id, _ask_provider(context, purchase, refund, now), now)
    return restock_done_refunds(context, purchase, now)


def _ask_provider(
    context: CheckoutContext, purchase: Purchase, refund: Refund, now: Instant
) -> ProviderRefund | RefundFailed:
    """Return the provider's state of a refund; ask it to refund if it was not asked yet."""
    payment = purchase.payment
    if not refund.amount:
        return ProviderRefund("", 0)
    if payment is None or payment.provider_id is None:
        raise Conflict("The order has no captured payment.", code="not_captured")
    try:
        if refund.provider_id is None:
            refund_id = f"{purchase.id}-{refund.id}"
            return context.gateway.refund(payment.provider_id, refund_id=refund_id, amount=refund.amount, now=now)
        found = context.gateway.find_refund(refund.provider_id, now=now)
    except (OutcomeUnknownError, ProviderBusyError) as error:
        raise Unavailable("The payment provider did not answer. Repeat the request with the same key.") from error
    if found is None:
        logger.error("pending refund unknown to provider", extra={"purchase": log_reference(purchase.id)})
        raise Unavailable("The payment provider does not know the refund.")
    return found


def record_answer(
    context: CheckoutContext, purchase: Purchase, refund_id: str, answer: ProviderRefund | RefundFailed, now: Instant
) -> Purchase:
    """Record the provider's state of a refund, then restock the units of what is done.

    The order is cancelled together with the refund that cancels it. Costs one write if the state is new.

    Raises:
        WriteConflict: other requests are changing the order. Try again.
    """
    for _ in range(MAX_TRIES):
        before = next(refund for refund in purchase.refunds if refund.id == refund_id)
        after = _moved_on(before, answer, now)
        if after == before:
            return restock_done_refunds(context, purchase, now)
        cancels = after.cancels and after.completed_at is not None and after.failure_code is None
        moved_on = next_version(
            purchase,
            now,
            refunds=tuple(after if refund is before else refund for refund in purchase.refunds),
            cancelled_at=purchase.cancelled_at or (now if cancels else None),
        )
        changed = with_excess_allocated(moved_on, now)
        written = context.purchases.replace(changed)
        if isinstance(written, Written):
            _report_failure(purchase, after)
            return restock_done_refunds(context, changed, now)
        purchase = written.existing
    raise WriteConflict("Other requests are changing this order. Try again.")


def _moved_on(refund: Refund, answer: ProviderRefund | RefundFailed, now: Instant) -> Refund:
    """Return a refund as the provider's answer leaves it: requested, pending, done, failed, and never back.

    So an answer that another worker overtook changes nothing.
    """
    if refund.failure_code is not None:
        return refund
    if isinstance(answer, RefundFailed):
        return refund if refund.provider_id else refund.model_copy(update={"failure_code": answer.code})
    changes: dict[str, object] = {"provider_id": refund.provider_id or answer.provider_refund_id or None}
    if answer.status is RefundStatus.FAILED:
        failed_at = now if refund.completed_at is not None else None
        changes |= {"failure_code": answer.failure_code or "refund_failed", "failed_at": failed_at}
    elif answer.status is RefundStatus.SUCCEEDED and refund.completed_at is None:
        changes["completed_at"] = now
    return refund.model_copy(update=changes)


def _report_failure(purchase: Purchase, refund: Refund) -> None:
    """Count and log a refund that failed: refused at once, or accepted and failed later, for which a person is due."""
    if refund.failure_code is None:
        return
    extra = {"purchase": log_reference(purchase.id), "refund": refund.id, "code": refund.failure_code}
    if refund.provider_id is None:
        count("refunds_refused")
        logger.error("refund declined", extra=extra)
    else:
        count("refunds_failed")
        logger.error("refund failed at provider", extra=extra)
