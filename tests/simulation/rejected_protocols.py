"""The three rejected protocols of a take, as controls (infra/docs/stock-protocol.md#protocols-that-were-refused).

Each takes a hold by the product's conditional writes, and recognises its own hold in a bucket. None has the pointer in
the home bucket. ``believed`` are the buckets that the caller believes to have units.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chalicelib.instants import SECOND, Instant
from chalicelib.purchase import PurchaseStore, Written
from chalicelib.stock import Busy, HoldRef, Pool, Stock, Taken, TakeResult, expressions
from chalicelib.stock.bucket import AlreadyHeld, BucketEntry, HasRoom, evaluate
from chalicelib.stock.layout import home_of
from chalicelib.stock.store import StockStore
from tests.builders.purchases import a_line, a_purchase

HOLD_SECONDS = 5


@dataclass(frozen=True)
class RejectedProtocols:
    """A process that takes one unit of a drop."""

    client: Any
    stock: Stock
    pool: Pool

    def take_in_summary_order(self, hold: str, believed: Iterable[int], now: Instant) -> TakeResult:
        """Take from any bucket that is believed to have units, in the order given."""
        store = StockStore(self.client, "stock", "commerce")
        for number in believed:
            held = BucketEntry(1, now // SECOND + HOLD_SECONDS)
            existing = store.write(self.pool.pool_id, number, expressions.place_hold(hold, held, HasRoom()))
            if existing is None or isinstance(evaluate(existing, hold, 1, now // SECOND), AlreadyHeld):
                return Taken(HoldRef(hold, number, 1, now // SECOND + HOLD_SECONDS))
        return Busy(1)

    def take_in_fixed_order(self, hold: str, believed: Iterable[int], now: Instant) -> TakeResult:
        """Take from any bucket, in an order that follows from the hold alone."""
        first = home_of(hold, self.pool)
        order = [(first + turn) % self.pool.bucket_count for turn in range(self.pool.bucket_count)]
        return self.take_in_summary_order(hold, order, now)

    def take_then_create_purchase(self, hold: str, believed: Iterable[int], now: Instant) -> TakeResult:
        """Take from any bucket, then put the purchase that names the hold. The copy that loses releases its units."""
        taken = self.take_in_summary_order(hold, believed, now)
        if not isinstance(taken, Taken):
            return taken
        purchase = a_purchase(lines=(a_line(drop_id=self.pool.pool_id, holds=(taken.hold,)),))
        answer = PurchaseStore(self.client, "commerce").create(purchase)
        if isinstance(answer, Written):
            return taken
        (referenced,) = answer.existing.lines[0].holds
        if referenced.bucket != taken.hold.bucket:
            self.stock.release(self.pool, taken.hold)
        return Taken(referenced, replay=True)
