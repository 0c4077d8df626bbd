"""Check Invariants 1a, 1b, 1c, 1e, 2b and 5c: no unit is lost, doubled, or committed to no order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chalicelib.discounts import Discount
from chalicelib.purchase import Purchase, PurchaseState
from chalicelib.purchase.holds import budget_holds_of, holds_of
from tests.crashes.snapshot import Snapshot
from tests.fakes.aws import Record
from tests.independent_counts import has_expired, is_held, is_sold, units_add_up, units_by_drop

STATES_WITH_UNITS = frozenset({PurchaseState.PAID, PurchaseState.ON_HOLD})
"""An order on hold has its units, too."""


def bucket_violations(state: Snapshot) -> Iterator[str]:
    """Check Invariant 1a: buckets add up, and a hold has units in at most one."""
    for drop, buckets in state.buckets.items():
        places: Counter[str] = Counter()
        for number, bucket in buckets.items():
            if not units_add_up(bucket):
                units = [entry["q"] for entry in bucket["h"].values()]
                yield f"bucket {drop}#{number}: {bucket['a']} available and {units} in holds are not {bucket['s']}"
            places.update(hold for hold, entry in bucket["h"].items() if entry["q"] > 0)
        yield from (
            f"hold {hold} of {drop} has units in {count} buckets" for hold, count in places.items() if count > 1
        )


def drop_violations(state: Snapshot) -> Iterator[str]:
    """Check that each drop is listed, has its buckets and audit items, and offers what its plans say (Invariant 1b)."""
    for drop, record in state.drops.items():
        listed = (record["show_id"], drop) in state.listed
        if record.get("draft"):
            if listed:
                yield f"the draft {drop} is listed"
            continue
        if not listed:
            yield f"{drop} is not listed in its show"
        if set(state.buckets[drop]) != set(range(record["bucket_count"])):
            yield f"{drop} has buckets {sorted(state.buckets[drop])}, not {record['bucket_count']}"
        yield from _stock_violations(state, drop, record)
    for subject, revision in state.revisions.items():
        if sorted(state.audits[subject]) != list(range(1, revision + 1)):
            yield f"{subject} is at revision {revision} and has audits of {sorted(state.audits[subject])}"


def _stock_violations(state: Snapshot, drop: str, record: Record) -> Iterator[str]:
    """Check Invariant 1b: buckets contain the first units and the units that each plan moved, once."""
    in_buckets, done = sum(bucket["s"] for bucket in state.buckets[drop].values()), state.plans[drop]
    moved = sum(plan["moved"] for plan in done)
    if record["stock"] != record["first_stock"] + moved:
        yield f"{drop} offers {record['stock']}: first {record['first_stock']}, then {moved}"
    if sorted(plan["plan"] for plan in done) != list(range(1, record.get("plan_count", 0) + ("pending" not in record))):
        yield f"{drop} counts {record.get('plan_count', 0)} plans, and these are done: {done}"
    pending = record["pending"]["quantity"] if "pending" in record else 0
    min_size, max_size = sorted([record["stock"], record["stock"] + pending])
    if not min_size <= in_buckets <= max_size:
        yield f"{drop} offers {record['stock']} units, and its buckets have {in_buckets}"
    if sum(bucket.get("m", 0) for bucket in state.buckets[drop].values()):
        yield f"{drop}: the units moved out of its buckets are not those moved in"


def unit_violations(state: Snapshot, now_seconds: int) -> Iterator[str]:
    """Check Invariant 1c at rest: every unit is committed to an order that names it, or is available."""
    by_ref = {purchase.order_ref: purchase for purchase in state.purchases.values()}
    for drop, buckets in state.buckets.items():
        for number, bucket in buckets.items():
            for hold, entry in bucket["h"].items():
                if is_held(entry) and not has_expired(entry, now_seconds):
                    yield f"{entry['q']} units of {drop}#{number} are still held, by {hold}"
                owner = by_ref.get(entry.get("o", "")[:9])
                if is_sold(entry) and (owner is None or owner.state not in STATES_WITH_UNITS):
                    yield f"{entry['q']} units of {drop}#{number} are committed to no order, by {hold}"
    for purchase in state.purchases.values():
        sold = state.units_sold_to(purchase)
        if purchase.state in STATES_WITH_UNITS and {
            drop: sum(holds.values()) for drop, holds in sold.items()
        } != owned_units(purchase):
            yield f"{purchase.id} has {sold} of {owned_units(purchase)}"
        named = {(pool.pool_id, hold.id) for pool, hold in [*holds_of(purchase), *budget_holds_of(purchase)]}
        unnamed = {(drop, hold) for drop, holds in sold.items() for hold in holds} - named
        if unnamed:
            yield f"{purchase.id} has {unnamed}, which it does not name"


def budget_violations(state: Snapshot) -> Iterator[str]:
    """Check Invariants 1e and 5c: the used part of a budget is what orders have of it, and no more than the budget."""
    for code, record in state.discounts.items():
        if record.get("draft"):
            continue
        sizes = {budget.pool.pool_id: budget.size for budget in Discount.model_validate(record).budgets}
        for name, size in sizes.items():
            buckets = state.buckets[name].values()
            in_buckets = sum(bucket["s"] for bucket in buckets)
            used = sum(entry["q"] for bucket in buckets for entry in bucket["h"].values() if is_sold(entry))
            of_orders = sum(
                share.quantity
                for purchase in state.purchases.values()
                if purchase.state in STATES_WITH_UNITS
                for pool, share in budget_holds_of(purchase)
                if pool.pool_id == name
            )
            if in_buckets != size or used != of_orders or used > size:
                yield f"{name} of {size}: {in_buckets} in buckets, {used} used, {of_orders} by orders"
        for purchase in state.purchases.values():
            shares = [
                pool.pool_id for one in purchase.discounts if one.code == code for pool, _ in one.holds_with_pools
            ]
            uses = any(one.code == code for one in purchase.discounts)
            if purchase.state in STATES_WITH_UNITS and uses and sorted(shares) != sorted(sizes):
                yield f"{purchase.id} is an order with {code} and has {shares} of its budgets"
            if purchase.state not in STATES_WITH_UNITS and shares:
                yield f"{purchase.id} is {purchase.state} and has {shares}"


def owned_units(purchase: Purchase) -> dict[str, int]:
    """Count the units that an order has of each drop and of each discount budget, without restocked ones."""
    budgets: Counter[str] = Counter()
    for pool, share in budget_holds_of(purchase):
        budgets[pool.pool_id] += share.quantity
    return units_by_drop(purchase) | budgets


def count_units(buckets: dict[int, Record], now_seconds: int) -> dict[str, int]:
    """Add up a drop's buckets: units available, held and sold, and their size."""
    count: Counter[str] = Counter(available=0, held=0, sold=0, size=0)
    for bucket in buckets.values():
        count["size"] += bucket["s"]
        count["available"] += bucket["a"]
        for entry in bucket["h"].values():
            count["available" if has_expired(entry, now_seconds) else "held" if is_held(entry) else "sold"] += entry[
                "q"
            ]
    return dict(count)
