"""Shows and drops as they are kept: what is offered, and beside it who changed what, by which cue and which plan."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode

from chalicelib.instants import Instant
from chalicelib.schema import FrozenModel
from chalicelib.shows.model import Cue, Drop, DropWithPlan, Show
from chalicelib.stock import StockPlan

MAX_APPLIED_CUES = 16
"""So many applied cues are known again by their id; an older repeat is refused as superseded."""


class PastPrice(FrozenModel):
    """A price that was asked until an instant."""

    amount: int
    until: Instant


class PlanRecord(FrozenModel):
    """Units on their way into the buckets. A plan is recorded first, carried out, then marked done; one at a time."""

    number: int
    quantity: int
    key: str
    by: str


class _AuditFields(FrozenModel):
    """Bookkeeping of a record. Every write raises ``revision`` and is refused unless it saw the one before."""

    revision: int = 1
    created_by: str
    created_at: Instant
    changed_by: str
    changed_at: Instant
    applied: tuple[str, ...] = ()
    """Keys of the newest applied cues."""


class ShowRecord(Show, _AuditFields):
    """A show's record. ``show_time``: what the newest cue to start or end it said."""

    show_time: Instant = 0


class DropRecord(Drop, _AuditFields):
    """A drop's record. The newest cue's or operator's time stands apart for the window and the suspension."""

    draft: bool = False
    """Its buckets are not all laid out yet: nobody is shown or sold it."""
    first_stock: int
    requested_opens_at: Instant | None = None
    requested_closes_at: Instant | None = None
    """The window as the operator last put it; cues move the real one."""
    window_time: Instant = 0
    suspension_time: Instant = 0
    past_prices: tuple[PastPrice, ...] = ()
    plan_count: int = 0
    """Plans of added stock recorded so far; the last is ``pending`` or done."""
    pending: PlanRecord | None = None

    @property
    def with_plan(self) -> DropWithPlan:
        """The drop, the plan under way, and when the record was last written."""
        pending = self.pending
        plan = None if pending is None else StockPlan(pending.number, pending.quantity, self.usual_quantity)
        return DropWithPlan(self, plan, self.changed_at)


AUDIT_FIELDS = frozenset({"revision", "created_by", "created_at", "changed_by", "changed_at", "applied", "past_prices"})


def short_hash(*parts: str) -> str:
    """16 characters that stand for these parts, in this order."""
    digest = hashlib.sha256(json.dumps(parts).encode()).digest()
    return urlsafe_b64encode(digest[:12]).decode()


def cue_key(cue: Cue) -> str:
    """What a cue is known again by: its ``source`` and ``id`` (CloudEvents 1.0, section "id")."""
    return short_hash("cue", cue.source, cue.id)


def show_id_of(record: ShowRecord | DropRecord | None) -> str | None:
    if record is None:
        return None
    return record.show_id if isinstance(record, DropRecord) else record.id
