"""Every conditional write on a bucket, as a value: its update and its condition. Each condition has a name.

Every hold id is a placeholder, as ids may begin with ``-``. No ``SET`` has three operands and no path is both set and
removed: DynamoDB refuses both, although an emulator may not. Each write costs 1 WCU while the bucket is under 1 KB.
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
_BELOW_MAX_ENTRIES = f"size({HOLDS}) < :max_entries"
_ENOUGH_AVAILABLE = f"{AVAILABLE} >= :needed"
_PLAN_NOT_APPLIED = f"(attribute_not_exists({PLAN}) OR {PLAN} < :plan)"
_ZERO: Final = {":zero": 0}


def entry_to_record(entry: BucketEntry) -> dict[str, Any]:
    """Convert an entry to the map that the bucket stores. A condition compares the whole map."""
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
    """Convert a stored record to a bucket."""
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
    """Add units by a numbered adjustment, once."""
    return Write(
        f"SET {AVAILABLE} = {AVAILABLE} + :units, {SIZE} = {SIZE} + :units, {PLAN} = :plan",
        f"attribute_exists({KEY}) AND {_PLAN_NOT_APPLIED}",
        {":units": units, ":plan": plan},
    )


def withdraw(plan: int, units: int, reclaim: Mapping[str, BucketEntry]) -> Write:
    """Take units out of a bucket by a numbered adjustment, once, and store how many: a repeat has to know."""
    reclaimed = _Reclaims(reclaim)
    return Write(
        f"SET {AVAILABLE} = {AVAILABLE} + :net, {SIZE} = {SIZE} - :units, {PLAN} = :plan, {WITHDRAWN} = :units"
        f"{reclaimed.removal}",
        " AND ".join([_ENOUGH_AVAILABLE, _PLAN_NOT_APPLIED, *reclaimed.conditions]),
        {":units": units, ":plan": plan, **reclaimed.sums(units), **reclaimed.values},
        reclaimed.names,
    )


def reclaim_expired(reclaim: Mapping[str, BucketEntry]) -> Write:
    """Make the units of expired holds available."""
    reclaimed = _Reclaims(reclaim)
    freed = {":freed": reclaimed.sums(0)[":net"]}
    update = f"SET {AVAILABLE} = {AVAILABLE} + :freed{reclaimed.removal}"
    return Write(update, " AND ".join(reclaimed.conditions), {**freed, **reclaimed.values}, reclaimed.names)


# Consolidation: both in one transaction.


def move_out(units: int, reclaim: Mapping[str, BucketEntry]) -> Write:
    """Take units out of a bucket for another one."""
    reclaimed = _Reclaims(reclaim)
    return Write(
        f"SET {AVAILABLE} = {AVAILABLE} + :net, {SIZE} = {SIZE} - :units, "
        f"{NET_MOVED_IN} = if_not_exists({NET_MOVED_IN}, :zero) - :units{reclaimed.removal}",
        " AND ".join([_ENOUGH_AVAILABLE, *reclaimed.conditions]),
        {":units": units, **_ZERO, **reclaimed.sums(units), **reclaimed.values},
        reclaimed.names,
    )


def move_in(units: int) -> Write:
    """Add units that leave other buckets."""
    return Write(
        f"SET {AVAILABLE} = {AVAILABLE} + :units, {SIZE} = {SIZE} + :units, "
        f"{NET_MOVED_IN} = if_not_exists({NET_MOVED_IN}, :zero) + :units",
        f"attribute_exists({KEY})",
        {":units": units, **_ZERO},
    )


# Placing a hold.


class _Reclaims:
    """The part of a write that reclaims expired holds.

    Each entry is compared whole. One that was committed, renewed or placed again in between refuses the write.
    """

    def __init__(self, reclaim: Mapping[str, BucketEntry]) -> None:
        self.names = {f"#e{i}": hold_id for i, hold_id in enumerate(reclaim)}
        self.values = {f":e{i}": entry_to_record(entry) for i, entry in enumerate(reclaim.values())}
        self.conditions = [f"{HOLDS}.#e{i} = :e{i}" for i in range(len(reclaim))]
        self.removal = " REMOVE " + ", ".join(f"{HOLDS}.{name}" for name in self.names) if reclaim else ""
        self._freed = sum(entry.quantity for entry in reclaim.values())

    def sums(self, units: int) -> dict[str, int]:
        """Return ``:net``, the change of available units, and ``:needed``, the units that must be available before."""
        return {":net": self._freed - units, ":needed": units - self._freed}


def place_hold(hold_id: str, hold: BucketEntry, room: HasRoom) -> Write:
    """Place a hold. The same write reclaims expired holds, and replaces the hold's own entry where there is one."""
    reclaimed = _Reclaims(room.reclaim)
    values = {":hold": entry_to_record(hold), **reclaimed.sums(hold.quantity), **reclaimed.values}
    if room.replacing is None:
        conditions = [_ENOUGH_AVAILABLE, _NO_OWN_ENTRY, _BELOW_MAX_ENTRIES, *reclaimed.conditions]
        values[":max_entries"] = MAX_ENTRIES
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
    """Replace the hold's own entry, if it still equals ``seen`` (None: no entry). Both have as many units."""
    values = {":entry": entry_to_record(entry)}
    if seen is not None:
        values[":seen"] = entry_to_record(seen)
    return Write(f"SET {_OWN} = :entry", _NO_OWN_ENTRY if seen is None else _AS_SEEN, values, {"#h": hold_id})


def set_pointer(hold_id: str, pointer: BucketEntry, max_entries: int) -> Write:
    """Name the only other bucket that may accept the hold, while home has less than ``max_entries`` entries.

    The same write forbids a take at home, as home has an entry then.
    """
    values = {":pointer": entry_to_record(pointer), ":max_entries": max_entries}
    return Write(f"SET {_OWN} = :pointer", f"{_NO_OWN_ENTRY} AND {_BELOW_MAX_ENTRIES}", values, {"#h": hold_id})


def set_fence(hold_id: str, expires_at: UnixSeconds) -> Write:
    """Forbid a take at a bucket that the pointer leaves; extend a fence that is there."""
    values = {":fence": entry_to_record(BucketEntry(0, expires_at)), ":max_entries": MAX_ENTRIES, **_ZERO}
    condition = f"({_NO_OWN_ENTRY} AND {_BELOW_MAX_ENTRIES}) OR ({_NO_UNITS} AND {_HAS_EXPIRY})"
    return Write(f"SET {_OWN} = :fence", condition, values, {"#h": hold_id})


def remove_entries(entries: Mapping[str, BucketEntry]) -> Write:
    """Remove entries without units, if each still equals what was read."""
    removed = _Reclaims(entries)
    return Write(removed.removal.strip(), " AND ".join(removed.conditions), removed.values, removed.names)


# Verbs on a hold.


def commit(hold_id: str, seen: BucketEntry, keep: int, order: OrderRef) -> Write:
    """Commit ``keep`` units to the order and make the rest available, if the entry still equals ``seen``."""
    committed = entry_to_record(BucketEntry(keep, order=str(order)))
    return Write(
        f"SET {_OWN} = :committed, {AVAILABLE} = {AVAILABLE} + :surplus",
        _AS_SEEN,
        {":committed": committed, ":surplus": seen.quantity - keep, ":seen": entry_to_record(seen)},
        {"#h": hold_id},
    )


def revert_to_hold(hold_id: str, order: OrderRef, expires_at: UnixSeconds) -> Write:
    """Give units an end, at the order's epoch, unless they are at a later epoch of it."""
    return Write(
        f"SET {_OWN}.{EXPIRES_AT} = :expires_at, {_OWN}.{ORDER} = :order",
        f"{_HAS_UNITS} AND ({_NO_ORDER} OR {_ORDER_NOT_LATER})",
        {":expires_at": expires_at, ":order": str(order), ":first": str(OrderRef(order.order_ref, 0)), **_ZERO},
        {"#h": hold_id},
    )


def release(hold_id: str, order: OrderRef | None) -> Write:
    """Make the units of a hold available, if it has no order or is of ``order`` at this very epoch."""
    values: dict[str, Any] = dict(_ZERO)
    may_go = f"({_HAS_EXPIRY} AND {_NO_ORDER})"
    if order is not None:
        may_go = f"({may_go} OR {_ORDER_AT_EPOCH})"
        values[":order"] = str(order)
    return Write(
        f"SET {AVAILABLE} = {AVAILABLE} + {_OWN}.{QUANTITY} REMOVE {_OWN}",
        f"{_HAS_UNITS} AND {may_go}",
        values,
        {"#h": hold_id},
    )


def release_orphan(hold_id: str, seen: BucketEntry, *, leave_tombstone: bool) -> Write:
    """Make the units of a hold available, if its entry still equals ``seen``."""
    values: dict[str, Any] = {":seen": entry_to_record(seen), ":freed": seen.quantity}
    update = f"SET {AVAILABLE} = {AVAILABLE} + :freed"
    if leave_tombstone:
        update += f", {_OWN} = :tombstone"
        values[":tombstone"] = entry_to_record(BucketEntry(0))
    else:
        update += f" REMOVE {_OWN}"
    return Write(update, _AS_SEEN, values, {"#h": hold_id})


def shrink(hold_id: str, seen: int, keep: int, expires_at: UnixSeconds | None) -> Write:
    """Make units of a hold available, so that ``keep`` stay held."""
    values = {":freed": seen - keep, ":keep": keep, ":quantity": seen}
    update = f"SET {AVAILABLE} = {AVAILABLE} + :freed, {_OWN}.{QUANTITY} = :keep"
    if expires_at is not None:
        update += f", {_OWN}.{EXPIRES_AT} = :expires_at"
        values[":expires_at"] = expires_at
    return Write(update, f"{_QUANTITY_AS_SEEN} AND {_HAS_EXPIRY}", values, {"#h": hold_id})


def restock(hold_id: str, order: OrderRef, expected: int, remaining: int) -> Write:
    """Return committed units to stock, so that ``remaining`` stay committed; 0 leaves a tombstone."""
    return Write(
        f"SET {AVAILABLE} = {AVAILABLE} + :freed, {_OWN}.{QUANTITY} = :remaining",
        f"{_ORDER_AT_EPOCH} AND {_QUANTITY_AS_SEEN} AND {_NO_EXPIRY}",
        {":freed": expected - remaining, ":remaining": remaining, ":order": str(order), ":quantity": expected},
        {"#h": hold_id},
    )
