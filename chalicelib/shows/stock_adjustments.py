"""Adding stock and taking it away by numbered plans: recorded first, then carried out in the buckets, then marked done.

Whoever comes next finishes a plan that a dead process left, so units are never lost; each bucket refuses a plan twice,
and a key is written down in the same transaction that marks its plan done, so they are never counted twice.
"""

from __future__ import annotations

from typing import Any, Final

from chalicelib.errors import BadInput, NotFound, WriteConflict
from chalicelib.instants import Instant
from chalicelib.shows.model import StockAdjusted
from chalicelib.shows.records import DropRecord, PlanRecord
from chalicelib.shows.store import ShowStore, plan_outcome_item
from chalicelib.stock import Stock, max_units

MAX_UNITS_PER_DROP: Final = 10_000_000
_TRIES: Final = 10


def adjust_stock(
    store: ShowStore, stock: Stock, drop_id: str, quantity: int, key: str, actor: str, now: Instant
) -> StockAdjusted:
    """Add ``quantity`` units to a drop, or take them away (negative), once for ``key``.

    Some 3 reads and 12 WCU, and 1 WCU a bucket. What is held or sold cannot be taken away: fewer units go then.
    ``BadInput`` beyond what the drop's buckets can bear; ``NotFound``; ``WriteConflict`` when not finished: repeat it.
    """
    recorded_now = False
    for _ in range(_TRIES):
        record = finish_pending_plan(store, stock, drop_id, now)
        outcome = store.plan_outcome(drop_id, key)
        if outcome is not None:
            return StockAdjusted(drop=record, quantity=outcome.quantity, moved=outcome.moved, repeated=not recorded_now)
        limit = min(MAX_UNITS_PER_DROP, max_units(record.pool, record.usual_quantity))
        if record.stock + quantity > limit:
            raise BadInput(f"$.quantity: this drop may grow to {limit} units; put another one", field="$.quantity")
        # If anything was recorded since the key was looked up, the revision differs and this is refused.
        recorded_now = store.commit(record, _with_plan(record, quantity, key, actor, now), "stock planned")
    raise WriteConflict(f"drop {drop_id} is being changed by others; repeat the request")


def finish_pending_plan(store: ShowStore, stock: Stock, drop_id: str, now: Instant) -> DropRecord:
    """The drop without a pending plan: one that was left behind is carried out first. ``NotFound``."""
    for _ in range(_TRIES):
        record = store.drop(drop_id)
        if record is None or record.draft:
            raise NotFound(f"no drop {drop_id}")
        if record.pending is None:
            return record
        finished = _carry_out_plan(store, stock, record, record.pending, now)
        if finished is not None:
            return finished
    raise WriteConflict(f"drop {drop_id} is being changed by others; repeat the request")


def _with_plan(record: DropRecord, quantity: int, key: str, actor: str, now: Instant) -> DropRecord:
    """The drop with a plan recorded."""
    plan = PlanRecord(number=record.plan_count + 1, quantity=quantity, key=key, by=actor)
    return record.model_copy(update={"plan_count": plan.number, "pending": plan} | _audit_fields(record, actor, now))


def _carry_out_plan(
    store: ShowStore, stock: Stock, record: DropRecord, plan: PlanRecord, now: Instant
) -> DropRecord | None:
    """Carry a recorded plan out and mark it done, with its key; None when someone else changed the drop meanwhile."""
    if plan.quantity >= 0:
        stock.add_units(record.pool, plan.number, plan.quantity, now, usual_quantity=record.usual_quantity)
        moved = plan.quantity
    else:
        taken = stock.withdraw_units(record.pool, plan.number, -plan.quantity, now)
        if taken is None:
            return None
        moved = -taken
    done = record.model_copy(
        update={"stock": record.stock + moved, "pending": None} | _audit_fields(record, plan.by, now)
    )
    outcome_item = plan_outcome_item(record.id, plan, moved)
    action = "stock added" if plan.quantity >= 0 else "stock taken away"
    return done if store.commit(record, done, action, outcome_item) else None


def _audit_fields(record: DropRecord, actor: str, now: Instant) -> dict[str, Any]:
    return {"revision": record.revision + 1, "changed_by": actor, "changed_at": now}
