"""The face of the room: everything that may be done with the units of a drop, or of a discount budget."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from chalicelib.instants import Instant, UnixSeconds
from chalicelib.stock import adjust
from chalicelib.stock.audit import StockAudit, StockPlan, audit
from chalicelib.stock.consolidate import Consolidator
from chalicelib.stock.holds import HoldVerbs
from chalicelib.stock.model import AllHeld, Busy, InsufficientUnits, Pool, SoldOut, Summary, Taken, TakeResult
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


class Stock(HoldVerbs):
    """The stock of a deployment. One instance a process; safe to use from many threads.

    The verbs on a single hold are in :class:`HoldVerbs`.
    """

    def __init__(self, dynamodb: DynamoDBClient, stock_table: str, commerce_table: str) -> None:
        super().__init__(dynamodb, stock_table, commerce_table)
        self._summaries = Summaries(self._store)
        self._consolidator = Consolidator(self._store)

    def create_buckets(self, pool_id: str, sizes: Sequence[int], now: Instant) -> None:
        """Put the buckets that are missing, then a first summary. Changes no bucket that exists.

        100 buckets a call, 2 WCU each; 1 WCU where there is one bucket. A repeat reads the buckets, and puts those that
        are missing one by one.
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
        """Hold ``quantity`` units until ``expires_at``, all of them in one bucket: a hold is never split.

        A first try passes a ``summary`` at most one second old. A retry passes None: the hold may exist already, so it
        is looked for before any refusal. Costs 1 WCU where home has units; 2 WCU and 0.5 RCU for an overflow; nothing
        while ``summary`` shows that no unit is left.
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

    def summary(self, pool_id: str) -> Summary | None:
        """Return the live summary as it was last written: one eventually consistent read (0.5 RCU)."""
        return self._summaries.read_stored(pool_id)

    def refresh(self, pool: Pool, now: Instant, changes: Changes | None = None) -> Summary:
        """Recompute the summary from the buckets (1 RCU each), and write it if it changed (1 WCU).

        A drop with more than 400 buckets has segments of 100. ``changes`` saves the reads of segments in which no
        bucket changed and no hold expired.
        """
        return self._summaries.refresh(pool, now, changes)

    def refresh_all(self, changes: Mapping[Pool, Changes], now: Instant) -> None:
        """Refresh the summaries of many pools from the buckets that changed and when: as many units, fewer calls."""
        self._summaries.refresh_all(changes, now)

    def add_units(self, pool: Pool, plan: int, quantity: int, now: Instant, *, usual_quantity: int = 1) -> None:
        """Carry out the stock adjustment number ``plan``, which adds units, then refresh the summary.

        1 WCU for each bucket that gets units, and 1 RCU. A repeat goes on where an earlier call died. The caller
        starts the next adjustment only when this one is done.
        """
        adjust.add_units(self._store, pool, plan, quantity, usual_quantity)
        self._summaries.refresh(pool, now)

    def withdraw_units(self, pool: Pool, plan: int, quantity: int, now: Instant) -> int | None:
        """Carry out the stock adjustment number ``plan``, which takes units away; return how many it took.

        Held and committed units stay. About 1 WCU a bucket until there are enough. A repeat goes on where an earlier
        call died. None when a bucket had a later adjustment: this one was carried out before.
        """
        taken = adjust.withdraw(self._store, pool, plan, quantity, now)
        self._summaries.refresh(pool, now)
        return taken

    def audit(self, pool: Pool, size: int, now: Instant, plan: StockPlan | None = None) -> StockAudit:
        """Compare every bucket with the rules of stock: 1 RCU a bucket, three where a rule seems broken."""
        return audit(self._store, pool, size, now, plan)
