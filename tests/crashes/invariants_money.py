"""Check Invariants 4b, 4c, 5a, 5b and 5d: each capture and refund once, and never money without units."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chalicelib.purchase import Purchase, PurchaseState
from tests.crashes.invariants_stock import owned_units
from tests.crashes.snapshot import Snapshot
from tests.providers import PaymentStatus


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


def refunded_amount(purchase: Purchase) -> int:
    """Add up what buyers have of their refunds: those that were done and did not come back."""
    done = (refund for refund in purchase.refunds if refund.completed_at is not None and refund.failure_code is None)
    return sum(refund.amount for refund in done)


def stock_before_money_violations(state: Snapshot) -> Iterator[str]:
    """Check Invariant 5a: a captured payment has its units at this instant."""
    for payment in state.payments:
        if payment.status is not PaymentStatus.CAPTURED:
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
        if payment.status is not PaymentStatus.CAPTURED:
            continue
        captured[purchase.id] += 1
        if purchase.state is not PurchaseState.PAID or payment.attempt != purchase.attempt:
            yield f"{payment.name} was captured, and its purchase is {purchase.state} at attempt {purchase.attempt}"
        if payment.captured != purchase.totals.total:
            yield f"{payment.name}: {payment.captured} captured of {purchase.totals.total}"
        if payment.left != purchase.totals.total - refunded_amount(purchase):
            yield f"{payment.name}: {payment.left} left after refunds of {refunded_amount(purchase)}"
    for purchase in state.purchases.values():
        if purchase.state is PurchaseState.PAID and captured[purchase.id] != (1 if purchase.totals.total else 0):
            yield f"{purchase.id} is paid and was captured {captured[purchase.id]} times"


_RESERVED = frozenset({PaymentStatus.RESERVED, PaymentStatus.WAITING})
