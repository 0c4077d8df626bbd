"""No interleaving of one buyer's completions, cuts and late writes places more units than the drop's limit.

The product's own code on the stage, in acts between which holds lapse. In each schedule, when all is quiet and
everything has lapsed, what the limit leaves can be had.
(Being overtaken between counting and freezing is too narrow for a search: tests/checkout/test_purchase_limits.py
puts the rival at the very point, with its controls.)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, cast

import pytest
from botocore.exceptions import BotoCoreError

from chalicelib import checkout
from chalicelib.aws import to_item
from chalicelib.capture import process_attempt
from chalicelib.checkout import cancel_purchase, complete_purchase, purchase_limits, update_purchase
from chalicelib.errors import LivedropError
from chalicelib.instants import SECOND
from chalicelib.payments import SandboxGateway
from chalicelib.purchase import (
    Buyer,
    Caller,
    CheckoutContext,
    CheckoutResult,
    CompleteRequest,
    Destination,
    LineRequest,
    Purchase,
    PurchaseRequest,
    PurchaseState,
    Refused,
    Written,
)
from chalicelib.purchase.store import LimitEntry, LimitStore, LimitUsage
from chalicelib.shows import Drop
from tests.builders.context import a_checkout_context
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB
from tests.simulation.schedule_search import ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FAULT_CLASSES, Simulator

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

PAUSES = (1_000, 25_000, 33_000, 50_000, 70_000, 130_000)
CLOCK_JUMPS = (1_000, 4_000)
SIZES, LIMIT, PURCHASES, PHASES = [8, 8], 2, 2, 3
RETRYABLE_ERRORS = (BotoCoreError, LivedropError)


class LimitWorld:
    """Plenty of units of one drop, purchases of one buyer, and the limit that must hold after every write."""

    def __init__(self, seed: int) -> None:
        self.simulator = Simulator(seed, self.check_invariants)
        self.random = Random(seed)
        self.gateway = SandboxGateway(cast("DynamoDBClient", StrictFakeDynamoDB()), "sandbox")
        drop = Drop(
            id="mug",
            show_id="s",
            sku="m",
            title="Mug",
            unit_price=1_000,
            currency="GBP",
            stock=sum(SIZES),
            bucket_count=2,
            hold_seconds=30,
            limit_per_buyer=LIMIT,
            opens_at=0,
        )
        record = {"pk": "DROP#mug", "sk": "DROP", **drop.model_dump(exclude_none=True)}
        self.simulator.table.put_item(
            TableName="commerce", Item=to_item(record), ConditionExpression="attribute_not_exists(pk)"
        )
        self.context = self.new_context()
        self.context.stock.create_buckets("mug", SIZES, self.simulator.now)
        self.purchase_ids = [
            self.create_purchase(f"p{index}", self.random.choice([1, 1, 2])) for index in range(PURCHASES)
        ]

    def new_context(self) -> CheckoutContext:
        """What another process has: the same tables, a memory of its own."""
        return a_checkout_context(self.simulator.client, "stock", "commerce", self.gateway)

    def check_invariants(self) -> None:
        assert self.placed_units() <= LIMIT

    def placed_units(self) -> int:
        """Units of the orders that there are."""
        return sum(
            line["q"]
            for place, item in self.simulator.table.items.items()
            if place[-1] == "PURCHASE" and item["state"] in ("placed", "paid")
            for line in item["lines"]
        )

    def change(self, key: str, quantity: int) -> PurchaseRequest:
        return PurchaseRequest(
            Caller("web"),
            key,
            f"{key} {quantity}",
            (LineRequest("mug", quantity),),
            buyer=Buyer(email="a@example.com"),
            destination=Destination(street_address="1 High Street", address_country="GB"),
        )

    def create_purchase(self, key: str, quantity: int) -> str:
        answer = checkout.create_purchase(self.context, self.change(key, quantity), self.simulator.now)
        assert isinstance(answer, CheckoutResult)
        return answer.purchase.id

    def complete(self, context: CheckoutContext, purchase_id: str, key: str, token: str) -> CheckoutResult:
        request = CompleteRequest(Caller("web"), key, token, "sandbox", "i", "card", token)
        answer = complete_purchase(context, purchase_id, request, self.simulator.now)
        assert isinstance(answer, CheckoutResult)
        return answer

    def buyer_process(self, name: str) -> Callable[[], None]:
        """One of the buyer's windows: completes purchases, changes some, gives some up; its worker may decline."""
        context, random = self.new_context(), Random(f"{name}{self.random.random()}")

        def step(turn: int) -> None:
            purchase_id, chance = random.choice(self.purchase_ids), random.random()
            if chance < 0.25:
                update_purchase(
                    context, purchase_id, self.change(f"{name}{turn}", random.choice([1, 2])), self.simulator.now
                )
            elif chance < 0.27:
                cancel_purchase(context, purchase_id, Caller("web"), f"{name}{turn}", "", self.simulator.now)
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
        """All is quiet, attempts have ended, holds have lapsed: the room that orders leave is had, and not one more."""
        for pause in (61 * SECOND, 10_000 * SECOND):
            self.simulator.advance_clock(pause)
            for purchase in self.purchases():
                if purchase.state is PurchaseState.PLACED:
                    process_attempt(self.context, purchase.id, purchase.attempt, self.simulator.now)
        room = LIMIT - self.placed_units()
        self.simulator.events_seen["room left" if room else "no room left"] += 1
        for late in range(room + 1):
            answer = self.complete(self.context, self.create_purchase(f"late{late}", 1), f"pay-late{late}", "ok")
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
    met = ["room left", "no room left"]
    search.expect_invariants_hold(
        f"limit, {faults}", seeds, lambda seed: run_schedule(seed, faults), expected_events=met
    )


def test_the_search_catches_reading_then_writing(search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    def begin(
        self: LimitStore, buyer: str, drop_id: str, purchase_id: str, entry: LimitEntry
    ) -> Written | Refused[LimitUsage]:
        item = self.dynamodb.get_item(
            TableName=self.commerce_table, Key={"pk": {"S": f"LIMIT#{buyer}"}, "sk": {"S": f"DROP#{drop_id}"}}
        ).get("Item")
        if item is None:
            values = {purchase_id: {"q": entry.units, "v": entry.version, "t": entry.counted_at}}
            record = {"pk": f"LIMIT#{buyer}", "sk": f"DROP#{drop_id}", "entries": values, "units": entry.units}
            anyway = "attribute_not_exists(pk) OR attribute_exists(pk)"
            self.dynamodb.put_item(TableName=self.commerce_table, Item=to_item(record), ConditionExpression=anyway)
            return Written()
        return real(self, buyer, drop_id, purchase_id, entry)

    real = LimitStore.create
    monkeypatch.setattr(LimitStore, "create", begin)
    search.expect_control_caught("reading, then writing the limit", 1_000, lambda seed: run_schedule(seed, "doubled"))


def test_the_search_catches_limit_entries_that_never_expire(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purchase_limits, "_live_entries", lambda context, buyer, drop_id, tally, now: tally)
    search.expect_control_caught(
        "limit entries that are never forgotten", 1_000, lambda seed: run_schedule(seed, "doubled")
    )
