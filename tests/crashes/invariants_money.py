"""Check Invariants 4b, 4c, 5a, 5b and 5d: each capture and refund once, and never money without units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chalicelib.purchase import Purchase, PurchaseState, Refund
from tests.crashes.invariants_stock import owned_units
from tests.crashes.snapshot import Snapshot
from tests.providers import PaymentRecord, PaymentStatus


def purchase_violations(state: Snapshot) -> Iterator[str]:
    """Check the sums of each purchase, and that its refunds are complete (Invariant 4c)."""
    for purchase in state.purchases.values():
        about = f"{purchase.id} ({purchase.state})"
        if purchase.state not in {
            PurchaseState.OPEN,
            PurchaseState.PAID,
            PurchaseState.CANCELLED,
            PurchaseState.ON_HOLD,
        }:
            yield f"{about} is not at rest"
        totals = purchase.totals
        if totals.subtotal != sum(line.unit_price * line.quantity for line in purchase.lines):
            yield f"{about} has a wrong subtotal"
        if totals.total != totals.subtotal - totals.discount + totals.shipping + totals.tax_on_top:
            yield f"{about} has a wrong total"
        off = [sum(one.parts[index] for one in purchase.discounts) for index in range(len(purchase.lines))]
        if off != [line.discount for line in purchase.lines] or totals.discount != sum(off):
            yield f"{about} has discounts of {off}, and {totals.discount} taken off"
        if purchase.state is PurchaseState.PAID:
            for line in purchase.lines:
                if sum(hold.quantity for hold in line.holds) != line.quantity:
                    yield f"{about}: its holds are not the {line.quantity} units of {line.id}"
        yield from _refund_violations(purchase, about)


def _refund_violations(purchase: Purchase, about: str) -> Iterator[str]:
    refunded_by_line = Counter({line.id: -line.quantity for line in purchase.lines})
    for refund in purchase.refunds:
        was_done, has_failed = refund.completed_at is not None, refund.failure_code is not None
        if not (was_done or has_failed):
            yield f"{about}: {refund.id} has not ended"
        if refund.restocked != (refund.restock and was_done):
            yield f"{about}: {refund.id} is done, and its units are not where they belong"
        if refund.cancels and was_done and not has_failed and purchase.cancelled_at is None:
            yield f"{about}: {refund.id} is done, and the order is not cancelled"
        if not has_failed:
            refunded_by_line.update({part.line_id: part.quantity for part in refund.lines})
    is_cancelled = purchase.cancelled_at is not None and purchase.state is PurchaseState.PAID
    if is_cancelled and not any(refund.cancels and refund.completed_at is not None for refund in purchase.refunds):
        yield f"{about} is cancelled by no refund"
    if max(refunded_by_line.values(), default=0) > 0 or refunded_amount(purchase) > purchase.totals.total:
        yield f"{about}: more was refunded than bought"


def has_open_refund(state: Snapshot) -> bool:
    """Return whether a refund waits at the provider, or was not asked for yet."""
    return any(refund.is_pending for purchase in state.purchases.values() for refund in purchase.refunds)


def refunds_done(purchase: Purchase) -> list[Refund]:
    """Return the refunds whose money the buyer has."""
    return [one for one in purchase.refunds if one.completed_at is not None and one.failure_code is None]


def refunded_amount(purchase: Purchase) -> int:
    return sum(refund.amount for refund in refunds_done(purchase))


def lost_amount(purchase: Purchase) -> int:
    """Return what lost disputes took for good."""
    losses = (loss for dispute in purchase.disputes for loss in dispute.losses)
    return sum(loss.amount for loss in losses if loss.restored_at is None)


def withdrawn_amount(purchase: Purchase) -> int:
    """Return what open and lost disputes have taken from the shop."""
    return sum(dispute.withdrawn for dispute in purchase.disputes)


def stock_before_money_violations(state: Snapshot) -> Iterator[str]:
    """Check Invariant 5a: a captured payment has its units at this instant."""
    for payment in state.payments:
        if payment.status is not PaymentStatus.CAPTURED or not payment.left:
            continue
        purchase = state.purchases.get(payment.purchase_id)
        if purchase is None:
            yield f"{payment.name} was captured for no purchase"
        elif not purchase.refunds and {
            d: sum(h.values()) for d, h in state.units_sold_to(purchase).items()
        } != owned_units(purchase):
            yield f"{payment.name} was captured without its stock"


def payment_violations(state: Snapshot) -> Iterator[str]:
    """Check Invariants 4b, 5b and 5d: one capture for each paid order, and no authorisation left."""
    captured: Counter[str] = Counter()
    for payment in state.payments:
        purchase = state.purchases.get(payment.purchase_id)
        if purchase is None or not 1 <= payment.attempt <= purchase.attempt:
            yield f"{payment.name} belongs to no attempt"
            continue
        if payment.status in _RESERVED and purchase.state is not PurchaseState.ON_HOLD:
            yield f"{payment.name} is still authorised, and its purchase is {purchase.state}"
        if payment.status is not PaymentStatus.CAPTURED or _is_returned_or_noted(purchase, payment):
            continue
        captured[purchase.id] += 1
        if purchase.state is not PurchaseState.PAID or payment.attempt != purchase.attempt:
            yield f"{payment.name} was captured, and its purchase is {purchase.state} at attempt {purchase.attempt}"
        if payment.captured != purchase.totals.total:
            yield f"{payment.name}: {payment.captured} captured of {purchase.totals.total}"
        gone = refunded_amount(purchase), withdrawn_amount(purchase)
        if payment.left != purchase.totals.total - sum(gone):
            yield f"{payment.name}: {payment.left} left after refunds and withdrawals of {gone}"
        yield from _refund_differences(purchase, payment)
    for purchase in state.purchases.values():
        if purchase.state is PurchaseState.PAID and captured[purchase.id] != (1 if purchase.totals.total else 0):
            yield f"{purchase.id} is paid and was captured {captured[purchase.id]} times"


def _is_returned_or_noted(purchase: Purchase, payment: PaymentRecord) -> bool:
    """Return whether money of an unpaid order was returned, or is noted at an order on hold, for a person."""
    if purchase.state is PurchaseState.PAID or purchase.payment is None:
        return False
    is_noted = purchase.state is PurchaseState.ON_HOLD and purchase.payment.captured == payment.captured
    return payment.left == 0 or (is_noted and payment.captured != purchase.totals.total)


def _refund_differences(purchase: Purchase, payment: PaymentRecord) -> Iterator[str]:
    """Compare each refund of the order with the provider's, by the provider's id."""
    known = {one.provider_id: one for one in purchase.refunds if one.provider_id}
    for made in payment.refunds:
        refund = known.pop(made.id, None)
        if refund is None:
            if not made.failed:
                yield f"{payment.name}: {made.id} is unknown to the order"
        elif (refund.amount, refund.failure_code is not None) != (made.amount, made.failed):
            yield f"{payment.name}: {made.id} is {made}, and the order has {refund}"
    if known:
        yield f"{payment.name}: the provider does not have the refunds {sorted(map(str, known))}"


def too_early_refunds(state: Snapshot, done_before: set[tuple[str, str]]) -> Iterator[str]:
    """Check that a refund just recorded as done is done at the provider, and note it in ``done_before``."""
    at_provider = {made.id: made for payment in state.payments for made in payment.refunds}
    for purchase in state.purchases.values():
        for refund in refunds_done(purchase):
            made = at_provider.get(refund.provider_id or "")
            is_new = (purchase.id, refund.id) not in done_before
            done_before.add((purchase.id, refund.id))
            if is_new and made is not None and (made.pending or made.failed):
                yield f"{purchase.id}: {refund.id} was recorded as done, and the provider has {made}"


_RESERVED = frozenset({PaymentStatus.RESERVED, PaymentStatus.WAITING})
