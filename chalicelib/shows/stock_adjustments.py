"""Add units to a drop, or take them away, by numbered plans: recorded, carried out in the buckets, then marked done.

A process can die after each write. The next request or job then finishes the plan, so that no units are lost. Each
bucket refuses a plan that it has carried out. The transaction that marks a plan done stores its key, so that no units
are counted twice.
"""

from __future__ import annotations

from typing import Final

from chalicelib.errors import BadInput
from chalicelib.instants import Instant
from chalicelib.revisions import WRITE_TRIES, write_conflict
from chalicelib.shows.model import StockAdjusted
from chalicelib.shows.records import DropRecord, PlanRecord, drop_not_found
from chalicelib.shows.store import ShowStore, plan_outcome_item
from chalicelib.stock import Stock, max_units

MAX_UNITS_PER_DROP: Final = 10_000_000


def adjust_stock(
    store: ShowStore, stock: Stock, drop_id: str, quantity: int, key: str, actor: str, now: Instant
) -> StockAdjusted:
    """Add ``quantity`` units to a drop, or take them away (negative), once for ``key``.

    Costs some 3 reads and 12 WCU, and 1 WCU a bucket. Held and sold units stay, so that fewer units than asked may go.

    Raises: ``BadInput`` above the most units that the drop's buckets can have; ``NotFound``; ``WriteConflict`` when
    the plan may not be finished, and a repeat finishes it.
    """
    recorded_now = False
    for _ in range(WRITE_TRIES):
        record = finish_pending_plan(store, stock, drop_id, now)
        outcome = store.plan_outcome(drop_id, key)
        if outcome is not None:
            return StockAdjusted(drop=record, quantity=outcome.quantity, moved=outcome.moved, repeated=not recorded_now)
        limit = min(MAX_UNITS_PER_DROP, max_units(record.pool, record.usual_quantity))
        if record.stock + quantity > limit:
            raise BadInput(
                f"`$.quantity` must leave the drop at {limit} units or fewer. Put another drop for more.",
                field="$.quantity",
            )
        # A plan recorded since the key was read has raised the revision, and this write is refused.
        recorded_now = store.commit(record, _with_plan(record, quantity, key, actor, now), "stock planned")
    raise write_conflict(f"drop {drop_id}")


def finish_pending_plan(store: ShowStore, stock: Stock, drop_id: str, now: Instant) -> DropRecord:
    """Carry out the pending plan of a drop, if it has one, and return the drop without a pending plan.

    Raises: ``NotFound``; ``WriteConflict``.
    """
    for _ in range(WRITE_TRIES):
        record = store.drop(drop_id)
        if record is None or record.draft:
            raise drop_not_found()
        if record.pending is None:
            return record
        finished = _carry_out_plan(store, stock, record, record.pending, now)
        if finished is not None:
            return finished
    raise write_conflict(f"drop {drop_id}")


def _with_plan(record: DropRecord, quantity: int, key: str, actor: str, now: Instant) -> DropRecord:
    plan = PlanRecord(number=record.plan_count + 1, quantity=quantity, key=key, by=actor)
    return record.with_changes({"plan_count": plan.number, "pending": plan}, actor, now)


def _carry_out_plan(
    store: ShowStore, stock: Stock, record: DropRecord, plan: PlanRecord, now: Instant
) -> DropRecord | None:
    """Carry out a recorded plan, and mark it done with its key; None when a rival changed the drop meanwhile."""
    moved = _move_units(stock, record, plan, now)
    if moved is None:
        return None
    done = record.with_changes({"stock": record.stock + moved, "pending": None}, plan.by, now)
    action = "stock added" if plan.quantity >= 0 else "stock taken away"
    return done if store.commit(record, done, action, plan_outcome_item(record.id, plan, moved)) else None


def _move_units(stock: Stock, record: DropRecord, plan: PlanRecord, now: Instant) -> int | None:
    """Move a plan's units in the buckets; return how many, or None when a later plan shows that this one is done."""
    if plan.quantity >= 0:
        stock.add_units(record.pool, plan.number, plan.quantity, now, usual_quantity=record.usual_quantity)
        return plan.quantity
    taken = stock.withdraw_units(record.pool, plan.number, -plan.quantity, now)
    return None if taken is None else -taken
