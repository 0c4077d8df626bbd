"""Decide which refunds and losses of a purchase count, and for what."""

from __future__ import annotations

from chalicelib.money import share
from chalicelib.payments import DisputeStatus
from chalicelib.purchase.model import Allocation, DisputeLoss, Line, Purchase, Refund, RefundLine


def accepted_refunds(purchase: Purchase) -> tuple[Refund, ...]:
    """Return the refunds that reduce what can still be refunded: requested, pending and done ones.

    A refund that failed, at once or later, returns no money, so it does not count.
    """
    return tuple(refund for refund in purchase.refunds if refund.failure_code is None)


def completed_refunds(purchase: Purchase) -> tuple[Refund, ...]:
    """Return the refunds whose money the buyer has: done, and not failed since."""
    return tuple(refund for refund in accepted_refunds(purchase) if refund.completed_at is not None)


def posted_refunds(purchase: Purchase) -> tuple[Refund, ...]:
    """Return the refunds that were done at some time, also those that failed since. The ledger has entries of each."""
    return tuple(refund for refund in purchase.refunds if refund.completed_at is not None)


def refunded_amount(purchase: Purchase) -> int:
    """Return the minor units that completed refunds returned to the buyer."""
    return sum(refund.amount for refund in completed_refunds(purchase))


def losses_of(purchase: Purchase) -> tuple[DisputeLoss, ...]:
    """Return what disputes took for good."""
    return tuple(loss for dispute in purchase.disputes for loss in dispute.losses if loss.restored_at is None)


def lost_amount(purchase: Purchase) -> int:
    """Return the minor units that disputes took for good."""
    return sum(loss.amount for loss in losses_of(purchase))


def money_of(purchase: Purchase, allocation: Allocation) -> int:
    """Return the minor units that an allocation returns: items, shipping, and tax on top of them."""
    tax = sum(part.tax for part in allocation.lines) + allocation.shipping_tax if purchase.totals.tax_on_top else 0
    return sum(part.item_amount for part in allocation.lines) + allocation.shipping + tax


def excess_of(purchase: Purchase, taken: Refund | DisputeLoss) -> int:
    """Return the minor units of a refund or loss that the order had no rest for when it was recorded."""
    return taken.amount - money_of(purchase, taken)


def is_disputed(purchase: Purchase) -> bool:
    """Return whether a dispute of the order's payment is open. An inquiry moves no money, so it does not count."""
    return any(dispute.status == DisputeStatus.OPEN for dispute in purchase.disputes)


def refunded_units(purchase: Purchase, line_id: str) -> int:
    """Return the units of a line that accepted refunds cover, with or without restocking."""
    return sum(part.quantity for part in _parts(accepted_refunds(purchase), line_id))


def units_to_restock(purchase: Purchase, line_id: str) -> int:
    """Return the units of a line that done refunds put back into stock, those of refunds that failed since too.

    The number never falls, in any order in which refunds end.
    """
    return _restocking_units(tuple(refund for refund in posted_refunds(purchase) if refund.restock), line_id)


def restocked_units(purchase: Purchase, line_id: str) -> int:
    """Return the units of a line that are recorded as back in stock.

    A buyer still has the units that were refunded without restocking.
    """
    return _restocking_units(tuple(refund for refund in purchase.refunds if refund.restocked), line_id)


def restocked_but_not_refunded(purchase: Purchase, line_id: str) -> int:
    """Return the units of a line that are back in stock by refunds that failed, and that no later refund covers."""
    failed = tuple(refund for refund in posted_refunds(purchase) if refund.restock and refund.failure_code is not None)
    covered = sum(part.already_restocked for part in _parts(accepted_refunds(purchase), line_id))
    return _restocking_units(failed, line_id) - covered


def _restocking_units(refunds: tuple[Refund, ...], line_id: str) -> int:
    return sum(part.quantity - part.already_restocked for part in _parts(refunds, line_id))


def _parts(refunds: tuple[Refund, ...], line_id: str) -> list[RefundLine]:
    return [part for refund in refunds for part in refund.lines if part.line_id == line_id]


def commission_of(purchase: Purchase, line: Line) -> int:
    """Return the commission of a sold line, in minor units: its share of the price without tax."""
    return share(_without_tax(purchase, line.price, line.tax), line.commission_bps)


def _without_tax(purchase: Purchase, amount: int, tax: int) -> int:
    return amount if purchase.totals.tax_on_top else amount - tax
