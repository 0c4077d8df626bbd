"""Decide which refunds of a purchase count, and for what."""

from __future__ import annotations

from chalicelib.purchase.model import Purchase, Refund


def accepted_refunds(purchase: Purchase) -> tuple[Refund, ...]:
    """Return the refunds that reduce what can still be refunded: pending and completed ones.

    A refund that the provider declined returns no money, so it does not count.
    """
    return tuple(refund for refund in purchase.refunds if refund.failure_code is None)


def completed_refunds(purchase: Purchase) -> tuple[Refund, ...]:
    """Return the refunds that the provider has confirmed: the ledger, events and files have these alone."""
    return tuple(refund for refund in purchase.refunds if refund.completed_at is not None)


def refunded_amount(purchase: Purchase) -> int:
    """Return the minor units that completed refunds returned to the buyer."""
    return sum(refund.amount for refund in completed_refunds(purchase))


def refunded_units(purchase: Purchase, line_id: str) -> int:
    """Return the units of a line that accepted refunds cover, with or without restocking."""
    return _units(accepted_refunds(purchase), line_id)


def units_to_restock(purchase: Purchase, line_id: str) -> int:
    """Return the units of a line that accepted refunds put back into stock, those of pending refunds too."""
    return _units(tuple(refund for refund in accepted_refunds(purchase) if refund.restock), line_id)


def restocked_units(purchase: Purchase, line_id: str) -> int:
    """Return the units of a line that are in stock again.

    A buyer still has the units that were refunded without restocking.
    """
    return _units(tuple(refund for refund in purchase.refunds if refund.restocked), line_id)


def _units(refunds: tuple[Refund, ...], line_id: str) -> int:
    return sum(part.quantity for refund in refunds for part in refund.lines if part.line_id == line_id)
