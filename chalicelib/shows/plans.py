"""Adding stock by numbered plans: recorded first, then carried out in the buckets, then marked done.

Whoever comes next finishes a plan that a dead process left, so units are never lost; each bucket refuses a plan twice,
and a key is written down in the same transaction that marks its plan done, so they are never counted twice.
"""

from __future__ import annotations

from typing import Any, Final

from chalicelib.errors import BadInput, Contended, NotFound
from chalicelib.instants import Instant
from chalicelib.shows.model import StockAdded
from chalicelib.shows.records import DropRecord, Plan
from chalicelib.shows.store import ShowStore, added_item
from chalicelib.stock import Stock, plan_extra

MOST_UNITS: Final = 10_000_000
_TRIES: Final = 10


def add(store: ShowStore, stock: Stock, drop_id: str, quantity: int, key: str, actor: str, now: Instant) -> StockAdded:
    """Add ``quantity`` units to a drop, once for ``key``. Some 3 reads and 12 WCU, and 1 WCU a bucket.

    ``BadInput`` beyond ten million units; ``NotFound``; ``Contended`` when it was not finished: repeat it.
    """
    mine = False
    for _ in range(_TRIES):
        record = settled(store, stock, drop_id, now)
        done = store.added(drop_id, key)
        if done is not None:
            return StockAdded(drop=record, quantity=done, repeated=not mine)
        if record.stock + quantity > MOST_UNITS:
            raise BadInput(f"$.quantity: a drop has {MOST_UNITS} units at most", field="$.quantity")
        # If anything was recorded since the key was looked up, the revision differs and this is refused.
        mine = store.commit(record, _planned(record, quantity, key, actor, now), "stock planned")
    raise Contended(f"drop {drop_id} is being changed by others; repeat the request")


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
    raise Contended(f"drop {drop_id} is being changed by others; repeat the request")


def _planned(record: DropRecord, quantity: int, key: str, actor: str, now: Instant) -> DropRecord:
    """The drop with a plan recorded. Its extra buckets are known from here on, so that every repeat sees the same."""
    plan = Plan(number=record.plans + 1, quantity=quantity, key=key, by=actor)
    extra = plan_extra(record.layout, record.stock + quantity, record.usual_quantity)
    changes = {"plans": plan.number, "pending": plan, "extra": extra}
    return record.model_copy(update=changes | _stamp(record, actor, now))


def _finish(store: ShowStore, stock: Stock, record: DropRecord, plan: Plan, now: Instant) -> DropRecord | None:
    """Carry a recorded plan out and mark it done, with its key; None when someone else changed the drop meanwhile."""
    if not stock.add_units(record.layout, plan.number, plan.quantity, now, usual_quantity=record.usual_quantity):
        raise Contended(f"the buckets of drop {record.id} are too busy for more stock; repeat the request")
    changes = {"stock": record.stock + plan.quantity, "pending": None}
    done = record.model_copy(update=changes | _stamp(record, plan.by, now))
    once = added_item(record.id, plan.key, plan.quantity, plan.number)
    return done if store.commit(record, done, "stock added", once) else None


def _stamp(record: DropRecord, actor: str, now: Instant) -> dict[str, Any]:
    return {"revision": record.revision + 1, "changed_by": actor, "changed_at": now}
