"""The sequential specification of one bucket: the answer and the state after each verb without concurrency.

It is written from infra/docs/stock-protocol.md#verbs-on-a-hold and not from the code. It has no expressions, retries or
pointers: a drop of one bucket has no holds away from home.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from chalicelib.stock import Committed, HoldGone, OrderRef, RevertedToHold, StaleEpoch
from tests.independent_counts import CLOCK_SKEW_SECONDS
from tests.races.linearizability import RecordedOperation


@dataclass(frozen=True, slots=True)
class HoldState:
    """The units of a hold id: held until an instant, or sold (None), and perhaps of an order. A tombstone has none."""

    quantity: int
    expires_at: int | None = None
    order: str | None = None


@dataclass(frozen=True, slots=True)
class BucketState:
    """One bucket: available units, holds sorted by id, so that equal buckets are equal, and the last stock plan."""

    available: int
    holds: tuple[tuple[str, HoldState], ...] = ()
    plan: int = 0

    def find(self, name: str) -> HoldState | None:
        return dict(self.holds).get(name)

    def with_hold(self, name: str, hold: HoldState | None, returned_units: int) -> BucketState:
        """Return the bucket with the entry ``name`` replaced and ``returned_units`` more available."""
        others = {other: one for other, one in self.holds if other != name}
        holds = others if hold is None else others | {name: hold}
        return replace(
            self, available=self.available + returned_units, holds=tuple(sorted(holds.items(), key=lambda one: one[0]))
        )


@dataclass(frozen=True, slots=True)
class Operation:
    """A verb on a hold id. ``quantity`` is wanted, kept or left. ``believed`` is what the buyer believes to have."""

    verb: str
    name: str = ""
    quantity: int = 0
    believed: int = 0
    order: OrderRef | None = None
    expires_at: int = 0
    now: int = 0
    plan: int = 0


REFUSED = "refused"
"""Any refusal of a take. It rests on a summary of at most one second, and changes nothing."""


def bucket_spec(bucket: BucketState, event: RecordedOperation) -> Iterator[BucketState]:
    """Yield the buckets after an operation, if its answer can be right."""
    operation: Operation = event.operation
    for answer, after in _VERBS[operation.verb](bucket, operation):
        if not event.answered or event.answer == answer:
            yield after


_Outcome = tuple[Any, BucketState]


def _take(bucket: BucketState, operation: Operation) -> Iterator[_Outcome]:
    """Yield answers ``(quantity, expires_at, sold)``, or a refusal."""
    yield REFUSED, bucket
    own = bucket.find(operation.name)
    if own is None:
        held = (operation.quantity, operation.expires_at, False)
        for reclaimed in _reclaim_choices(bucket, operation.now):
            freed = sum(hold.quantity for _, hold in reclaimed)
            if bucket.available + freed >= operation.quantity:
                after = bucket
                for name, hold in reclaimed:
                    after = after.with_hold(name, None, hold.quantity)
                yield (
                    held,
                    after.with_hold(
                        operation.name, HoldState(operation.quantity, operation.expires_at), -operation.quantity
                    ),
                )
    elif own.quantity:
        expires_at = operation.expires_at if own.expires_at is None else own.expires_at
        yield (own.quantity, expires_at, own.expires_at is None), bucket


def _reclaim_choices(bucket: BucketState, now: int) -> Iterator[tuple[tuple[str, HoldState], ...]]:
    """Yield the sets of expired holds that a take may reclaim: any subset."""
    expired = [
        (name, hold)
        for name, hold in bucket.holds
        if hold.quantity and hold.expires_at is not None and hold.expires_at + CLOCK_SKEW_SECONDS < now
    ]
    for count in range(len(expired) + 1):
        yield from combinations(expired, count)


def _commit(bucket: BucketState, operation: Operation) -> Iterator[_Outcome]:
    own, order = bucket.find(operation.name), operation.order
    assert order is not None
    if own is None or own.quantity < operation.quantity or _is_of_another_order(own, order):
        yield HoldGone(), bucket
    elif own == HoldState(operation.quantity, None, str(order)):
        yield Committed(operation.quantity), bucket
    elif own.order is not None and own.order >= str(order):
        yield StaleEpoch(), bucket
    else:
        surplus = own.quantity - operation.quantity
        yield (
            Committed(operation.quantity),
            bucket.with_hold(operation.name, HoldState(operation.quantity, None, str(order)), surplus),
        )


def _is_of_another_order(hold: HoldState, order: OrderRef) -> bool:
    return hold.order is not None and not hold.order.startswith(order.order_ref)


def _revert_to_hold(bucket: BucketState, operation: Operation) -> Iterator[_Outcome]:
    own, order = bucket.find(operation.name), operation.order
    assert order is not None
    if own is None or not own.quantity or _is_of_another_order(own, order):
        yield HoldGone(), bucket
    elif own.order is not None and own.order > str(order):
        yield StaleEpoch(), bucket
    else:
        yield (
            RevertedToHold(operation.expires_at),
            bucket.with_hold(operation.name, HoldState(own.quantity, operation.expires_at, str(order)), 0),
        )


def _release(bucket: BucketState, operation: Operation) -> Iterator[_Outcome]:
    own = bucket.find(operation.name)
    if own is None or not own.quantity:
        yield True, bucket
    elif (own.expires_at is not None and own.order is None) or (
        operation.order is not None and own.order == str(operation.order)
    ):
        yield True, bucket.with_hold(operation.name, None, own.quantity)
    else:
        yield False, bucket


def _shrink(bucket: BucketState, operation: Operation) -> Iterator[_Outcome]:
    own = bucket.find(operation.name)
    if (
        own is None
        or not own.quantity
        or own.expires_at is None
        or own.quantity not in (operation.believed, operation.quantity)
    ):
        yield False, bucket
    else:
        yield (
            True,
            bucket.with_hold(
                operation.name, replace(own, quantity=operation.quantity), own.quantity - operation.quantity
            ),
        )


def _restock(bucket: BucketState, operation: Operation) -> Iterator[_Outcome]:
    own = bucket.find(operation.name)
    is_sold_to_order = own is not None and own.expires_at is None and own.order == str(operation.order)
    if own is None or not is_sold_to_order or own.quantity not in (operation.believed, operation.quantity):
        yield False, bucket
    else:
        yield (
            True,
            bucket.with_hold(
                operation.name, replace(own, quantity=operation.quantity), own.quantity - operation.quantity
            ),
        )


def _tombstone(bucket: BucketState, operation: Operation) -> Iterator[_Outcome]:
    own = bucket.find(operation.name)
    if own is None:
        yield True, bucket.with_hold(operation.name, HoldState(0), 0)
    else:
        yield not own.quantity, bucket


def _add(bucket: BucketState, operation: Operation) -> Iterator[_Outcome]:
    if operation.plan > bucket.plan:
        yield True, replace(bucket, available=bucket.available + operation.quantity, plan=operation.plan)
    else:
        yield True, bucket


def _read(bucket: BucketState, operation: Operation) -> Iterator[_Outcome]:
    yield bucket, bucket


_VERBS: Mapping[str, Any] = {
    "take": _take,
    "commit": _commit,
    "revert_to_hold": _revert_to_hold,
    "release": _release,
    "shrink": _shrink,
    "restock": _restock,
    "tombstone": _tombstone,
    "add": _add,
    "read": _read,
}
