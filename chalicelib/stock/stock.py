"""The room's face: everything that may be done with a drop's stock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from chalicelib.instants import Instant
from chalicelib.stock.model import (
    Audit,
    EpochSeconds,
    HoldAgainAnswer,
    HoldRef,
    Layout,
    OrderRef,
    SellAnswer,
    Standing,
    Summary,
    TakeAnswer,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


class Stock:
    """A deployment's stock. One instance a process; safe to use from many threads."""

    def __init__(self, dynamodb: DynamoDBClient, stock_table: str, commerce_table: str) -> None:
        raise NotImplementedError

    def lay_out(self, drop_id: str, sizes: Sequence[int], now: Instant) -> None:
        """Put the buckets that are missing, then a first summary. Repeatable; changes no bucket that exists."""
        raise NotImplementedError

    def take(
        self,
        layout: Layout,
        hold_id: str,
        quantity: int,
        until: EpochSeconds,
        summary: Summary | None,
        *,
        now: Instant,
    ) -> TakeAnswer:
        """Hold ``quantity`` units until ``until``.

        ``summary`` is what the caller knows, at most one second old, on a first try; None on a retry: then this hold
        is looked for before any refusal. Costs 1 WCU where home has units, 2 and 0.5 RCU for a stray; nothing at all
        while ``summary`` shows nothing.
        """
        raise NotImplementedError

    def look(self, refs: Sequence[tuple[Layout, HoldRef]]) -> list[Standing | None]:
        """How each hold stands, by strong reads (1 RCU a bucket, in batches of 100); None when it is gone."""
        raise NotImplementedError

    def sell(self, layout: Layout, ref: HoldRef, keep: int, order: OrderRef) -> SellAnswer:
        """Give ``keep`` of the hold's units to the order; the surplus is available again. 1 WCU; repeatable."""
        raise NotImplementedError

    def hold_again(self, layout: Layout, ref: HoldRef, order: OrderRef, until: EpochSeconds) -> HoldAgainAnswer:
        """Keep units, sold or not, for the order until ``until``, at its epoch: a later sell at it is refused. 1 WCU."""
        raise NotImplementedError

    def release(self, layout: Layout, ref: HoldRef, order: OrderRef | None = None) -> bool:
        """Make a hold's units available: one that no order has, or one of ``order`` at its very epoch. 1 WCU.

        True when the units are free, now or already; False when they belong to an order (or another epoch of it).
        """
        raise NotImplementedError

    def shrink(self, layout: Layout, ref: HoldRef, keep: int, until: EpochSeconds | None = None) -> bool:
        """Bring a hold of ``ref.quantity`` units down to ``keep``, perhaps with a new end. 1 WCU; repeatable.

        False when the hold is gone, sold, or of another quantity.
        """
        raise NotImplementedError

    def give_back(self, layout: Layout, ref: HoldRef, order: OrderRef, expected: int, left: int) -> bool:
        """Sold units go back to stock: from ``expected`` down to ``left``; at 0 a dead mark stays. 1 WCU; repeatable."""
        raise NotImplementedError

    def mark_dead(self, layout: Layout, hold_id: str) -> bool:
        """Forbid a hold that is gone ever to come back by a late take. False when it stands after all."""
        raise NotImplementedError

    def summary(self, drop_id: str) -> Summary | None:
        """The live summary as last written: one eventually consistent read (0.5 RCU)."""
        raise NotImplementedError

    def refresh(self, layout: Layout, now: Instant) -> Summary:
        """Recompute the summary from the buckets (1 RCU each), and write it if it changed (1 WCU)."""
        raise NotImplementedError

    def add_units(self, layout: Layout, plan: int, quantity: int, now: Instant, *, usual_quantity: int = 1) -> bool:
        """Carry out stock plan number ``plan``: at most 1 WCU a bucket. Repeat it until it says True.

        ``layout`` must be the same in every repeat; the next plan waits for this one.
        """
        raise NotImplementedError

    def audit(self, layout: Layout, size: int, now: Instant) -> Audit:
        """Compare every bucket with the rules of stock, by strong reads (1 RCU a bucket)."""
        raise NotImplementedError
