"""Verbs on a hold: each is one conditional write, safe to repeat (``infra/docs/stock-protocol.md#verbs-on-a-hold``).

A verb first writes at the bucket where the hold was placed. A refused write shows that bucket as it is. Where the
bucket has no entry of the hold, the verb looks the hold up from its home.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar

from chalicelib.errors import WriteConflict
from chalicelib.instants import UnixSeconds
from chalicelib.stock import expressions
from chalicelib.stock.bucket import Bucket, BucketEntry
from chalicelib.stock.expressions import Write
from chalicelib.stock.layout import home_of
from chalicelib.stock.model import (
    CommitResult,
    Committed,
    HoldGone,
    HoldRef,
    HoldStatus,
    OrderRef,
    Pool,
    RevertedToHold,
    RevertToHoldResult,
    StaleEpoch,
    Taken,
)
from chalicelib.stock.store import StockStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_Result = TypeVar("_Result")

_TRIES: Final = 5
"""Writes that a verb makes before it reports a write conflict: each refusal means that another write landed."""


class HoldVerbs:
    """The part of :class:`Stock` that changes one hold, or reads how holds are."""

    def __init__(self, dynamodb: DynamoDBClient, stock_table: str, commerce_table: str) -> None:
        self._store = StockStore(dynamodb, stock_table, commerce_table)

    def commit(
        self, pool: Pool, ref: HoldRef, keep: int, order: OrderRef, status: HoldStatus | None = None
    ) -> CommitResult:
        """Commit ``keep`` of the hold's units to the order at its epoch; make the surplus available. 1 WCU; repeatable.

        An expired hold that nobody reclaimed still buys. ``status`` is how an earlier read found the hold, where it
        differs from ``ref``: it saves a write that would be refused.
        """
        if not 1 <= keep <= ref.quantity:
            raise ValueError(f"cannot commit {keep} units of a hold of {ref.quantity}")
        number, seen = ref.bucket, BucketEntry(ref.quantity, ref.expires_at)
        if status is not None:
            number, seen = status.bucket, BucketEntry(status.quantity, status.expires_at, status.order)
            result = _commit_result(seen, keep, order)
            if result is not None:
                return result
        done: CommitResult = Committed(keep)
        return self._write_at_hold(
            pool,
            replace(ref, bucket=number),
            lambda entry: expressions.commit(ref.id, entry or seen, keep, order),
            lambda entry: _commit_result(entry, keep, order),
            done=done,
            gone=HoldGone(),
        )

    def revert_to_hold(self, pool: Pool, ref: HoldRef, order: OrderRef, expires_at: UnixSeconds) -> RevertToHoldResult:
        """Turn the order's units, committed or held, into a hold that ends at ``expires_at``. 1 WCU; repeatable.

        The hold carries the order's epoch, so that a commit of this epoch that lands later is refused.
        """

        def interpret(seen: BucketEntry) -> RevertToHoldResult | None:
            if not seen.has_units:
                return HoldGone()
            if seen.order is None or str(OrderRef(order.order_ref, 0)) <= seen.order <= str(order):
                return None
            return StaleEpoch() if seen.order.startswith(order.order_ref) else HoldGone()

        write = expressions.revert_to_hold(ref.id, order, expires_at)
        done: RevertToHoldResult = RevertedToHold(expires_at)
        return self._write_at_hold(pool, ref, lambda _: write, interpret, done=done, gone=HoldGone())

    def release(self, pool: Pool, ref: HoldRef, order: OrderRef | None = None) -> bool:
        """Make the units of a hold available, if it has no order or is of ``order`` at its epoch. 1 WCU; repeatable.

        True when the units are available, by this write or an earlier one. False when they belong to an order, or to
        another epoch of it.
        """

        def interpret(seen: BucketEntry) -> bool | None:
            if not seen.has_units:
                return True
            is_free = seen.is_held and seen.order is None
            return None if is_free or (order is not None and seen.order == str(order)) else False

        write = expressions.release(ref.id, order)
        return self._write_at_hold(pool, ref, lambda _: write, interpret, done=True, gone=True)

    def shrink(self, pool: Pool, ref: HoldRef, keep: int, expires_at: UnixSeconds | None = None) -> bool:
        """Reduce a hold of ``ref.quantity`` units to ``keep``, and set its end if one is given. 1 WCU; repeatable.

        False when the hold is gone, committed, or of another quantity.
        """
        if not 1 <= keep <= ref.quantity:
            raise ValueError(f"cannot shrink a hold of {ref.quantity} units to {keep}")

        def interpret(seen: BucketEntry) -> bool | None:
            if seen.is_held and seen.quantity == keep:
                return True
            return None if seen.is_held and seen.quantity == ref.quantity else False

        write = expressions.shrink(ref.id, ref.quantity, keep, expires_at)
        return self._write_at_hold(pool, ref, lambda _: write, interpret, done=True, gone=False)

    def restock(self, pool: Pool, ref: HoldRef, order: OrderRef, expected: int, remaining: int) -> bool:
        """Return committed units to stock, so that ``remaining`` of ``expected`` stay committed. 1 WCU; repeatable.

        At 0 a tombstone stays. False when the order does not have ``expected`` units committed at this epoch.
        """
        if not 0 <= remaining <= expected:
            raise ValueError(f"cannot restock from {expected} units to {remaining}")

        def interpret(seen: BucketEntry) -> bool | None:
            matches = seen.expires_at is None and seen.order == str(order)
            if matches and seen.quantity == remaining:
                return True
            return None if matches and seen.quantity == expected else False

        write = expressions.restock(ref.id, order, expected, remaining)
        return self._write_at_hold(pool, ref, lambda _: write, interpret, done=True, gone=False)

    def tombstone(self, pool: Pool, hold_id: str) -> bool:
        """Forbid a hold that is gone to return by a late take. False when the hold exists after all.

        Where home points to another bucket, that bucket gets its tombstone first, then home.
        """
        mark = BucketEntry(0)
        home = home_of(hold_id, pool)
        for _ in range(_TRIES):
            at_home = self._store.write(pool.pool_id, home, expressions.compare_and_set(hold_id, None, mark))
            own = None if at_home is None else at_home.holds.get(hold_id)
            if own is None or own.is_tombstone:
                return True
            if own.has_units:
                return False
            away = own.points_to if own.points_to is not None else home
            there = self._store.read_bucket(pool.pool_id, away, strong=True).holds.get(hold_id)
            if there is not None and there.has_units:
                return False
            if self._store.write(pool.pool_id, away, expressions.compare_and_set(hold_id, there, mark)) is not None:
                continue
            if self._store.write(pool.pool_id, home, expressions.compare_and_set(hold_id, own, mark)) is None:
                return True
        raise WriteConflict("Other requests are placing this hold. Retry later.")

    def release_orphan(self, pool: Pool, hold_id: str, seen: HoldStatus) -> bool:
        """Make the units of a hold that nobody owns available, if the hold is unchanged since ``seen``. 1 WCU.

        False when the hold was renewed, committed or moved meanwhile. Units that an order had leave a tombstone.
        Without it a late take could place the hold again, and a late commit of that order could take it.
        """
        entry = BucketEntry(seen.quantity, seen.expires_at, seen.order)
        write = expressions.release_orphan(hold_id, entry, leave_tombstone=seen.order is not None)
        return self._store.write(pool.pool_id, seen.bucket, write) is None

    def find_hold(self, pool: Pool, hold_id: str) -> Taken | None:
        """Find a hold that an earlier take placed: a strong read of its home (1 RCU), one more where home points on."""
        (status,) = self.get_hold_statuses([(pool, HoldRef(hold_id, home_of(hold_id, pool), 0, 0))])
        if status is None:
            return None
        hold = HoldRef(hold_id, status.bucket, status.quantity, status.expires_at or 0)
        return Taken(hold, replay=True, committed=status.expires_at is None)

    def get_hold_statuses(self, refs: Sequence[tuple[Pool, HoldRef]]) -> list[HoldStatus | None]:
        """Read how each hold is; None for a hold that is gone. Strong reads, 1 RCU a bucket, 100 buckets a call.

        A hold is looked up where it was placed, then at home, then where home points.
        """
        found: list[HoldStatus | None] = [None] * len(refs)
        wanted = {i: (pool.pool_id, ref.bucket) for i, (pool, ref) in enumerate(refs)}
        asked: set[tuple[int, str, int]] = set()
        while wanted:
            asked |= {(i, *place) for i, place in wanted.items()}
            buckets = self._store.read_buckets(wanted.values())
            onward: dict[int, tuple[str, int]] = {}
            for i, place in wanted.items():
                pool, ref = refs[i]
                own = buckets[place].holds.get(ref.id) if place in buckets else None
                if own is not None and own.has_units:
                    found[i] = HoldStatus(place[1], own.quantity, own.expires_at, own.order)
                else:
                    points_to = None if own is None else own.points_to
                    onward[i] = (pool.pool_id, home_of(ref.id, pool) if points_to is None else points_to)
            wanted = {i: place for i, place in onward.items() if (i, *place) not in asked}
        return found

    def _write_at_hold(
        self,
        pool: Pool,
        ref: HoldRef,
        write_for: Callable[[BucketEntry | None], Write],
        interpret: Callable[[BucketEntry], _Result | None],
        *,
        done: _Result,
        gone: _Result,
    ) -> _Result:
        """Write where the hold is.

        ``write_for`` makes the write from the entry that refused the one before (None: the first write).
        ``interpret`` says what such an entry means; None: write again where the entry is.
        """
        number, seen = ref.bucket, None
        for _ in range(_TRIES):
            existing = self._store.write(pool.pool_id, number, write_for(seen))
            if existing is None:
                return done
            located = self._locate(pool, ref, number, existing)
            if located is None:
                return gone
            number, seen = located
            result = interpret(seen)
            if result is not None:
                return result
        raise WriteConflict("Other requests are changing this hold. Retry later.")

    def _locate(self, pool: Pool, ref: HoldRef, number: int, existing: Bucket) -> tuple[int, BucketEntry] | None:
        """Find the hold's bucket and entry: in the bucket that refused the write, or where home says. None: gone."""
        entry = existing.holds.get(ref.id)
        home = home_of(ref.id, pool)
        if number != home and not _is_or_was_hold(entry):
            number, entry = home, self._store.read_bucket(pool.pool_id, home, strong=True).holds.get(ref.id)
        if entry is not None and entry.points_to is not None:
            number = entry.points_to
            entry = self._store.read_bucket(pool.pool_id, number, strong=True).holds.get(ref.id)
        return (number, entry) if entry is not None and _is_or_was_hold(entry) else None


def _commit_result(seen: BucketEntry, keep: int, order: OrderRef) -> CommitResult | None:
    """Say what a commit to the order comes to, as the hold is; None: it may be committed."""
    if seen.quantity < keep:
        return HoldGone()
    if seen.order is not None:
        if not seen.order.startswith(order.order_ref):
            return HoldGone()
        if seen.order == str(order) and seen.is_sold and seen.quantity == keep:
            return Committed(keep)
        if seen.order >= str(order):
            return StaleEpoch()
    return None


def _is_or_was_hold(entry: BucketEntry | None) -> bool:
    """Tell whether an entry has units, or had them before they returned to stock."""
    return entry is not None and (entry.has_units or entry.order is not None)
