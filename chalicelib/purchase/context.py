"""Everything that the use cases of a purchase work with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.discounts import Discounts
from chalicelib.errors import NotFound
from chalicelib.instants import MINUTE, Instant
from chalicelib.payments import EventStore, Gateway, MovementStore
from chalicelib.pricing import Markets
from chalicelib.purchase.model import Purchase, PurchaseState
from chalicelib.purchase.store import LimitStore, PurchaseStore
from chalicelib.risk import Risk
from chalicelib.shows import Shows
from chalicelib.stock import Stock

SETTLE_PERIOD: Instant = MINUTE
"""Longer than any request or worker lives.

Every write that began before an instant has landed, or has failed, one settle period later.
"""


@dataclass(frozen=True, slots=True)
class CheckoutContext:
    """The stores, rooms and settings of one Lambda function. No field has a default: each decides about money."""

    purchases: PurchaseStore
    shows: Shows
    stock: Stock
    gateway: Gateway
    markets_at: Callable[[Instant], Markets]
    """Returns the shop's markets, at most one second old.

    Functions that price no purchase need no table: a placed purchase keeps its rates and totals.
    """
    discounts: Discounts
    risk: Risk
    id_key: bytes
    """Secret of purchase ids and of buyers' hashes. Empty in functions that neither create nor complete purchases."""
    order_hold_channels: frozenset[str]
    """The capture worker puts orders of these channels on hold until an operator releases them."""
    return_url: str
    """The page that buyers return to after 3-D Secure. ``{checkout}`` in it becomes the checkout session's id."""

    @property
    def limits(self) -> LimitStore:
        """Units that count against buyers' limits. They share the table of purchases."""
        return LimitStore(self.purchases.dynamodb, self.purchases.commerce_table)

    @property
    def events(self) -> EventStore:
        """Events of the payment provider. They share the table of purchases."""
        return EventStore(self.purchases.dynamodb, self.purchases.commerce_table)

    @property
    def movements(self) -> MovementStore:
        """Movements of the shop's balance at the provider. They share the table of purchases."""
        return MovementStore(self.purchases.dynamodb, self.purchases.commerce_table)


def order_not_found() -> NotFound:
    """Return the error for an id that names no order."""
    return NotFound("No order has this id.", field="id")


def read_order(context: CheckoutContext, purchase_id: str) -> Purchase:
    """Read a placed or paid order. One consistent read.

    Raises:
        NotFound: no purchase has this id, or it is not placed, or it was cancelled before it was paid.
    """
    purchase = context.purchases.read(purchase_id)
    if purchase is None or purchase.state in {PurchaseState.OPEN, PurchaseState.CANCELLED}:
        raise order_not_found()
    return purchase
