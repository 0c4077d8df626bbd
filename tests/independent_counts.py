"""Count units in stored buckets and in purchases without the product's rules, so that a test can contradict them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from chalicelib.purchase import Purchase

CLOCK_SKEW_SECONDS = 2
"""Other buyers may take a hold only this long after its end (Invariant 2b)."""

StoredBucket = Mapping[str, Any]
StoredEntry = Mapping[str, Any]


def is_held(entry: StoredEntry) -> bool:
    """Whether a stored entry has units with an end."""
    return entry["q"] > 0 and "u" in entry


def is_sold(entry: StoredEntry) -> bool:
    """Whether a stored entry has units without an end."""
    return entry["q"] > 0 and "u" not in entry


def has_expired(entry: StoredEntry, now_seconds: int) -> bool:
    """Whether other buyers may take an entry's units."""
    return is_held(entry) and entry["u"] + CLOCK_SKEW_SECONDS < now_seconds


def units_add_up(bucket: StoredBucket) -> bool:
    """Whether available units and those of entries make the bucket's size, and none is negative (Invariant 1a)."""
    units = [entry["q"] for entry in bucket["h"].values()]
    return bucket["a"] >= 0 and min(units, default=0) >= 0 and bucket["a"] + sum(units) == bucket["s"]


def unsold_units(bucket: StoredBucket) -> int:
    """Count a bucket's units that are available or held."""
    held: int = sum(entry["q"] for entry in bucket["h"].values() if is_held(entry))
    return int(bucket["a"]) + held


def units_by_drop(purchase: Purchase) -> dict[str, int]:
    """Count the units of each drop that an order has: those bought, less those that refunds restocked.

    A refund restocks when it is done. A failure later takes no unit out of stock again.
    """
    drops = {line.id: line.drop_id for line in purchase.lines}
    units: Counter[str] = Counter()
    for line in purchase.lines:
        units[line.drop_id] += line.quantity
    for refund in purchase.refunds:
        for part in refund.lines if refund.restock and refund.completed_at is not None else ():
            units[drops[part.line_id]] -= part.quantity - part.already_restocked
    return {drop: count for drop, count in units.items() if count}
