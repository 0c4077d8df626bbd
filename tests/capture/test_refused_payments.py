"""Payments that the provider refuses for the shop's own fault: no units are lost and no buyer is blamed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.capture import fail_attempt, process_attempt
from chalicelib.capture.attempt import Failed
from chalicelib.instants import MINUTE
from chalicelib.purchase import PurchaseState
from chalicelib.risk import DeclineLimits, FraudRules
from tests.builders.purchases import NOW
from tests.builders.shop import ShopFixture, a_shop
from tests.conftest import Tables
from tests.doubles.stripe import Account, Behaviour, faults
from tests.payments.stripe_requests import VISA, gateway_of

ORDERS = 6


@pytest.fixture
def account() -> Account:
    """An account that may not charge: Stripe refuses each payment."""
    account = Account(Behaviour.kind())
    for _ in range(ORDERS):
        account.fail_next("payment_intents.create", faults.refused("account_invalid"))
    return account


@pytest.fixture
def shop(tables: Tables, account: Account) -> ShopFixture:
    shop = a_shop(tables, fraud_rules=FraudRules(DeclineLimits(instrument=1, email=1, address=1)))
    shop.put_drop("mug", stock=ORDERS)
    return replace(shop, context=replace(shop.context, gateway=gateway_of(account)))


def test_refused_payments_hold_their_units_and_let_them_expire(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []
    monkeypatch.setattr(fail_attempt, "count", counted.append)
    placed = [shop.place(("mug", 1), token=VISA, key=f"key-{number}") for number in range(ORDERS)]
    assert shop.unit_counts("mug") == (0, 0, ORDERS)
    for purchase in placed:
        assert process_attempt(shop.context, purchase.id, 1, NOW) == Failed("account_invalid")
    assert {shop.read(purchase.id).state for purchase in placed} == {PurchaseState.OPEN}
    assert shop.unit_counts("mug") == (0, ORDERS, 0)
    assert shop.unit_counts("mug", NOW + 10 * MINUTE) == (ORDERS, 0, 0)
    assert counted == []


@pytest.mark.parametrize(
    ("token", "fault", "calls"),
    [
        ("pm_made_up", None, ["payment_intents.create"]),
        ("made_up", None, []),
        (VISA, faults.refused("account_invalid"), ["payment_intents.create"]),
        (VISA, faults.refused("used_payment_method"), ["payment_intents.create", "payment_intents.search"]),
        (VISA, faults.refused("used_token"), ["payment_intents.create", "payment_intents.search"]),
    ],
)
def test_refused_creation_reads_no_list(
    tables: Tables, token: str, fault: faults.Fault | None, calls: list[str]
) -> None:
    """So a flood of made-up or used tokens costs honest buyers a call or two each, however many payments there are."""
    account = Account(Behaviour.kind())
    if fault is not None:
        account.fail_next("payment_intents.create", fault)
    shop = a_shop(tables)
    shop.put_drop("mug", stock=1)
    shop = replace(shop, context=replace(shop.context, gateway=gateway_of(account)))
    placed = shop.place(("mug", 1), token=token)
    assert isinstance(process_attempt(shop.context, placed.id, 1, NOW), Failed)
    assert account.operations() == calls
    assert (shop.read(placed.id).state, shop.unit_counts("mug")) == (PurchaseState.OPEN, (0, 1, 0))


def test_refused_payment_does_not_count_against_its_buyer(shop: ShopFixture) -> None:
    """The limits of this shop allow one decline: a second order of the same buyer would be refused otherwise."""
    for number in range(2):
        placed = shop.place(("mug", 1), token=VISA, key=f"key-{number}")
        assert placed.state is PurchaseState.PLACED
        process_attempt(shop.context, placed.id, 1, NOW)
