"""Check the invariants of infra/docs/invariants.md on the stored state: tables, provider and S3.

The product's code only decodes purchases and renders the live view. All sums are computed here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chalicelib.instants import SECOND
from tests.crashes import invariants_ledger, invariants_money, invariants_risk, invariants_stock
from tests.crashes.crash_world import CrashWorld
from tests.crashes.invariants_ledger import export_violations
from tests.crashes.invariants_money import stock_before_money_violations, too_early_refunds
from tests.crashes.invariants_stock import bucket_violations, count_units
from tests.crashes.snapshot import Snapshot, take_snapshot


class InvariantsAfterWrite:
    """Check Invariants 1a, 4c, 5a, 7b and 7c, which hold after every write."""

    def __init__(self) -> None:
        self._closed: dict[str, bytes] = {}
        self._refunds_done: set[tuple[str, str]] = set()

    def __call__(self, world: CrashWorld, table: str) -> Iterator[str]:
        """Yield the violations that a write to this table may cause."""
        if table in {"stock", "sandbox", "stripe"}:
            state = take_snapshot(world)
            yield from bucket_violations(state)
            yield from stock_before_money_violations(state)
        elif table == "commerce" and world.provider.name == "stripe":
            yield from too_early_refunds(take_snapshot(world), self._refunds_done)
        elif table == "objects":
            objects = world.fake_aws.objects()
            yield from export_violations(objects)
            yield from (f"{key} has changed" for key, body in self._closed.items() if objects.get(key) != body)
            closed = {
                key.rpartition("/")[0] for key in objects if "/revision=" in key and key.endswith("manifest.json")
            }
            self._closed |= {key: body for key, body in objects.items() if key.rpartition("/")[0] in closed}


def check_invariants(world: CrashWorld) -> list[str]:
    """Describe every violated invariant of a world at rest."""
    state = take_snapshot(world)
    now_seconds = world.now // SECOND
    return [
        *bucket_violations(state),
        *invariants_stock.drop_violations(state),
        *invariants_stock.unit_violations(state, now_seconds),
        *invariants_stock.budget_violations(state),
        *invariants_money.purchase_violations(state),
        *stock_before_money_violations(state),
        *invariants_money.payment_violations(state),
        *world.provider.violations(),
        *invariants_risk.decline_violations(state),
        *invariants_ledger.ledger_violations(state),
        *invariants_ledger.clearing_violations(state, world.followed_until),
        *export_violations(state.objects),
        *invariants_ledger.closed_day_violations(state),
        *invariants_ledger.event_violations(state),
        *_live_view_violations(world, state, now_seconds),
    ]


def _live_view_violations(world: CrashWorld, state: Snapshot, now_seconds: int) -> Iterator[str]:
    """Check Invariant 6a: the live view shows the units of the buckets."""
    shows = world.new_process().shows
    for show in {show for show, _ in state.listed}:
        live = shows.live(show, world.now)
        for drop in live.drops if live else ():
            real = count_units(state.buckets[drop.drop_id], now_seconds)
            shown = {"available": drop.available, "held": drop.held, "sold": drop.sold, "size": drop.size}
            if shown != real:
                yield f"{drop.drop_id} is shown with {shown}, and has {real}"


def intended_outcome(world: CrashWorld) -> dict[str, Any]:
    """Return the part of the state that the intents alone determine: it must equal that of a run without faults."""
    state = take_snapshot(world)
    return {
        "purchases": {
            purchase_id: {
                "state": purchase.state,
                "lines": [(line.drop_id, line.quantity, line.unit_price) for line in purchase.lines],
                "about": (purchase.is_cart, purchase.shipping_option, purchase.destination, purchase.attempt),
                "totals": purchase.totals,
                "discounts": [(one.code, one.parts) for one in purchase.discounts],
                "failed": purchase.payment is not None and purchase.payment.failure is not None,
                "refunds": [
                    (one.id, one.amount, one.restock, one.lines, one.failure_code is not None)
                    for one in purchase.refunds
                ],
                "disputes": [(one.status, one.amount, one.withdrawn) for one in purchase.disputes],
                "cancelled": purchase.cancelled_at is not None,
            }
            for purchase_id, purchase in sorted(state.purchases.items())
        },
        "drops": {
            drop: {name: record.get(name) for name in _DROP_FIELDS}
            | {"sold": count_units(state.buckets[drop], 0)["sold"]}
            for drop, record in sorted(state.drops.items())
        },
        "budgets": {
            name: count_units(buckets, 0)["sold"] for name, buckets in sorted(state.buckets.items()) if ":" in name
        },
        "revisions": state.revisions,
        "payments": sorted((payment.name, *payment.outcome) for payment in state.payments),
        "ledger": sorted(
            (rows[0]["id"], rows[0]["amount"], rows[0]["quantity"]) for rows in state.ledger_rows().values()
        ),
        "events": sorted({event["id"] for event in state.events}),
        "interims": sorted(key for key in state.objects if "/interim/" in key),
    }


_DROP_FIELDS = (
    *("stock", "draft", "pending", "plan_count", "opens_at", "closes_at"),
    *("suspended", "unit_price", "title", "applied"),
)
