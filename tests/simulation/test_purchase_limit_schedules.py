"""No schedule of one buyer's completions places more units than the drop's limit (Invariant 3d).

The product's own code runs in the simulator, in phases between which holds expire. At rest, after everything has
expired, the buyer can place what the limit leaves. A rival between the count and the placing of an order is too rare
for a search: tests/checkout/test_purchase_limits_overtaken.py injects it at that point, with its controls.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, cast

import pytest

from chalicelib.aws import to_item
from chalicelib.capture import process_attempt
from chalicelib.checkout import cancel_purchase, complete_purchase, create_purchase, purchase_limits, update_purchase
from chalicelib.instants import SECOND
from chalicelib.payments import SandboxGateway
from chalicelib.purchase import CheckoutContext, CheckoutResult, Purchase, PurchaseState, Refused, Written
from chalicelib.purchase.store import LimitEntry, LimitStore, LimitUsage
from tests.builders.context import a_checkout_context
from tests.builders.drops import an_open_drop, put_drop_record
from tests.builders.purchases import PLATFORM, a_complete_request, a_purchase_request
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB
from tests.simulation.schedule_search import ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FAULT_CLASSES, RETRYABLE_ERRORS, Simulator

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAUSES = (1_000, 25_000, 33_000, 50_000, 70_000, 130_000)
CLOCK_JUMPS = (1_000, 4_000)
SIZES, LIMIT, PURCHASES, PHASES = [8, 8], 2, 2, 3


class LimitWorld:
    """More units of one drop than the limit, purchases of one buyer, and the limit, checked after every write."""

    def __init__(self, seed: int) -> None:
        self.simulator = Simulator(seed, self.check_invariants)
        self.random = Random(seed)
        self.gateway = SandboxGateway(cast("DynamoDBClient", StrictFakeDynamoDB()), "sandbox")
        drop = an_open_drop(stock=sum(SIZES), bucket_count=len(SIZES), hold_seconds=30, limit_per_buyer=LIMIT)
        put_drop_record(self.simulator.table, drop)
        self.context = self.new_context()
        self.context.stock.create_buckets("mug", SIZES, self.simulator.now)
        self.purchase_ids = [
            self.open_purchase(f"p{index}", self.random.choice([1, 1, 2])) for index in range(PURCHASES)
        ]

    def new_context(self) -> CheckoutContext:
        """Build what another process has: the same tables, caches of its own."""
        return a_checkout_context(self.simulator.client, "stock", "commerce", self.gateway)

    def check_invariants(self) -> None:
        assert self.placed_units() <= LIMIT

    def placed_units(self) -> int:
        """Count the units of all orders."""
        return sum(
            line["q"]
            for place, item in self.simulator.table.items.items()
            if place[-1] == "PURCHASE" and item["state"] in ("placed", "paid")
            for line in item["lines"]
        )

    def open_purchase(self, key: str, quantity: int) -> str:
        answer = create_purchase(self.context, a_purchase_request(("mug", quantity), key=key), self.simulator.now)
        assert isinstance(answer, CheckoutResult)
        return answer.purchase.id

    def complete(self, context: CheckoutContext, purchase_id: str, key: str, token: str) -> CheckoutResult:
        answer = complete_purchase(context, purchase_id, a_complete_request(token, key), self.simulator.now)
        assert isinstance(answer, CheckoutResult)
        return answer

    def buyer_process(self, name: str) -> Callable[[], None]:
        """Complete purchases in one of the buyer's sessions, update or cancel some, and capture some attempts."""
        context, random = self.new_context(), Random(f"{name}{self.random.random()}")

        def step(turn: int) -> None:
            purchase_id, chance = random.choice(self.purchase_ids), random.random()
            if chance < 0.25:
                request = a_purchase_request(("mug", random.choice([1, 2])), key=f"{name}{turn}")
                update_purchase(context, purchase_id, request, self.simulator.now)
            elif chance < 0.27:
                cancel_purchase(context, purchase_id, PLATFORM, f"{name}{turn}", "", self.simulator.now)
            elif chance < 0.4:
                process_attempt(context, purchase_id, random.choice([1, 2]), self.simulator.now)
            else:
                self.complete(context, purchase_id, f"{name}{turn}", random.choice(["ok", "declined"]))

        def run() -> None:
            for turn in range(4):
                try:
                    step(turn)
                except RETRYABLE_ERRORS:
                    continue

        return run

    def check_at_rest(self) -> None:
        """Check, once all holds have expired, that the buyer can place exactly what the limit leaves."""
        for pause in (61 * SECOND, 10_000 * SECOND):
            self.simulator.advance_clock(pause)
            for purchase in self.purchases():
                if purchase.state is PurchaseState.PLACED:
                    process_attempt(self.context, purchase.id, purchase.attempt, self.simulator.now)
        room = LIMIT - self.placed_units()
        self.simulator.events_seen["room left" if room else "no room left"] += 1
        for late in range(room + 1):
            answer = self.complete(self.context, self.open_purchase(f"late{late}", 1), f"pay-late{late}", "ok")
            assert (answer.purchase.state is PurchaseState.PLACED) == (late < room)

    def purchases(self) -> list[Purchase]:
        found = [self.context.purchases.read(purchase_id) for purchase_id in self.purchase_ids]
        return [purchase for purchase in found if purchase is not None]


def run_schedule(seed: int, faults: str) -> Counter[str]:
    world = LimitWorld(seed)
    for phase in range(PHASES):
        for session in range(3):
            world.simulator.add_process(world.buyer_process(f"a{phase}w{session}"), FAULT_CLASSES[faults])
        world.simulator.run(CLOCK_JUMPS)
        world.simulator.advance_clock(world.random.choice(PAUSES))
    world.check_at_rest()
    return world.simulator.events_seen


@parametrize_seeds(40)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
def test_no_schedule_goes_beyond_the_limit_or_refuses_what_it_leaves(
    search: ScheduleSearch, faults: str, seeds: range
) -> None:
    expected = ["room left", "no room left"]
    search.expect_invariants_hold(
        f"limit, {faults}", seeds, lambda seed: run_schedule(seed, faults), expected_events=expected
    )


def test_the_search_catches_reading_then_writing(search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    def read_then_put(
        self: LimitStore, buyer: str, drop_id: str, purchase_id: str, entry: LimitEntry
    ) -> Written | Refused[LimitUsage]:
        item = self.dynamodb.get_item(
            TableName=self.commerce_table, Key={"pk": {"S": f"LIMIT#{buyer}"}, "sk": {"S": f"DROP#{drop_id}"}}
        ).get("Item")
        if item is None:
            values = {purchase_id: {"q": entry.units, "v": entry.version, "t": entry.counted_at}}
            record = {"pk": f"LIMIT#{buyer}", "sk": f"DROP#{drop_id}", "entries": values, "units": entry.units}
            always = "attribute_not_exists(pk) OR attribute_exists(pk)"
            self.dynamodb.put_item(TableName=self.commerce_table, Item=to_item(record), ConditionExpression=always)
            return Written()
        return real(self, buyer, drop_id, purchase_id, entry)

    real = LimitStore.create
    monkeypatch.setattr(LimitStore, "create", read_then_put)
    search.expect_control_caught("reading, then writing the limit", 1_000, lambda seed: run_schedule(seed, "doubled"))


def test_the_search_catches_limit_entries_that_never_expire(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purchase_limits, "_live_entries", lambda context, buyer, drop_id, usage, now: usage)
    search.expect_control_caught("limit entries that never expire", 1_000, lambda seed: run_schedule(seed, "doubled"))
