"""Every conditional write on a bucket, as values: what it changes, on what condition, each condition named.

Every hold id is a placeholder, as ids may begin with ``-``. No ``SET`` has three operands and no path is both set and
removed: DynamoDB refuses both, although an emulator may not. All cost 1 WCU while the bucket is under 1 KB.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chalicelib.instants import UnixSeconds
from chalicelib.stock.bucket import MAX_ENTRIES, Bucket, BucketEntry, HasRoom
from chalicelib.stock.model import OrderRef

KEY: Final = "pk"
# Attribute names of a bucket, short because 24 holds have to fit into one write unit.
AVAILABLE: Final = "a"
SIZE: Final = "s"
HOLDS: Final = "h"
PLAN: Final = "p"
WITHDRAWN: Final = "w"
NET_MOVED_IN: Final = "m"
# ... and of an entry in its holds.
QUANTITY: Final = "q"
EXPIRES_AT: Final = "u"
ORDER: Final = "o"
POINTS_TO: Final = "f"
VERSION: Final = "v"

_OWN = f"{HOLDS}.#h"
_NO_OWN_ENTRY = f"attribute_not_exists({_OWN})"
_AS_SEEN = f"{_OWN} = :seen"
_HAS_UNITS = f"{_OWN}.{QUANTITY} > :zero"
_NO_UNITS = f"{_OWN}.{QUANTITY} = :zero"
_HAS_EXPIRY = f"attribute_exists({_OWN}.{EXPIRES_AT})"
_NO_EXPIRY = f"attribute_not_exists({_OWN}.{EXPIRES_AT})"
_NO_ORDER = f"attribute_not_exists({_OWN}.{ORDER})"
_ORDER_NOT_LATER = f"{_OWN}.{ORDER} BETWEEN :first AND :order"  # one order's references differ in the epoch alone
_ORDER_AT_EPOCH = f"{_OWN}.{ORDER} = :order"
_QUANTITY_AS_SEEN = f"{_OWN}.{QUANTITY} = :quantity"
_BELOW_MAX_ENTRIES = f"size({HOLDS}) < :room"
_ENOUGH_AVAILABLE = f"{AVAILABLE} >= :needed"
_PLAN_NOT_APPLIED = f"(attribute_not_exists({PLAN}) OR {PLAN} < :plan)"
_ZERO: Final = {":zero": 0}


def entry_to_record(entry: BucketEntry) -> dict[str, Any]:
    """An entry as the map that stands in the bucket, whole: equality with it is equality with everything in it."""
    record = {
        QUANTITY: entry.quantity,
        EXPIRES_AT: entry.expires_at,
        ORDER: entry.order,
        POINTS_TO: entry.points_to,
        VERSION: entry.version,
    }
    return {name: value for name, value in record.items() if value is not None}


def _entry_from_record(record: Mapping[str, Any]) -> BucketEntry:
    get = record.get
    return BucketEntry(record[QUANTITY], get(EXPIRES_AT), get(ORDER), get(POINTS_TO), get(VERSION))


def bucket_from_record(record: Mapping[str, Any]) -> Bucket:
    """A bucket's record as it was read."""
    holds = {hold_id: _entry_from_record(entry) for hold_id, entry in record[HOLDS].items()}
    number = int(record[KEY].rpartition("#")[2])
    size, available, get = record[SIZE], record[AVAILABLE], record.get
    return Bucket(number, size, available, holds, get(PLAN), get(WITHDRAWN, 0), get(NET_MOVED_IN, 0))


@dataclass(frozen=True, slots=True)
class Write:
    """One conditional write on one bucket."""

    update: str
    condition: str
    values: Mapping[str, Any]
    names: Mapping[str, str] = field(default_factory=dict)


def add_units(plan: int, units: int) -> Write:
    """Add units by a numbered plan, once."""
    return Write(
        f"SET {AVAILABLE} = {AVAILABLE} + :units, {SIZE} = {SIZE} + :units, {PLAN} = :plan",
        f"attribute_exists({KEY}) AND {_PLAN_NOT_APPLIED}",
        {":units": units, ":plan": plan},
    )


def withdraw(plan: int, units: int, reclaim: Mapping[str, BucketEntry]) -> Write:
    """Take units out of a bucket by a numbered plan, once, and write down how many: whoever repeats it has to know."""
    reclaimed = _Reclaims(reclaim)
    return Write(
        f"SET {AVAILABLE} = {AVAILABLE} + :net, {SIZE} = {SIZE} - :units, {PLAN} = :plan, {WITHDRAWN} = :units"
        f"{reclaimed.removal}",
        " AND ".join([_ENOUGH_AVAILABLE, _PLAN_NOT_APPLIED, *reclaimed.conditions]),
        {":units": units, ":plan": plan, **reclaimed.sums(units), **reclaimed.values},
        reclaimed.names,
    )


def reclaim_expired(reclaim: Mapping[str, BucketEntry]) -> Write:
    """Make the units of lapsed holds available."""
    reclaimed = _Reclaims(reclaim)
    freed = {":freed": reclaimed.sums(0)[":net"]}
    update = f"SET {AVAILABLE} = {AVAILABLE} + :freed{reclaimed.removal}"
    return Write(update, " AND ".join(reclaimed.conditions), {**freed, **reclaimed.values}, reclaimed.names)


# Raking: both in one transaction.


def move_out(units: int, reclaim: Mapping[str, BucketEntry]) -> Write:
    """Units leave for another bucket."""
    reclaimed = _Reclaims(reclaim)
    return Write(
        f"SET {AVAILABLE} = {AVAILABLE} + :net, {SIZE} = {SIZE} - :units, "
        f"{NET_MOVED_IN} = if_not_exists({NET_MOVED_IN}, :zero) - :units{reclaimed.removal}",
        " AND ".join([_ENOUGH_AVAILABLE, *reclaimed.conditions]),
        {":units": units, **_ZERO, **reclaimed.sums(units), **reclaimed.values},
        reclaimed.names,
    )


def move_in(units: int) -> Write:
    """Units arrive from other buckets."""
    return Write(
        f"SET {AVAILABLE} = {AVAILABLE} + :units, {SIZE} = {SIZE} + :units, "
        f"{NET_MOVED_IN} = if_not_exists({NET_MOVED_IN}, :zero) + :units",
        f"attribute_exists({KEY})",
        {":units": units, **_ZERO},
    )


# Taking.


class _Reclaims:
    """The part of a write that takes lapsed holds over: each is compared whole, so that one sold, renewed or taken anew
    in between refuses the write."""

    def __init__(self, reclaim: Mapping[str, BucketEntry]) -> None:
        self.names = {f"#e{i}": hold_id for i, hold_id in enumerate(reclaim)}
        self.values = {f":e{i}": entry_to_record(entry) for i, entry in enumerate(reclaim.values())}
        self.conditions = [f"{HOLDS}.#e{i} = :e{i}" for i in range(len(reclaim))]
        self.removal = " REMOVE " + ", ".join(f"{HOLDS}.{name}" for name in self.names) if reclaim else ""
        self._freed = sum(entry.quantity for entry in reclaim.values())

    def sums(self, units: int) -> dict[str, int]:
        """What becomes available beyond what goes, and what has to be there before."""
        return {":net": self._freed - units, ":needed": units - self._freed}


def place_hold(hold_id: str, hold: BucketEntry, room: HasRoom) -> Write:
    """Take ``hold``'s units, in the same write taking over lapsed holds and replacing our own entry."""
    reclaimed = _Reclaims(room.reclaim)
    values = {":hold": entry_to_record(hold), **reclaimed.sums(hold.quantity), **reclaimed.values}
    if room.replacing is None:
        conditions = [_ENOUGH_AVAILABLE, _NO_OWN_ENTRY, _BELOW_MAX_ENTRIES, *reclaimed.conditions]
        values[":room"] = MAX_ENTRIES
    else:
        conditions = [_ENOUGH_AVAILABLE, _AS_SEEN, *reclaimed.conditions]
        values[":seen"] = entry_to_record(room.replacing)
    return Write(
        f"SET {AVAILABLE} = {AVAILABLE} + :net, {_OWN} = :hold{reclaimed.removal}",
        " AND ".join(conditions),
        values,
        {"#h": hold_id, **reclaimed.names},
    )


def compare_and_set(hold_id: str, seen: BucketEntry | None, entry: BucketEntry) -> Write:
    """Put our own entry in place of one with as many units, if that is, whole, what was ``seen``; None: no entry."""
    values = {":entry": entry_to_record(entry)}
    if seen is not None:
        values[":seen"] = entry_to_record(seen)
    return Write(f"SET {_OWN} = :entry", _NO_OWN_ENTRY if seen is None else _AS_SEEN, values, {"#h": hold_id})


def set_pointer(hold_id: str, pointer: BucketEntry, max_entries: int) -> Write:
    """Leave home: forbid a take there and name the only other bucket, in one write, while it has less than ``room``."""
    values = {":pointer": entry_to_record(pointer), ":room": max_entries}
    return Write(f"SET {_OWN} = :pointer", f"{_NO_OWN_ENTRY} AND {_BELOW_MAX_ENTRIES}", values, {"#h": hold_id})


def set_fence(hold_id: str, expires_at: UnixSeconds) -> Write:
    """Forbid a take at a bucket that is being left; a fence that stands is prolonged."""
    values = {":fence": entry_to_record(BucketEntry(0, expires_at)), ":room": MAX_ENTRIES, **_ZERO}
    condition = f"({_NO_OWN_ENTRY} AND {_BELOW_MAX_ENTRIES}) OR ({_NO_UNITS} AND {_HAS_EXPIRY})"
    return Write(f"SET {_OWN} = :fence", condition, values, {"#h": hold_id})


def remove_entries(entries: Mapping[str, BucketEntry]) -> Write:
    """Remove entries without units, each compared whole."""
    removed = _Reclaims(entries)
    return Write(removed.removal.strip(), " AND ".join(removed.conditions), removed.values, removed.names)


# Verbs on a hold.


def commit(hold_id: str, seen: BucketEntry, keep: int, order: OrderRef) -> Write:
    """Give ``keep`` of the units to the order and the rest back, if the hold is, whole, what was ``seen``."""
    committed = entry_to_record(BucketEntry(keep, order=str(order)))
    return Write(
        f"SET {_OWN} = :sold, {AVAILABLE} = {AVAILABLE} + :surplus",
        _AS_SEEN,
        {":sold": committed, ":surplus": seen.quantity - keep, ":seen": entry_to_record(seen)},
        {"#h": hold_id},
    )


def revert_to_hold(hold_id: str, order: OrderRef, expires_at: UnixSeconds) -> Write:
    """Give units an end, at the order's epoch, unless the order has gone on to a later one."""
    return Write(
        f"SET {_OWN}.{EXPIRES_AT} = :until, {_OWN}.{ORDER} = :order",
        f"{_HAS_UNITS} AND ({_NO_ORDER} OR {_ORDER_NOT_LATER})",
        {":until": expires_at, ":order": str(order), ":first": str(OrderRef(order.order_ref, 0)), **_ZERO},
        {"#h": hold_id},
    )


def release(hold_id: str, order: OrderRef | None) -> Write:
    """Units back: of a hold that no order has, or of what ``order`` has at its very epoch."""
    values: dict[str, Any] = dict(_ZERO)
    free_to_go = f"({_HAS_EXPIRY} AND {_NO_ORDER})"
    if order is not None:
        free_to_go = f"({free_to_go} OR {_ORDER_AT_EPOCH})"
        values[":order"] = str(order)
    return Write(
        f"SET {AVAILABLE} = {AVAILABLE} + {_OWN}.{QUANTITY} REMOVE {_OWN}",
        f"{_HAS_UNITS} AND {free_to_go}",
        values,
        {"#h": hold_id},
    )


def release_orphan(hold_id: str, seen: BucketEntry, *, leave_tombstone: bool) -> Write:
    """Units back, if the hold is, whole, what was ``seen``; ``for_good`` leaves a dead mark."""
    values: dict[str, Any] = {":seen": entry_to_record(seen), ":back": seen.quantity}
    update = f"SET {AVAILABLE} = {AVAILABLE} + :back"
    if leave_tombstone:
        update += f", {_OWN} = :dead"
        values[":dead"] = entry_to_record(BucketEntry(0))
    else:
        update += f" REMOVE {_OWN}"
    return Write(update, _AS_SEEN, values, {"#h": hold_id})


def shrink(hold_id: str, seen: int, keep: int, expires_at: UnixSeconds | None) -> Write:
    """Units of a hold back, so that ``keep`` are left."""
    values = {":back": seen - keep, ":keep": keep, ":quantity": seen}
    update = f"SET {AVAILABLE} = {AVAILABLE} + :back, {_OWN}.{QUANTITY} = :keep"
    if expires_at is not None:
        update += f", {_OWN}.{EXPIRES_AT} = :until"
        values[":until"] = expires_at
    return Write(update, f"{_QUANTITY_AS_SEEN} AND {_HAS_EXPIRY}", values, {"#h": hold_id})


def restock(hold_id: str, order: OrderRef, expected: int, remaining: int) -> Write:
    """Sold units back, so that ``left`` are sold; 0 leaves a dead mark."""
    return Write(
        f"SET {AVAILABLE} = {AVAILABLE} + :back, {_OWN}.{QUANTITY} = :left",
        f"{_ORDER_AT_EPOCH} AND {_QUANTITY_AS_SEEN} AND {_NO_EXPIRY}",
        {":back": expected - remaining, ":left": remaining, ":order": str(order), ":quantity": expected},
        {"#h": hold_id},
    )
