"""Reconcile a shop's orders with its provider, in one run."""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.instants import Instant
from chalicelib.purchase import CheckoutContext
from chalicelib.recovery import Comparison, ReconciliationReport, reconcile_payments


def reconcile(
    context: CheckoutContext, now: Instant, enqueue: Callable[[str, int], object] = lambda *_: None
) -> ReconciliationReport:
    """Begin a comparison of all orders, and complete it."""

    def enqueue_capture(purchase_id: str, attempt: int) -> None:
        enqueue(purchase_id, attempt)

    report = reconcile_payments(context, enqueue_capture, lambda: now, lambda: False, begin=True)
    assert report.complete
    return report


def compare_all(
    context: CheckoutContext, now: Instant, enqueue: Callable[[str, int], object] = lambda *_: None
) -> Comparison:
    """Return the comparison of all orders."""
    comparison = reconcile(context, now, enqueue).comparison
    assert comparison is not None
    return comparison
