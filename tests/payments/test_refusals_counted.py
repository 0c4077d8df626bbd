"""Each refusal of Stripe for which an alarm goes off is counted in its situation, and a payment that works in none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.payments import ProviderBusyError
from chalicelib.payments.stripe import calls
from chalicelib.payments.stripe import gateway as gateway_module
from chalicelib.payments.stripe.gateway import StripeGateway
from tests.doubles.stripe import API_KEY, Account, faults
from tests.payments.stripe_requests import NOW, a_captured_payment, a_request, authorise, capture

CREATE = "payment_intents.create"


def refuse_the_key(account: Account, gateway: StripeGateway) -> None:
    account.set_key(API_KEY, None)
    with pytest.raises(ProviderBusyError):
        gateway.authorise(a_request(), now=NOW)


def use_a_token_twice(account: Account, gateway: StripeGateway) -> None:
    for purchase in ("p1", "p2"):
        gateway.authorise(a_request("ctoken_visa_1", purchase_id=purchase), now=NOW)


def refuse_the_creation(account: Account, gateway: StripeGateway) -> None:
    account.fail_next(CREATE, faults.refused("account_invalid"))
    gateway.authorise(a_request(), now=NOW)


def refuse_the_capture(account: Account, gateway: StripeGateway) -> None:
    provider_id = authorise(gateway)
    account.fail_next("payment_intents.capture", faults.refused("account_invalid"))
    capture(gateway, provider_id)


def pay_an_attempt_twice(account: Account, gateway: StripeGateway) -> None:
    for tries in (0, 1):
        authorise(gateway, a_request(tries=tries))
    account.advance(3_600)
    gateway.find("p1", 1, now=NOW + 3_600_000, since=NOW, began_at=NOW)


def decline_a_card(account: Account, gateway: StripeGateway) -> None:
    account.fail_next(CREATE, faults.refused("generic_decline"))
    gateway.authorise(a_request(), now=NOW)


def pay(account: Account, gateway: StripeGateway) -> None:
    a_captured_payment(gateway)


@pytest.mark.parametrize(
    ("situation", "counted"),
    [
        (refuse_the_key, ["provider_key_refused"]),
        (use_a_token_twice, ["tokens_refused"]),
        (refuse_the_creation, ["payments_refused"]),
        (refuse_the_capture, ["payments_refused"]),
        (pay_an_attempt_twice, ["surplus_payments"]),
        (decline_a_card, []),
        (pay, []),
    ],
)
def test_each_refusal_is_counted_in_its_situation(
    account: Account,
    gateway: StripeGateway,
    monkeypatch: pytest.MonkeyPatch,
    situation: Callable[[Account, StripeGateway], Any],
    counted: list[str],
) -> None:
    counts: list[str] = []
    for module in (calls, gateway_module):
        monkeypatch.setattr(module, "count", counts.append)
    situation(account, gateway)
    assert counts == counted
