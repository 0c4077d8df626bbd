"""Allocate the excess of refunds and losses to lines and shipping, once these have room for it.

The provider may return more than an order has left. Its console may refund before a lost dispute and be learnt after
it, or replace a refund whose failure is learnt later. The excess is posted without lines. When a refund fails or a
loss is restored, lines and shipping take over as much of it as they have room for, with the commission. So what
remains of an order does not depend on the order of events.
"""

from __future__ import annotations

from chalicelib.instants import Instant
from chalicelib.purchase import (
    AllocatedExcess,
    DisputeLoss,
    Purchase,
    Refund,
    accepted_refunds,
    excess_of,
    losses_of,
    money_of,
)
from chalicelib.refunds.allocation import allocate_amount, refundable_remainder


def with_excess_allocated(purchase: Purchase, now: Instant) -> Purchase:
    """Return the purchase with each excess allocated as far as lines and shipping have room. The version stays."""
    for refund in accepted_refunds(purchase):
        allocated = _allocated(purchase, refund, now)
        if allocated != refund.allocated:
            changed = refund.model_copy(update={"allocated": allocated})
            refunds = tuple(changed if known is refund else known for known in purchase.refunds)
            purchase = purchase.model_copy(update={"refunds": refunds})
    for loss in losses_of(purchase):
        allocated = _allocated(purchase, loss, now)
        if allocated != loss.allocated:
            purchase = _with_loss(purchase, loss, loss.model_copy(update={"allocated": allocated}))
    return purchase


def _allocated(purchase: Purchase, taken: Refund | DisputeLoss, now: Instant) -> tuple[AllocatedExcess, ...]:
    excess = excess_of(purchase, taken) - sum(money_of(purchase, one) for one in taken.allocated)
    left = refundable_remainder(purchase)
    amount = min(excess, left.amount)
    if amount <= 0:
        return taken.allocated
    spread = allocate_amount(left, amount)
    added = AllocatedExcess(
        lines=spread.lines, shipping=spread.shipping, shipping_tax=spread.shipping_tax, allocated_at=now
    )
    return (*taken.allocated, added)


def _with_loss(purchase: Purchase, loss: DisputeLoss, changed: DisputeLoss) -> Purchase:
    disputes = tuple(
        dispute.model_copy(
            update={"losses": tuple(changed if known is loss else known for known in dispute.losses)},
        )
        for dispute in purchase.disputes
    )
    return purchase.model_copy(update={"disputes": disputes})
