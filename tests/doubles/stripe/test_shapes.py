"""The shapes of objects are those of the SDK's types (specification 13.7)."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
import stripe

from tests.doubles.stripe import Account
from tests.doubles.stripe.api import ROUTES
from tests.doubles.stripe.calls import capture
from tests.doubles.stripe.state import wire

TYPES: dict[str, Any] = {
    "payment_intent": stripe.PaymentIntent,
    "charge": stripe.Charge,
    "refund": stripe.Refund,
    "dispute": stripe.Dispute,
    "balance_transaction": stripe.BalanceTransaction,
    "payout": stripe.Payout,
    "event": stripe.Event,
    "payment_method": stripe.PaymentMethod,
    "confirmation_token": stripe.ConfirmationToken,
    "review": stripe.Review,
    "radar.early_fraud_warning": stripe.radar.EarlyFraudWarning,
}


@pytest.fixture(scope="module")
def account() -> Account:
    """Return an account that has an object of each kind."""
    account = Account()
    account.make_confirmation_token()
    name = capture(account.client(), "pm_card_review").id
    account.advance(3)
    account.console_refund(name, 100)
    account.open_dispute(name)
    account.warn_of_fraud(name)
    account.advance(4 * 86_400)
    return account


@pytest.mark.parametrize("kind", TYPES)
def test_an_object_has_only_members_that_its_type_has(account: Account, kind: str) -> None:
    record = account.records(kind)[0]
    allowed = set(TYPES[kind].__annotations__) | {"object"}
    assert set(wire(record)) - allowed == set()
    assert record["object"] == TYPES[kind].OBJECT_NAME


OPTIONAL = {
    "payment_intent": {
        "allowed_payment_method_types",
        "hooks",
        "managed_payments",
        "payment_details",
        "payment_record",
    },
    "charge": {"authorization_code", "level3", "receipt_number", "refunds", "transfer", "source"},
    "balance_transaction": set(),
    "payout": set(),
    "event": set(),
    "dispute": {"intended_submission_method"},
    "review": set(),
}
"""Members that only some objects have."""


@pytest.mark.parametrize("kind", OPTIONAL)
def test_an_object_has_all_members_that_are_always_there(account: Account, kind: str) -> None:
    members = set(TYPES[kind].__annotations__) - {"OBJECT_NAME"} - OPTIONAL[kind]
    assert members - set(wire(account.records(kind)[0])) == set()


@pytest.mark.parametrize("kind", TYPES)
def test_members_of_the_double_itself_are_never_sent(account: Account, kind: str) -> None:
    assert [name for one in account.records(kind) for name in wire(one) if name.startswith("_")] == []


@pytest.mark.parametrize("route", [route for route in ROUTES if route.classes], ids=lambda route: route.operation)
def test_each_route_has_a_class_of_parameters_in_the_sdk(route: Any) -> None:
    module, name = route.classes
    assert hasattr(import_module(f"stripe.params.{module}"), name)
