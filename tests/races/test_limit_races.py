"""One buyer completes many purchases at once on the emulator (Invariant 3d), with a control that reads, then writes."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from random import Random
from threading import Barrier

import pytest

from chalicelib import checkout
from chalicelib.aws import to_item
from chalicelib.capture import process_attempt
from chalicelib.checkout import cancel_purchase
from chalicelib.errors import WriteConflict
from chalicelib.instants import MINUTE, SECOND, Instant
from chalicelib.purchase import CheckoutResult, Purchase, PurchaseState, PurchaseStore, Refused, Written
from chalicelib.purchase.store import LimitEntry, LimitStore, LimitUsage, _limit_item_key, _limit_values
from chalicelib.refunds import refund_order
from tests.builders.purchases import NOW, PLATFORM, a_complete_request, a_refund_request
from tests.builders.shop import ShopFixture, a_shop
from tests.conftest import EmulatorAccount

pytestmark = pytest.mark.emulator

LIMIT, PURCHASES, THREADS = 2, 24, 16


def open_limited_shop(emulator: EmulatorAccount, quantities: list[int]) -> tuple[ShopFixture, list[Purchase]]:
    """Open a shop in the emulator, and purchases of one buyer whose units are all held."""
    shop = a_shop(emulator.tables())
    shop.put_drop("mug", stock=200, limit_per_buyer=LIMIT)
    return shop, [shop.open_purchase(("mug", units), key=f"p{index}") for index, units in enumerate(quantities)]


def all_at_once(step: Callable[[Purchase], object], purchases: list[Purchase]) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(step, purchases))


def complete_purchase(shop: ShopFixture, purchase: Purchase, key: str = "pay", now: Instant = NOW) -> None:
    for _ in range(20):
        try:
            assert isinstance(
                checkout.complete_purchase(shop.context, purchase.id, a_complete_request("ok", key), now),
                CheckoutResult,
            )
        except WriteConflict:
            continue
        return
    raise AssertionError("still contended after all tries")


def units_placed(shop: ShopFixture, purchases: list[Purchase]) -> int:
    """Count the units of all orders, less refunded ones, from the purchases."""
    current = [shop.read(purchase.id) for purchase in purchases]
    ordered = [one for one in current if one.state in (PurchaseState.PLACED, PurchaseState.PAID)]
    refunded_units = sum(part.quantity for one in ordered for refund in one.refunds for part in refund.lines)
    return sum(line.quantity for one in ordered for line in one.lines) - refunded_units


def test_concurrent_orders_of_one_buyer_reach_the_limit_and_no_more(emulator: EmulatorAccount) -> None:
    shop, purchases = open_limited_shop(emulator, [1] * PURCHASES)
    all_at_once(lambda purchase: complete_purchase(shop, purchase), purchases)
    assert units_placed(shop, purchases) == LIMIT
    (paid,) = [one for one in purchases if shop.read(one.id).state is PurchaseState.PLACED][:1]
    process_attempt(shop.context, paid.id, 1, NOW)
    refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1), restock=True), NOW)
    all_at_once(lambda purchase: complete_purchase(shop, purchase, "pay-again"), purchases)
    assert units_placed(shop, purchases) == LIMIT


def test_concurrent_orders_with_deaths_and_cancellations_leave_the_rest_of_the_limit_available(
    emulator: EmulatorAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some processes die after they counted, and some purchases are cancelled. Later the limit is available again."""
    shop, purchases = open_limited_shop(emulator, [Random(index).choice([1, 1, 2]) for index in range(PURCHASES)])
    dying = {purchase.id for index, purchase in enumerate(purchases) if index % 3 == 0}
    real = PurchaseStore.replace

    def replace(self: PurchaseStore, purchase: Purchase, *, room: int = 0) -> Written | Refused[Purchase]:
        if purchase.state is PurchaseState.PLACED and purchase.id in dying:
            raise SystemExit
        return real(self, purchase, room=room)

    def step(purchase: Purchase) -> None:
        chance = Random(purchase.id)
        try:
            if chance.random() < 0.2:
                cancel_purchase(shop.context, purchase.id, PLATFORM, "cancel", "", NOW)
            complete_purchase(shop, purchase)
        except SystemExit:
            return

    monkeypatch.setattr(PurchaseStore, "replace", replace)
    all_at_once(step, purchases * 2)
    assert units_placed(shop, purchases) <= LIMIT
    monkeypatch.setattr(PurchaseStore, "replace", real)
    later = NOW + 10 * MINUTE
    fresh = [shop.open_purchase(("mug", 1), key=f"late{index}", now=later) for index in range(THREADS)]
    all_at_once(lambda purchase: complete_purchase(shop, purchase, "late", later), fresh)
    assert units_placed(shop, [*purchases, *fresh]) == LIMIT


def test_control_that_reads_then_writes_exceeds_the_limit(
    emulator: EmulatorAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop, purchases = open_limited_shop(emulator, [1] * THREADS)
    all_have_read = Barrier(THREADS)

    def read_then_put(
        self: LimitStore, buyer: str, drop_id: str, purchase_id: str, entry: LimitEntry
    ) -> Written | Refused[LimitUsage]:
        """Read the buyer's entries, decide, and write them back with one more, without a condition."""
        key = to_item(_limit_item_key(buyer, drop_id))
        item = self.dynamodb.get_item(TableName=self.commerce_table, Key=key, ConsistentRead=True).get("Item")
        all_have_read.wait(timeout=30)
        assert item is None
        values = to_item(_limit_values({purchase_id: entry}, NOW // SECOND))
        self.dynamodb.put_item(TableName=self.commerce_table, Item={**key, **values})
        return Written()

    monkeypatch.setattr(LimitStore, "create", read_then_put)
    all_at_once(lambda purchase: complete_purchase(shop, purchase), purchases)
    assert units_placed(shop, purchases) > LIMIT
