"""The invariants of DESIGN §3, all of them at once, on what stands in the tables, at the provider's and in S3.

The product's code is used to decode purchases, and to see what watchers see; everything is added up here.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from chalicelib.instants import SECOND
from tests.crashes import rules_of_books, rules_of_money, rules_of_risk, rules_of_stock
from tests.crashes.cloud import FakeAws
from tests.crashes.rules_of_books import published_whole
from tests.crashes.rules_of_money import goods_before_money
from tests.crashes.rules_of_stock import buckets, counted
from tests.crashes.state import State, read
from tests.crashes.world import CrashWorld


class AtAnyInstant:
    """Rules that no write may break, whoever dies after it."""

    def __init__(self) -> None:
        self._closed: dict[str, bytes] = {}

    def __call__(self, fake_aws: FakeAws, written: str) -> Iterator[str]:
        """Those rules that a write to this table may break."""
        if written in {"stock", "sandbox"}:
            state = read(fake_aws)
            yield from buckets(state)
            yield from goods_before_money(state)
        elif written == "objects":
            objects = fake_aws.objects()
            yield from published_whole(objects)
            yield from (f"{key} has changed" for key, body in self._closed.items() if objects.get(key) != body)
            closed = {
                key.rpartition("/")[0] for key in objects if "/revision=" in key and key.endswith("manifest.json")
            }
            self._closed |= {key: body for key, body in objects.items() if key.rpartition("/")[0] in closed}


def check_everything(world: CrashWorld) -> list[str]:
    """Every rule that is broken, as a sentence; none when all is well. For a world at rest."""
    state = read(world.fake_aws)
    now_seconds = world.now // SECOND
    return [
        *buckets(state),
        *rules_of_stock.drops(state),
        *rules_of_stock.units(state, now_seconds),
        *rules_of_stock.budgets(state),
        *rules_of_money.purchases(state),
        *goods_before_money(state),
        *rules_of_money.payments(state),
        *rules_of_risk.declines(state),
        *rules_of_books.ledger(state),
        *published_whole(state.objects),
        *rules_of_books.closed_days(state),
        *rules_of_books.events(state),
        *_picture(world, state, now_seconds),
    ]


def _picture(world: CrashWorld, state: State, now_seconds: int) -> Iterator[str]:
    """Invariant 6: what watchers see is what there is."""
    shows = world.new_process().shows
    for show in {show for show, _ in state.listed}:
        live = shows.live(show, world.now)
        for drop in live.drops if live else ():
            real = counted(state.buckets[drop.drop_id], now_seconds)
            seen = {"available": drop.available, "held": drop.held, "sold": drop.sold, "size": drop.size}
            if seen != real:
                yield f"{drop.drop_id} is shown with {seen}, and has {real}"


def outcome(world: CrashWorld) -> dict[str, Any]:
    """What is determined by what everybody wanted, whatever died on the way: equal to that of an undisturbed run."""
    state = read(world.fake_aws)
    return {
        "purchases": {
            purchase_id: {
                "state": purchase.state,
                "lines": [(line.drop_id, line.quantity, line.unit_price) for line in purchase.lines],
                "about": (purchase.is_cart, purchase.shipping_option, purchase.destination, purchase.attempt),
                "totals": purchase.totals,
                "discounts": [(one.code, one.parts) for one in purchase.discounts],
                "failed": purchase.payment is not None and purchase.payment.failure is not None,
                "refunds": [(one.id, one.amount, one.restock, one.lines) for one in purchase.refunds],
                "cancelled": purchase.cancelled_at is not None,
            }
            for purchase_id, purchase in sorted(state.purchases.items())
        },
        "drops": {
            drop: {name: record.get(name) for name in _OF_A_DROP} | {"sold": counted(state.buckets[drop], 0)["sold"]}
            for drop, record in sorted(state.drops.items())
        },
        "budgets": {
            name: counted(buckets, 0)["sold"] for name, buckets in sorted(state.buckets.items()) if ":" in name
        },
        "revisions": state.revisions,
        "payments": {
            payment_id: (payment["status"], payment.get("captured"), payment.get("refunds"))
            for payment_id, payment in sorted(state.payments.items())
        },
        "ledger": sorted((rows[0]["id"], rows[0]["amount"], rows[0]["quantity"]) for rows in state.entries().values()),
        "events": sorted({event["id"] for event in state.events}),
        "interims": sorted(key for key in state.objects if "/interim/" in key),
    }


_OF_A_DROP = (
    *("stock", "draft", "pending", "plan_count", "opens_at", "closes_at"),
    *("suspended", "unit_price", "title", "applied"),
)
