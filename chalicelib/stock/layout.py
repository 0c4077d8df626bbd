"""The layout of units in buckets, the ids of holds and their homes. Pure."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from chalicelib.stock.model import Pool

HOLDS_PER_BUCKET: Final = 24
"""24 holds leave room for nine pointers under 1,024 bytes. Where all buyers take 2, 3 or 4, no fragment stays."""

_MAX_HOLDS_PER_BUCKET: Final = 1_000
"""Holds that a bucket may have after stock adjustments."""

_MAX_PLANNED_HOLDS: Final = 28
"""Holds planned for a bucket, at most, to keep a pool unsegmented. 30 committed holds fit into 1 KB."""

MAX_BUCKETS_UNSEGMENTED: Final = 400
"""Buckets up to which a summary is recomputed whole, which takes 0.2 s."""

_LOTS_PER_DEAL: Final = 12
"""Units are dealt to buckets in twelves of the usual quantity: buyers of 2, 3 or 4 empty such a bucket."""

_HASH_BYTES: Final = 8


def plan_sizes(stock: int, usual_quantity: int) -> list[int]:
    """Plan the sizes of a new pool's buckets: as many buckets as the expected holds need, at 24 holds a bucket.

    Each size is a multiple of ``usual_quantity``, except one that takes the rest. The sizes add up to ``stock``.
    """
    if stock < 0 or usual_quantity < 1:
        raise ValueError("stock must be 0 or more, usual_quantity at least 1")
    return _deal(stock, _buckets_for(stock, usual_quantity), usual_quantity)


def max_units(pool: Pool, usual_quantity: int) -> int:
    """Return the units to which a pool may grow.

    Every hold is written to its home, so added stock makes homes bigger and each write dearer: 33 WCU at this bound.
    Beyond it a second drop is the better choice.
    """
    return pool.bucket_count * _MAX_HOLDS_PER_BUCKET * usual_quantity


def plan_additions(pool: Pool, plan: int, quantity: int, usual_quantity: int) -> list[int]:
    """Plan the units that each bucket gets by a numbered adjustment.

    The result follows from the arguments alone, so that a repeat can resume. Successive numbers begin at different
    buckets, so that small additions do not all land in one.
    """
    shares = _deal(quantity, pool.bucket_count, usual_quantity)
    turn = plan % pool.bucket_count
    return shares[-turn:] + shares[:-turn] if turn else shares


def _buckets_for(stock: int, usual_quantity: int) -> int:
    holds = -(-stock // usual_quantity)
    buckets = max(1, -(-holds // HOLDS_PER_BUCKET))
    return (
        MAX_BUCKETS_UNSEGMENTED
        if MAX_BUCKETS_UNSEGMENTED < buckets <= MAX_BUCKETS_UNSEGMENTED * _MAX_PLANNED_HOLDS // HOLDS_PER_BUCKET
        else buckets
    )


def _deal(units: int, buckets: int, usual_quantity: int) -> list[int]:
    """Deal twelves of the usual quantity round the buckets; the last bucket gets the rest."""
    dozen = _LOTS_PER_DEAL * usual_quantity
    dozens, rest = divmod(units, dozen)
    each, more = divmod(dozens, buckets)
    sizes = [(each + (number < more)) * dozen for number in range(buckets)]
    sizes[-1] += rest
    return sizes


def hold_id(purchase_id: str, pool_id: str, version: int, quantity: int) -> str:
    """Derive the id of the hold that a purchase takes in the request that would write ``version``.

    11 base64url characters, 64 bits of SHA-256. A repeated request derives the same id and finds its own hold. Two
    different requests derive different ids.
    """
    text = f"{purchase_id}|{pool_id}|{version}|{quantity}"
    digest = hashlib.sha256(text.encode()).digest()[:_HASH_BYTES]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def hold_hash(hold: str) -> int:
    """Return the number that a hold id encodes. Raises: ``ValueError`` when the text is no hold id."""
    raw = base64.b64decode(hold + "=", altchars=b"-_", validate=True)
    if len(raw) != _HASH_BYTES:
        raise ValueError(f"not a hold id: {hold!r}")
    return int.from_bytes(raw, "big")


def home_of(hold: str, pool: Pool) -> int:
    """Return the home of a hold: the only bucket that may accept it before a pointer there names another."""
    return hold_hash(hold) % pool.bucket_count
