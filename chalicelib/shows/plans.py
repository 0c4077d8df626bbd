"""Adding stock and taking it away by numbered plans: recorded first, then carried out in the buckets, then marked done.

Whoever comes next finishes a plan that a dead process left, so units are never lost; each bucket refuses a plan twice,
and a key is written down in the same transaction that marks its plan done, so they are never counted twice.
"""

from __future__ import annotations

from typing import Any, Final

from chalicelib.errors import BadInput, NotFound, WriteConflict
from chalicelib.instants import Instant
from chalicelib.shows.model import StockChanged
from chalicelib.shows.records import DropRecord, Plan
from chalicelib.shows.store import ShowStore, changed_item
from chalicelib.stock import Stock, max_units

MAX_UNITS_PER_DROP: Final = 10_000_000
_TRIES: Final = 10


def change(
    store: ShowStore, stock: Stock, drop_id: str, quantity: int, key: str, actor: str, now: Instant
) -> StockChanged:
    """Add ``quantity`` units to a drop, or take them away (negative), once for ``key``.

    Some 3 reads and 12 WCU, and 1 WCU a bucket. What is held or sold cannot be taken away: fewer units go then.
    ``BadInput`` beyond what the drop's buckets can bear; ``NotFound``; ``WriteConflict`` when not finished: repeat it.
    """
    mine = False
    for _ in range(_TRIES):
        record = settled(store, stock, drop_id, now)
        done = store.changed(drop_id, key)
        if done is not None:
            return StockChanged(drop=record, quantity=done.quantity, moved=done.moved, repeated=not mine)
        limit = min(MAX_UNITS_PER_DROP, max_units(record.layout, record.usual_quantity))
        if record.stock + quantity > limit:
            raise BadInput(f"$.quantity: this drop may grow to {limit} units; put another one", field="$.quantity")
        # If anything was recorded since the key was looked up, the revision differs and this is refused.
        mine = store.commit(record, _planned(record, quantity, key, actor, now), "stock planned")
    raise WriteConflict(f"drop {drop_id} is being changed by others; repeat the request")


def settled(store: ShowStore, stock: Stock, drop_id: str, now: Instant) -> DropRecord:
    """The drop without a pending plan: one that was left behind is carried out first. ``NotFound``."""
    for _ in range(_TRIES):
        record = store.drop(drop_id)
        if record is None or record.draft:
            raise NotFound(f"no drop {drop_id}")
        if record.pending is None:
            return record
        finished = _finish(store, stock, record, record.pending, now)
        if finished is not None:
            return finished
    raise WriteConflict(f"drop {drop_id} is being changed by others; repeat the request")


def _planned(record: DropRecord, quantity: int, key: str, actor: str, now: Instant) -> DropRecord:
    """The drop with a plan recorded."""
    plan = Plan(number=record.plans + 1, quantity=quantity, key=key, by=actor)
    return record.model_copy(update={"plans": plan.number, "pending": plan} | _stamp(record, actor, now))


def _finish(store: ShowStore, stock: Stock, record: DropRecord, plan: Plan, now: Instant) -> DropRecord | None:
    """Carry a recorded plan out and mark it done, with its key; None when someone else changed the drop meanwhile."""
    if plan.quantity >= 0:
        stock.add_units(record.layout, plan.number, plan.quantity, now, usual_quantity=record.usual_quantity)
        moved = plan.quantity
    else:
        taken = stock.withdraw_units(record.layout, plan.number, -plan.quantity, now)
        if taken is None:
            return None
        moved = -taken
    done = record.model_copy(update={"stock": record.stock + moved, "pending": None} | _stamp(record, plan.by, now))
    once = changed_item(record.id, plan, moved)
    did = "stock added" if plan.quantity >= 0 else "stock taken away"
    return done if store.commit(record, done, did, once) else None


def _stamp(record: DropRecord, actor: str, now: Instant) -> dict[str, Any]:
    return {"revision": record.revision + 1, "changed_by": actor, "changed_at": now}
