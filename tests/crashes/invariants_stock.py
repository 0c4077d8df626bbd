"""Invariants 1 and 2: units. None is lost, none is there twice, none is sold or held for nobody."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from chalicelib.discounts import Discount
from chalicelib.purchase import Purchase, PurchaseState
from chalicelib.purchase.holds import budget_holds_of, holds_of
from tests.crashes.snapshot import Snapshot, is_held, is_sold
from tests.fakes.aws import Record

STATES_WITH_UNITS = frozenset({PurchaseState.PAID, PurchaseState.ON_HOLD})
"""An order that is held back has its units, too."""

CLOCK_SKEW_SECONDS = 2
"""Others take a hold this long after its end (DESIGN §4)."""


def bucket_violations(state: Snapshot) -> Iterator[str]:
    for drop, buckets in state.buckets.items():
        places: Counter[str] = Counter()
        for number, bucket in buckets.items():
            units = [entry["q"] for entry in bucket["h"].values()]
            if bucket["a"] < 0 or min(units, default=0) < 0 or bucket["a"] + sum(units) != bucket["s"]:
                yield f"bucket {drop}#{number}: {bucket['a']} available and {units} in holds are not {bucket['s']}"
            places.update(hold for hold, entry in bucket["h"].items() if entry["q"] > 0)
        yield from (
            f"hold {hold} of {drop} has units in {count} buckets" for hold, count in places.items() if count > 1
        )


def drop_violations(state: Snapshot) -> Iterator[str]:
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
    """Units in the buckets are the units offered: the first ones, and what each plan moved, once."""
    laid_out, done = sum(bucket["s"] for bucket in state.buckets[drop].values()), state.plans[drop]
    moved = sum(plan["moved"] for plan in done)
    if record["stock"] != record["first_stock"] + moved:
        yield f"{drop} offers {record['stock']}: first {record['first_stock']}, then {moved}"
    if sorted(plan["plan"] for plan in done) != list(range(1, record.get("plan_count", 0) + ("pending" not in record))):
        yield f"{drop} has had {record.get('plan_count', 0)} plans, of which these are done: {done}"
    under_way = record["pending"]["quantity"] if "pending" in record else 0
    min_size, max_size = sorted([record["stock"], record["stock"] + under_way])
    if not min_size <= laid_out <= max_size:
        yield f"{drop} offers {record['stock']} units and has {laid_out}"
    if sum(bucket.get("m", 0) for bucket in state.buckets[drop].values()):
        yield f"{drop}: what was raked out of its buckets is not what was raked in"


def unit_violations(state: Snapshot, now_seconds: int) -> Iterator[str]:
    """Every unit is sold to an order that names it, or can be had: no strays."""
    by_ref = {purchase.order_ref: purchase for purchase in state.purchases.values()}
    for drop, buckets in state.buckets.items():
        for number, bucket in buckets.items():
            for hold, entry in bucket["h"].items():
                if is_held(entry) and entry["u"] + CLOCK_SKEW_SECONDS >= now_seconds:
                    yield f"{entry['q']} units of {drop}#{number} are still held, by {hold}"
                owner = by_ref.get(entry.get("o", "")[:9])
                if is_sold(entry) and (owner is None or owner.state not in STATES_WITH_UNITS):
                    yield f"{entry['q']} units of {drop}#{number} are sold to nobody, by {hold}"
    for purchase in state.purchases.values():
        sold = state.units_sold_to(purchase)
        if purchase.state in STATES_WITH_UNITS and {
            drop: sum(holds.values()) for drop, holds in sold.items()
        } != owned_units(purchase):
            yield f"{purchase.id} has {sold} of {owned_units(purchase)}"
        named = {(pool.pool_id, hold.id) for pool, hold in [*holds_of(purchase), *budget_holds_of(purchase)]}
        foreign = {(drop, hold) for drop, holds in sold.items() for hold in holds} - named
        if foreign:
            yield f"{purchase.id} was sold {foreign}, which it does not name"


def budget_violations(state: Snapshot) -> Iterator[str]:
    """What is used of a budget is what orders have of it, paid or held back; no more was laid out than was put up."""
    for code, record in state.discounts.items():
        if record.get("draft"):
            continue
        put_up = {budget.pool.pool_id: budget.size for budget in Discount.model_validate(record).budgets}
        for name, size in put_up.items():
            buckets = state.buckets[name].values()
            laid_out = sum(bucket["s"] for bucket in buckets)
            used = sum(entry["q"] for bucket in buckets for entry in bucket["h"].values() if is_sold(entry))
            had = sum(
                share.quantity
                for purchase in state.purchases.values()
                if purchase.state in STATES_WITH_UNITS
                for pool, share in budget_holds_of(purchase)
                if pool.pool_id == name
            )
            if laid_out != size or used != had or used > size:
                yield f"{name} of {size}: {laid_out} laid out, {used} used, {had} of them by orders"
        for purchase in state.purchases.values():
            shares = [
                layout.pool_id for one in purchase.discounts if one.code == code for layout, _ in one.holds_with_pools
            ]
            uses = any(one.code == code for one in purchase.discounts)
            if purchase.state in STATES_WITH_UNITS and uses and sorted(shares) != sorted(put_up):
                yield f"{purchase.id} is an order with {code} and has {shares} of its budgets"
            if purchase.state not in STATES_WITH_UNITS and shares:
                yield f"{purchase.id} is {purchase.state} and has {shares}"


def owned_units(purchase: Purchase) -> dict[str, int]:
    """Units by drop that an order has, without those that went back into stock; and what it has of budgets."""
    units: Counter[str] = Counter()
    for pool, share in budget_holds_of(purchase):
        units[pool.pool_id] += share.quantity
    drops = {line.id: line.drop_id for line in purchase.lines}
    for line in purchase.lines:
        units[line.drop_id] += line.quantity
    for refund in purchase.refunds:
        for part in refund.lines:
            units[drops[part.line_id]] -= part.quantity if refund.restock else 0
    return {drop: count for drop, count in units.items() if count}


def count_units(buckets: dict[int, Record], now_seconds: int) -> dict[str, int]:
    count: Counter[str] = Counter(available=0, held=0, sold=0, size=0)
    for bucket in buckets.values():
        count["size"] += bucket["s"]
        count["available"] += bucket["a"]
        for entry in bucket["h"].values():
            expired = is_held(entry) and entry["u"] + CLOCK_SKEW_SECONDS < now_seconds
            count["available" if expired else "held" if is_held(entry) else "sold"] += entry["q"]
    return dict(count)
