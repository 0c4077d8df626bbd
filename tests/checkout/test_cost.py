"""DynamoDB units of an order, as the engine counts them. A change of cost is a visible diff."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from chalicelib.capture import process_attempt, process_event, store_event
from chalicelib.checkout import complete_purchase, create_purchase
from chalicelib.payments import EventKind, ProviderEvent, SandboxGateway
from chalicelib.purchase import PurchaseState
from chalicelib.risk import DeclineLimits, FraudRules, StepUpRule
from tests.builders.purchases import NOW, a_complete_request, a_purchase_request
from tests.builders.shop import ShopFixture, a_shop
from tests.conftest import EmulatorAccount

pytestmark = pytest.mark.emulator

Write = tuple[str, str, float]


class Meter:
    """Counts the capacity that each call of a DynamoDB client consumes, write by write."""

    def __init__(self, shop: ShopFixture) -> None:
        self.names = {shop.tables.stock: "stock", shop.tables.commerce: "commerce", shop.tables.sandbox: "sandbox"}
        self.writes: list[Write] = []
        events = shop.tables.dynamodb.meta.events
        events.register("provide-client-params.dynamodb", self._ask)  # type: ignore[arg-type]
        events.register("after-call.dynamodb", self._note)

    def _ask(self, params: dict[str, Any], model: Any, **_: Any) -> dict[str, Any]:
        return {**params, "ReturnConsumedCapacity": "TOTAL"}

    def _note(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        if model.name in ("GetItem", "BatchGetItem", "Query", "Scan"):
            return
        used = parsed.get("ConsumedCapacity", {"TableName": "", "CapacityUnits": 1.0})  # a refused write is billed too
        for capacity in used if isinstance(used, list) else [used]:
            self.writes.append(
                (model.name, self.names.get(capacity["TableName"], "refused"), capacity["CapacityUnits"])
            )

    @contextmanager
    def measured(self) -> Iterator[list[Write]]:
        self.writes = []
        yield self.writes


def test_meter_counts_transactions_and_refused_writes(emulator: EmulatorAccount) -> None:
    shop = a_shop(emulator.tables())
    meter = Meter(shop)
    with meter.measured() as writes:
        shop.put_drop("mug", stock=24)
        shop.stock.create_buckets("mug", [24], NOW)
    assert ("TransactWriteItems", "commerce") in [(operation, table) for operation, table, _ in writes]
    assert ("PutItem", "refused", 1.0) in writes


def test_one_line_express_order_costs_five_write_units(emulator: EmulatorAccount) -> None:
    everything = FraudRules(DeclineLimits(instrument=3, email=5, address=10), StepUpRule(declines=30, percent=40))
    shop = a_shop(emulator.tables(), fraud_rules=everything)
    shop.put_drop("mug", stock=200)
    meter = Meter(shop)
    with meter.measured() as creating:
        purchase = shop.open_purchase(("mug", 1))
    assert creating == [("UpdateItem", "stock", 1.0), ("PutItem", "commerce", 1.0)]
    with meter.measured() as completing:
        complete_purchase(shop.context, purchase.id, a_complete_request("ok_4242"), NOW)
    assert completing == [("PutItem", "commerce", 1.0), ("UpdateItem", "stock", 1.0)]
    with meter.measured() as capturing:
        process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.PAID
    own_writes = [write for write in capturing if write[1] != "sandbox"]
    assert own_writes == [("PutItem", "commerce", 1.0)]


def test_three_d_secure_costs_three_more_write_units_and_one_for_its_event(emulator: EmulatorAccount) -> None:
    shop = a_shop(emulator.tables())
    assert isinstance(shop.gateway, SandboxGateway)
    shop.put_drop("mug", stock=200)
    meter = Meter(shop)
    with meter.measured() as writes:
        purchase = shop.open_purchase(("mug", 1))
        complete_purchase(shop.context, purchase.id, a_complete_request("requires_action"), NOW)
        assert writes == [*PLAIN[:4]]
        process_attempt(shop.context, purchase.id, 1, NOW)
        reverted, waiting = ("UpdateItem", "stock", 1.0), ("PutItem", "commerce", 1.0)
        assert writes[4:] == [("PutItem", "sandbox", 1.0), reverted, waiting]
        del writes[:]
        shop.gateway.answer_challenge(purchase.id, 1, proved=True)
        provider_event = ProviderEvent("e", "sandbox", EventKind.PAYMENT, "t", purchase_id=purchase.id, attempt=1)
        assert store_event(shop.context, provider_event, NOW) == "stored"
        event = ("PutItem", "commerce", 1.0)
        assert writes == [("UpdateItem", "sandbox", 1.0), event]
        del writes[:]
        process_event(shop.context, "sandbox", "e", NOW)
    assert shop.read(purchase.id).state is PurchaseState.PAID
    sold_again, paid = ("UpdateItem", "stock", 1.0), ("PutItem", "commerce", 1.0)
    assert [write for write in writes if write[1] != "sandbox"] == [sold_again, paid]


def test_limit_per_buyer_costs_one_more_write_unit(emulator: EmulatorAccount) -> None:
    shop = a_shop(emulator.tables())
    shop.put_drop("mug", stock=200, limit_per_buyer=2)
    meter = Meter(shop)
    with meter.measured() as whole:
        purchase = shop.open_purchase(("mug", 1))
        complete_purchase(shop.context, purchase.id, a_complete_request(), NOW)
        process_attempt(shop.context, purchase.id, 1, NOW)
    assert shop.read(purchase.id).state is PurchaseState.PAID
    own_writes = [write for write in whole if write[1] != "sandbox"]
    assert own_writes == [
        ("UpdateItem", "stock", 1.0),
        ("PutItem", "commerce", 1.0),
        ("PutItem", "commerce", 1.0),  # count for the limit
        ("PutItem", "commerce", 1.0),
        ("UpdateItem", "stock", 1.0),
        ("PutItem", "commerce", 1.0),
    ]


def whole_order(shop: ShopFixture, code: str) -> list[Write]:
    """Return every write of a one-line order with a code, from create to paid, except the provider's own."""
    meter = Meter(shop)
    with meter.measured() as whole:
        purchase = shop.open_purchase(("mug", 1), discount_codes=(code,))
        complete_purchase(shop.context, purchase.id, a_complete_request(), NOW)
        process_attempt(shop.context, purchase.id, 1, NOW)
    paid = shop.read(purchase.id)
    assert (paid.state, paid.totals.discount) == (PurchaseState.PAID, 128)
    return [write for write in whole if write[1] != "sandbox"]


PLAIN = [
    ("UpdateItem", "stock", 1.0),  # hold the units
    ("PutItem", "commerce", 1.0),  # store the purchase
    ("PutItem", "commerce", 1.0),  # place the order
    ("UpdateItem", "stock", 1.0),  # commit the units
    ("PutItem", "commerce", 1.0),  # mark it paid
]
RESERVED, CONSUMED = ("UpdateItem", "stock", 1.0), ("UpdateItem", "stock", 1.0)
LIMITED = ("PutItem", "commerce", 1.0)


def test_discount_without_budget_costs_no_write(emulator: EmulatorAccount) -> None:
    shop = a_shop(emulator.tables())
    shop.put_drop("mug", stock=200)
    shop.put_discount("WELCOME10")
    assert whole_order(shop, "WELCOME10") == PLAIN


def test_discount_budget_costs_two_more_write_units(emulator: EmulatorAccount) -> None:
    shop = a_shop(emulator.tables())
    shop.put_drop("mug", stock=200)
    shop.put_discount("WELCOME10", budget_uses=100)
    assert whole_order(shop, "WELCOME10") == [*PLAIN[:2], RESERVED, *PLAIN[2:4], CONSUMED, PLAIN[4]]


def test_order_with_budget_and_limit_per_buyer_costs_eight_write_units(emulator: EmulatorAccount) -> None:
    shop = a_shop(emulator.tables())
    shop.put_drop("mug", stock=200)
    shop.put_discount("WELCOME10", budget_uses=100, limit_per_buyer=1)
    writes = whole_order(shop, "WELCOME10")
    assert writes == [*PLAIN[:2], LIMITED, RESERVED, *PLAIN[2:4], CONSUMED, PLAIN[4]]
    assert sum(units for _, _, units in writes) == 8


def test_second_budget_costs_two_more_write_units(emulator: EmulatorAccount) -> None:
    shop = a_shop(emulator.tables())
    shop.put_drop("mug", stock=200)
    money: dict[str, Any] = {
        "max_amount": {"amount": 500, "currency": "GBP"},
        "budget_amount": {"amount": 50_000, "currency": "GBP"},
    }
    shop.put_discount("WELCOME10", budget_uses=100, **money)
    assert sum(units for _, _, units in whole_order(shop, "WELCOME10")) == 9


def test_used_up_code_costs_no_write(emulator: EmulatorAccount) -> None:
    shop = a_shop(emulator.tables())
    shop.put_drop("mug", stock=200)
    shop.put_discount("WELCOME10", budget_uses=1)
    whole_order(shop, "WELCOME10")
    offered = shop.context.discounts.find("WELCOME10", NOW)
    assert offered is not None
    shop.stock.refresh(offered.discount.budgets[0].pool, NOW)
    meter = Meter(shop)
    with meter.measured() as late:
        answer = create_purchase(
            shop.context, a_purchase_request(("mug", 1), key="late", discount_codes=("WELCOME10",)), NOW + 2_000
        )
    assert [message.code for message in answer.messages] == ["discount_code_expired"]
    assert late == PLAIN[:2]


def test_limit_costs_two_write_units_beside_other_orders_and_one_when_it_is_reached(
    emulator: EmulatorAccount,
) -> None:
    shop = a_shop(emulator.tables())
    shop.put_drop("mug", stock=200, limit_per_buyer=2)
    shop.place(("mug", 1), key="first")
    second, third = (shop.open_purchase(("mug", 1), key=key) for key in ("second", "third"))
    meter = Meter(shop)
    with meter.measured() as counted:
        complete_purchase(shop.context, second.id, a_complete_request(), NOW)
    assert counted[:2] == [("PutItem", "refused", 1.0), ("UpdateItem", "commerce", 1.0)]
    with meter.measured() as refused:
        answer = complete_purchase(shop.context, third.id, a_complete_request(), NOW)
    assert [message.code for message in answer.messages] == ["limit_exceeded"]
    assert refused == [("PutItem", "refused", 1.0)]


def test_decline_costs_one_write_unit_for_each_velocity_key_and_drop(emulator: EmulatorAccount) -> None:
    rules = FraudRules(DeclineLimits(instrument=3, email=5, address=10), StepUpRule(declines=30, percent=40))
    shop = a_shop(emulator.tables(), fraud_rules=rules)
    shop.put_drop("mug", stock=200)
    meter = Meter(shop)
    for key, of_the_drop in (("first", ["refused", "commerce"]), ("second", ["commerce"])):
        placed = shop.place(("mug", 1), token="declined_4242", key=key)
        with meter.measured() as declining:
            process_attempt(shop.context, placed.id, 1, NOW)
        own_writes = [write for write in declining if write[1] != "sandbox"]
        assert own_writes == [
            ("UpdateItem", "commerce", 1.0),  # instrument
            ("UpdateItem", "commerce", 1.0),  # e-mail
            ("UpdateItem", "commerce", 1.0),  # address
            ("UpdateItem", "stock", 1.0),  # revert to a hold
            ("PutItem", "commerce", 1.0),  # reopen the purchase
            *[("UpdateItem", table, 1.0) for table in of_the_drop],
        ]


def test_create_after_sold_out_costs_no_write(emulator: EmulatorAccount) -> None:
    shop = a_shop(emulator.tables())
    shop.put_drop("mug", stock=1)
    shop.pay(("mug", 1))
    drop = shop.shows.drop("mug")
    assert drop is not None
    shop.stock.refresh(drop.pool, now=NOW + 1_500)
    meter = Meter(shop)
    with meter.measured() as refused:
        answer = create_purchase(shop.context, a_purchase_request(("mug", 1), key="late"), NOW + 3_000)
    assert [message.code for message in answer.messages] == ["out_of_stock"]
    assert refused == []
