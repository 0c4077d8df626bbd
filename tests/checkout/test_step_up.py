"""Step-up: a drop with many declined payments requires authentication for a while."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.capture import process_attempt
from chalicelib.checkout import complete_purchase
from chalicelib.instants import MINUTE, SECOND, Instant
from chalicelib.payments import SandboxGateway
from chalicelib.purchase import CheckoutResult, PurchaseState
from chalicelib.risk import FraudRules, StepUpRule
from tests.builders.purchases import NOW, a_complete_request
from tests.builders.shop import ShopFixture, a_shop
from tests.checkout.actions import another_buyer, attempt_payment, complete_new_purchase
from tests.conftest import Tables


@pytest.fixture
def shop(tables: Tables) -> ShopFixture:
    shop = a_shop(tables, fraud_rules=FraudRules(step_up=StepUpRule(3, 50, 5 * MINUTE, 30 * MINUTE)))
    shop.put_drop("mug", stock=40)
    return shop


def attack(shop: ShopFixture, now: Instant = NOW) -> None:
    for number in range(3):
        attempt_payment(shop, f"attack-{number}-{now}", now=now, **another_buyer(100 + number))


def test_drop_under_attack_requires_authentication_from_each_of_its_buyers(shop: ShopFixture) -> None:
    shop.put_drop("lamp", stock=3)
    attack(shop)
    placed = complete_new_purchase(shop, "honest", now=NOW + SECOND, **another_buyer(1)).purchase
    assert placed.payment is not None
    assert placed.payment.step_up
    process_attempt(shop.context, placed.id, 1, NOW + SECOND)
    assert shop.read(placed.id).state is PurchaseState.AWAITING_BUYER
    shop.gateway.answer_challenge(placed.id, 1, proved=True)
    process_attempt(shop.context, placed.id, 1, NOW + 2 * SECOND)
    assert shop.read(placed.id).state is PurchaseState.PAID
    lamp = shop.open_purchase(("lamp", 1), key="lamp", **another_buyer(2))
    elsewhere = complete_purchase(shop.context, lamp.id, a_complete_request(), NOW + SECOND)
    assert isinstance(elsewhere, CheckoutResult)
    assert elsewhere.purchase.payment is not None
    assert not elsewhere.purchase.payment.step_up


def test_step_up_ends_by_itself(shop: ShopFixture) -> None:
    attack(shop)
    after = NOW + 31 * MINUTE
    placed = complete_new_purchase(shop, "after", now=after, **another_buyer(1)).purchase
    assert placed.payment is not None
    assert not placed.payment.step_up


def test_every_run_of_an_attempt_sends_the_provider_the_same_request(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = complete_new_purchase(shop, "before", **another_buyer(1)).purchase
    attack(shop)
    asked: list[bool] = []
    authorise = SandboxGateway.authorise

    def noted(self: SandboxGateway, order: Any, **more: Any) -> Any:
        asked.append(order.step_up)
        return authorise(self, order, **more)

    monkeypatch.setattr(SandboxGateway, "authorise", noted)
    process_attempt(shop.context, before.id, 1, NOW + SECOND)
    assert (shop.read(before.id).state, asked) == (PurchaseState.PAID, [False])


@pytest.mark.parametrize(("percent", "step_up"), [(50, True), (51, False)])
def test_declines_beside_as_many_sales_are_half_of_the_attempts(tables: Tables, percent: int, step_up: bool) -> None:
    shop = a_shop(tables, fraud_rules=FraudRules(step_up=StepUpRule(4, percent)))
    shop.put_drop("mug", stock=9)
    drop = shop.shows.drop("mug")
    assert drop is not None
    attempt_payment(shop, "bad")
    for number in range(4):
        attempt_payment(shop, f"good-{number}", "ok")
        shop.stock.refresh(drop.pool, now=NOW + number)
    for number in range(3):
        assert not shop.context.risk.requires_step_up("mug", NOW + number * SECOND)
        attempt_payment(shop, f"bad-{number}")
    assert shop.context.risk.requires_step_up("mug", NOW + 3 * SECOND) is step_up  # 4 declined, 4 sold
