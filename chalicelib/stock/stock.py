"""The room's face: everything that may be done with a drop's stock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from chalicelib.instants import Instant, UnixSeconds
from chalicelib.stock import adjust, expressions, holds
from chalicelib.stock.audit import StockAudit, StockPlan, audit, release_orphan
from chalicelib.stock.consolidate import Consolidator
from chalicelib.stock.layout import home_of, plan_additions
from chalicelib.stock.model import (
    AllHeld,
    Busy,
    CommitResult,
    HoldRef,
    HoldStatus,
    InsufficientUnits,
    OrderRef,
    Pool,
    RevertToHoldResult,
    SoldOut,
    Summary,
    Taken,
    TakeResult,
)
from chalicelib.stock.store import StockStore
from chalicelib.stock.summaries import Changes, Summaries
from chalicelib.stock.take import Take
from chalicelib.telemetry import count

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


_METRICS: Final = {
    Taken: "takes",
    InsufficientUnits: "takes_refused_insufficient",
    SoldOut: "takes_refused_sold_out",
    AllHeld: "takes_refused_all_held",
    Busy: "takes_refused_busy",
}


class Stock:
    """A deployment's stock. One instance a process; safe to use from many threads."""

    def __init__(self, dynamodb: DynamoDBClient, stock_table: str, commerce_table: str) -> None:
        store = StockStore(dynamodb, stock_table, commerce_table)
        self._store = store
        self._summaries = Summaries(store)
        self._consolidator = Consolidator(store)

    def create_buckets(self, pool_id: str, sizes: Sequence[int], now: Instant) -> None:
        """Put the buckets that are missing, then a first summary. Changes no bucket that exists.

        A hundred buckets a call, at 2 WCU each (1 where there is one); a repeat reads, and puts singly what is missing.
        """
        created = self._store.put_buckets(pool_id, dict(enumerate(sizes)))
        if not created:
            existing = self._store.read_buckets((pool_id, number) for number in range(len(sizes)))
            for number, size in enumerate(sizes):
                if (pool_id, number) not in existing:
                    self._store.put_buckets(pool_id, {number: size})
        if created:
            self._summaries.write_initial(pool_id, sizes, now)
        elif self._store.summary_record(pool_id, strong=True) is None:
            self._summaries.refresh(Pool(pool_id, len(sizes)), now)

    def take(
        self,
        pool: Pool,
        hold_id: str,
        quantity: int,
        expires_at: UnixSeconds,
        summary: Summary | None,
        *,
        now: Instant,
    ) -> TakeResult:
        """Hold ``quantity`` units until ``until``. All of them in one bucket: a hold is never split.

        ``summary`` is what the caller knows, at most one second old, on a first try; None on a retry: then this hold
        is looked for before any refusal. Costs 1 WCU where home has units, 2 and 0.5 RCU for a stray; nothing at all
        while ``summary`` shows nothing.
        """
        attempt = Take(self._store, self._summaries, self._consolidator, pool, hold_id, quantity, expires_at, now)
        result = attempt.run(summary)
        if not pool.is_drop:
            return result
        is_replay = isinstance(result, Taken) and result.replay
        count("takes_repeated" if is_replay else _METRICS[type(result)])
        if attempt.probes:
            count("take_probes", attempt.probes)
        return result

    def find_hold(self, pool: Pool, hold_id: str) -> Taken | None:
        """A hold as an earlier try took it, by a strong read of its home (1 RCU; one more where home points on)."""
        (status,) = holds.get_hold_statuses(self._store, [(pool, HoldRef(hold_id, home_of(hold_id, pool), 0, 0))])
        if status is None:
            return None
        hold = HoldRef(hold_id, status.bucket, status.quantity, status.expires_at or 0)
        return Taken(hold, replay=True, committed=status.expires_at is None)

    def get_hold_statuses(self, refs: Sequence[tuple[Pool, HoldRef]]) -> list[HoldStatus | None]:
        """How each hold stands, by strong reads (1 RCU a bucket, in batches of 100); None when it is gone."""
        return holds.get_hold_statuses(self._store, refs)

    def commit(
        self, pool: Pool, ref: HoldRef, keep: int, order: OrderRef, status: HoldStatus | None = None
    ) -> CommitResult:
        """Give ``keep`` of the hold's units to the order; the surplus is available again. 1 WCU; repeatable.

        ``standing`` is how the hold was found to stand, where it is not as it was taken: it spares a refused write.
        """
        return holds.commit(self._store, pool, ref, keep, order, status)

    def revert_to_hold(self, pool: Pool, ref: HoldRef, order: OrderRef, expires_at: UnixSeconds) -> RevertToHoldResult:
        """Keep units, sold or not, for the order until ``until``, at its epoch: a late sell at it is refused. 1 WCU."""
        return holds.revert_to_hold(self._store, pool, ref, order, expires_at)

    def release(self, pool: Pool, ref: HoldRef, order: OrderRef | None = None) -> bool:
        """Make a hold's units available: one that no order has, or one of ``order`` at its very epoch. 1 WCU.

        True when the units are free, now or already; False when they belong to an order (or another epoch of it).
        """
        return holds.release(self._store, pool, ref, order)

    def shrink(self, pool: Pool, ref: HoldRef, keep: int, expires_at: UnixSeconds | None = None) -> bool:
        """Bring a hold of ``ref.quantity`` units down to ``keep``, perhaps with a new end. 1 WCU; repeatable.

        False when the hold is gone, sold, or of another quantity.
        """
        return holds.shrink(self._store, pool, ref, keep, expires_at)

    def restock(self, pool: Pool, ref: HoldRef, order: OrderRef, expected: int, remaining: int) -> bool:
        """Sold units go back to stock: from ``expected`` to ``left``; at 0 a dead mark stays. 1 WCU; repeatable."""
        return holds.restock(self._store, pool, ref, order, expected, remaining)

    def tombstone(self, pool: Pool, hold_id: str) -> bool:
        """Forbid a hold that is gone ever to come back by a late take. False when it stands after all."""
        return holds.tombstone(self._store, pool, hold_id)

    def summary(self, pool_id: str) -> Summary | None:
        """The live summary as last written: one eventually consistent read (0.5 RCU)."""
        return self._summaries.read_stored(pool_id)

    def refresh(self, pool: Pool, now: Instant, changes: Changes | None = None) -> Summary:
        """Recompute the summary from the buckets (1 RCU each), and write it if it changed (1 WCU).

        ``changes`` spares, of a drop with more than 400 buckets, the hundreds in which nothing changed or lapsed.
        """
        return self._summaries.refresh(pool, now, changes)

    def refresh_all(self, changes: Mapping[Pool, Changes], now: Instant) -> None:
        """Refresh the summaries of many drops, by the buckets that changed and when: the same units, fewer calls."""
        self._summaries.refresh_all(changes, now)

    def add_units(self, pool: Pool, plan: int, quantity: int, now: Instant, *, usual_quantity: int = 1) -> None:
        """Carry out stock plan number ``plan``: 1 WCU a bucket that gets units, each bucket once, and 1 RCU.

        Died halfway, it is repeated with the same ``layout`` and goes on where it stopped, so that even thousands of
        buckets are done in the end. The next plan waits for this one.
        """
        shares = {n: units for n, units in enumerate(plan_additions(pool, plan, quantity, usual_quantity)) if units}
        if len(shares) > 1:
            found = self._store.read_buckets((pool.pool_id, number) for number in shares)
            done = {bucket.number for bucket in found.values() if (bucket.plan or 0) >= plan}
            shares = {number: units for number, units in shares.items() if number not in done}
        for number, units in shares.items():
            self._store.write(pool.pool_id, number, expressions.add_units(plan, units))
        self._summaries.refresh(pool, now)

    def withdraw_units(self, pool: Pool, plan: int, quantity: int, now: Instant) -> int | None:
        """Carry out stock plan number ``plan`` that takes units away; how many it took: held and sold ones stay.

        Some 1 WCU a bucket until there are enough. Died halfway, it is repeated with the same ``layout`` and goes on.
        None when a later plan was met: this one was carried out long ago.
        """
        taken = adjust.withdraw(self._store, pool, plan, quantity, now)
        self._summaries.refresh(pool, now)
        return taken

    def audit(self, pool: Pool, size: int, now: Instant, plan: StockPlan | None = None) -> StockAudit:
        """Compare every bucket with the rules of stock, by strong reads (1 RCU a bucket; three where one is broken)."""
        return audit(self._store, pool, size, now, plan)

    def release_orphan(self, pool: Pool, hold_id: str, seen: HoldStatus) -> bool:
        """Make units available that were found to be nobody's. 1 WCU; False when the hold is not as it was ``seen``."""
        return release_orphan(self._store, pool, hold_id, seen)
