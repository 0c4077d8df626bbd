"""Computation of the live summary of a pool: derived from its buckets, never incremented. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any

from chalicelib.instants import CLOCK_SKEW_SECONDS, SECOND, Instant, UnixSeconds
from chalicelib.stock.bucket import Bucket, BucketEntry
from chalicelib.stock.model import AllHeld, Busy, InsufficientUnits, SoldOut, Summary


def summarise(pool_id: str, buckets: Iterable[Bucket], before: Summary | None, now: Instant) -> Summary:
    """Add up buckets that were read from ``now`` on. ``sold_out_at`` stays while the pool stays sold out.

    The size is exact although a reading of several buckets is no snapshot: units that move between two buckets are
    counted where they belong. The committed units are not exact, so "sold out" needs two readings
    (:mod:`chalicelib.stock.summaries`).
    """
    seconds = now // SECOND
    size = available = held = sold = largest = 0
    largest_in: int | None = None
    open_buckets: list[int] = []
    expiries: list[UnixSeconds] = []
    for bucket in buckets:
        obtainable = bucket.obtainable(seconds)
        unexpired = [entry for entry in bucket.holds.values() if entry.is_held and not entry.is_expired(seconds)]
        size += bucket.size - bucket.net_moved_in
        available += obtainable
        held += sum(entry.quantity for entry in unexpired)
        sold += sum(entry.quantity for entry in bucket.holds.values() if entry.is_sold)
        expiries += [entry.expires_at for entry in unexpired if entry.expires_at is not None]
        if obtainable > 0:
            open_buckets.append(bucket.number)
        in_one_write = bucket.obtainable_in_one_write(seconds)
        if in_one_write > largest:
            largest, largest_in = in_one_write, bucket.number
    return Summary(
        pool_id=pool_id,
        size=size,
        available=available,
        held=held,
        sold=sold,
        open_buckets=tuple(sorted(open_buckets)),
        next_lapse_at=min(expiries, default=None),
        sold_out_at=_sold_out_at(size, sold, before, now),
        as_of=now,
        largest_obtainable=largest,
        fullest_bucket=largest_in,
    )


def combine_segments(parts: Collection[Summary], before: Summary | None, now: Instant) -> Summary:
    """Combine the summaries of a pool's segments, in their order."""
    first, *others = parts
    largest = max(parts, key=lambda part: part.largest_obtainable or 0)
    expiries = [part.next_lapse_at for part in parts if part.next_lapse_at is not None]
    size, sold = sum(part.size for part in parts), sum(part.sold for part in parts)
    return replace(
        first,
        size=size,
        available=sum(part.available for part in parts),
        held=sum(part.held for part in parts),
        sold=sold,
        open_buckets=sum((part.open_buckets for part in others), first.open_buckets),
        next_lapse_at=min(expiries, default=None),
        sold_out_at=_sold_out_at(size, sold, before, now),
        as_of=now,
        largest_obtainable=largest.largest_obtainable,
        fullest_bucket=largest.fullest_bucket,
    )


def _sold_out_at(size: int, sold: int, before: Summary | None, now: Instant) -> Instant | None:
    if size == 0 or sold != size:
        return None
    return before.sold_out_at if before is not None and before.sold_out else now


def summary_from_record(pool_id: str, record: Mapping[str, Any]) -> Summary:
    """Convert a record of :func:`summary_to_record`, the ``LIVE`` item of the pool, to a summary."""
    bits, first = int.from_bytes(record["open"], "little"), record.get("first") or 0
    return Summary(
        pool_id=pool_id,
        size=record["size"],
        available=record["available"],
        held=record["held"],
        sold=record["sold"],
        open_buckets=tuple(first + number for number in range(bits.bit_length()) if bits >> number & 1),
        next_lapse_at=record.get("next_lapse_at"),
        sold_out_at=record.get("sold_out_at"),
        as_of=record["as_of"],
        largest_obtainable=record.get("largest"),
        fullest_bucket=record.get("largest_in"),
    )


def summary_to_record(summary: Summary, first: int = 0) -> dict[str, Any]:
    """Convert a summary to a record. Open buckets are a bitmap from bucket ``first`` on: 50 bytes for 400."""
    bits = sum(1 << number - first for number in summary.open_buckets)
    return {
        "size": summary.size,
        "available": summary.available,
        "held": summary.held,
        "sold": summary.sold,
        "open": bits.to_bytes(max(1, (bits.bit_length() + 7) // 8), "little"),
        "first": first or None,
        "next_lapse_at": summary.next_lapse_at,
        "sold_out_at": summary.sold_out_at,
        "as_of": summary.as_of,
        "largest": summary.largest_obtainable,
        "largest_in": summary.fullest_bucket,
    }


def has_expired_hold(summary: Summary, now: Instant) -> bool:
    """Tell whether a hold that the summary counts has expired: an expiry writes nothing, so a refresh must find it."""
    return summary.next_lapse_at is not None and BucketEntry(1, summary.next_lapse_at).is_expired(now // SECOND)


def refusal(
    summary: Summary, quantity: int, now: Instant, retry_after_ms: int
) -> SoldOut | AllHeld | InsufficientUnits | Busy | None:
    """Say why nobody can take ``quantity`` units, by this summary; None when somebody may.

    The answer is sold out only when every unit is committed. No *available* unit proves nothing: buckets are read one
    after another, and a unit may move from a bucket not yet read to one already read.
    """
    if summary.sold_out_at is not None:
        return SoldOut()
    if has_expired_hold(summary, now):
        return None
    if summary.available == 0 and summary.next_lapse_at is not None:
        return AllHeld(summary.next_lapse_at + CLOCK_SKEW_SECONDS + 1)
    if summary.available == 0:
        return Busy(retry_after_ms)
    if summary.largest_obtainable is not None and 0 < summary.largest_obtainable < quantity:
        return InsufficientUnits(summary.largest_obtainable)
    return None
