"""Stored shows and drops: the offer, and beside it the revision, the applied cues and the stock plans."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode

from chalicelib.errors import NotFound
from chalicelib.instants import Instant
from chalicelib.revisions import RevisionedRecord
from chalicelib.schema import FrozenModel
from chalicelib.shows.model import Cue, Drop, DropWithPlan, Show
from chalicelib.stock import StockPlan

MAX_APPLIED_CUES = 16
"""Applied cues that a record recognises by their id. An older repeat is refused as superseded."""


class PastPrice(FrozenModel):
    """A price of a drop that ended at ``until``."""

    amount: int
    until: Instant


class PlanRecord(FrozenModel):
    """A stock plan: units that a drop gains, or loses where ``quantity`` is negative.

    A plan is recorded first, then carried out, then marked done. A drop has one plan at a time.
    """

    number: int
    quantity: int
    key: str
    by: str


class _CuedRecord(RevisionedRecord):
    unaudited_fields = RevisionedRecord.unaudited_fields | {"applied", "past_prices"}

    applied: tuple[str, ...] = ()
    """Keys of the newest applied cues."""


class ShowRecord(Show, _CuedRecord):
    """A show's record. ``show_time`` is the time of the newest cue that started or ended the show."""

    show_time: Instant = 0


class DropRecord(Drop, _CuedRecord):
    """A drop's record. The window and the suspension each have the time of the newest instruction."""

    draft: bool = False
    """Whether buckets may be missing. Nobody sees or buys a draft."""
    first_stock: int
    requested_opens_at: Instant | None = None
    requested_closes_at: Instant | None = None
    """The window of the operator's last PUT. Cues move ``opens_at`` and ``closes_at``, and not this one."""
    window_time: Instant = 0
    suspension_time: Instant = 0
    past_prices: tuple[PastPrice, ...] = ()
    plan_count: int = 0
    """Stock plans recorded so far. The last one is ``pending`` or done."""
    pending: PlanRecord | None = None

    @property
    def with_plan(self) -> DropWithPlan:
        """The drop, its pending plan, and the instant of the last write."""
        pending = self.pending
        plan = None if pending is None else StockPlan(pending.number, pending.quantity, self.usual_quantity)
        return DropWithPlan(self, plan, self.changed_at)


def short_hash(*parts: str) -> str:
    """Hash texts, in this order, to 16 characters."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return urlsafe_b64encode(digest[:12]).decode()


def cue_key(cue: Cue) -> str:
    """Return the key that a repeat of a cue shares: a hash of ``source`` and ``id`` (CloudEvents 1.0, section "id")."""
    return short_hash("cue", cue.source, cue.id)


def show_id_of(record: ShowRecord | DropRecord | None) -> str | None:
    """Return the show of a record."""
    if record is None:
        return None
    return record.show_id if isinstance(record, DropRecord) else record.id


def drop_not_found() -> NotFound:
    """Return the error for an id that no drop has."""
    return NotFound("No drop has this id.", field="id")
