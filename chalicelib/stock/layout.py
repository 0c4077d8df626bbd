"""How units are laid out in buckets, and which bucket is a hold's home. Pure."""

from __future__ import annotations

import base64
import hashlib
from typing import Final

from chalicelib.stock.model import Pool

HOLDS_PER_BUCKET: Final = 24
"""Under 1,024 bytes with room for nine pointers; divisible by 2, 3 and 4, so equal buyers leave no crumbs."""

_MAX_HOLDS_PER_BUCKET: Final = 1_000
"""Holds that a bucket may come to have by stock that is added."""

_MAX_PLANNED_HOLDS: Final = 28
"""Holds that a bucket may be planned for to keep a drop within one summary read; sold, 30 of them fit into 1 KB."""

MAX_BUCKETS_UNSEGMENTED: Final = 400
"""Buckets up to which a drop's summary is recomputed whole without a second thought (0.2 s)."""

_LOTS_PER_DEAL: Final = 12
"""Lots are dealt to buckets by the dozen: buyers of 2, 3 or 4 empty such a bucket."""

_HASH_BYTES: Final = 8


def plan_sizes(stock: int, usual_quantity: int) -> list[int]:
    """Units for each home bucket of a new drop: as many buckets as the holds expected need, at 24 a bucket.

    Each size is a multiple of ``usual_quantity`` but for one that takes the rest; the sizes add up to ``stock``.
    """
    if stock < 0 or usual_quantity < 1:
        raise ValueError("stock must not be negative, usual_quantity at least 1")
    return _deal(stock, _buckets_for(stock, usual_quantity), usual_quantity)


def max_units(pool: Pool, usual_quantity: int) -> int:
    """Units up to which a drop may grow. Every hold is written to its home, so stock that is added later makes homes
    bigger and each hold dearer: 33 write units at this bound. Beyond it, a second drop is the better one."""
    return pool.bucket_count * _MAX_HOLDS_PER_BUCKET * usual_quantity


def plan_additions(pool: Pool, plan: int, quantity: int, usual_quantity: int) -> list[int]:
    """Units that each bucket gets by a numbered stock plan. Follows from its arguments alone, so it can be resumed.

    Successive plans begin at different buckets: small additions do not all land in one.
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
    """Deal dozens of lots round the buckets, then single lots of the last dozen and the rest to the emptiest."""
    dozen = _LOTS_PER_DEAL * usual_quantity
    dozens, rest = divmod(units, dozen)
    each, more = divmod(dozens, buckets)
    sizes = [(each + (number < more)) * dozen for number in range(buckets)]
    sizes[-1] += rest
    return sizes


def hold_id(purchase_id: str, pool_id: str, version: int, quantity: int) -> str:
    """The id of the hold that a purchase takes in the request that would write ``version``: 11 base64url characters.

    A repeated request comes to the same id and meets its own hold; two different requests never share one.
    """
    text = f"{purchase_id}|{pool_id}|{version}|{quantity}"
    digest = hashlib.sha256(text.encode()).digest()[:_HASH_BYTES]
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def hold_hash(hold: str) -> int:
    """A hold id as the number it spells. ``ValueError`` when it is no hold id."""
    raw = base64.b64decode(hold + "=", altchars=b"-_", validate=True)
    if len(raw) != _HASH_BYTES:
        raise ValueError(f"not a hold id: {hold!r}")
    return int.from_bytes(raw, "big")


def home_of(hold: str, pool: Pool) -> int:
    """The only bucket that may take this hold before a pointer in it names another."""
    return hold_hash(hold) % pool.bucket_count
