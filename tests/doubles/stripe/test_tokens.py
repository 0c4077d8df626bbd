"""Instruments: which tokens there are, and how often each works (X2, X3, X5)."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.doubles.stripe import Account, Behaviour
from tests.doubles.stripe.calls import create, refusal_of
from tests.doubles.stripe.tokens import CARDS


@pytest.mark.parametrize("card", CARDS)
@pytest.mark.parametrize("form", ["pm_card_{}", "pm_card_{}_7", "ctoken_{}", "ctoken_{}_7"])
def test_each_card_has_tokens_of_each_form(client: stripe.StripeClient, card: str, form: str) -> None:
    token = form.format(card)
    if CARDS[card].decline or CARDS[card].soft_decline:
        error = refusal_of(lambda: create(client, token))
        assert (error.http_status, error.error.payment_intent.status) == (402, "requires_payment_method")
    else:
        expected = "requires_action" if CARDS[card].challenge == "always" else "requires_capture"
        assert create(client, token).status == expected
    again = refusal_of(lambda: create(client, token)) if form != "pm_card_{}" else None
    assert again is None or (again.http_status, again.code) == (400, None)


def test_a_suffix_makes_an_instrument_of_its_own(client: stripe.StripeClient) -> None:
    names = [create(client, f"ctoken_visa_{number}").payment_method for number in range(2)]
    assert len(set(names)) == 2
    assert create(client, "pm_card_visa_7").payment_method == "pm_card_visa_7"


@pytest.mark.parametrize("is_used", [True, False])
def test_a_declined_payment_method_may_count_as_used(is_used: bool) -> None:
    client = Account(Behaviour(declined_payment_method_is_used=is_used)).client()
    errors = [refusal_of(lambda: create(client, "pm_card_chargeDeclined_1")) for _ in range(2)]
    assert [one.http_status for one in errors] == [402, 400 if is_used else 402]


@pytest.mark.parametrize("token", ["pm_card_visa_1", "ctoken_visa_1"])
def test_a_token_may_have_been_used_before(account: Account, client: stripe.StripeClient, token: str) -> None:
    assert refusal_of(lambda: create(client, account.spend_token(token))).http_status == 400
    assert account.records("payment_intent") == []


def test_a_payment_method_of_a_customer_works_for_this_customer(account: Account, client: stripe.StripeClient) -> None:
    token = account.make_payment_method(customer="cus_1")
    for _ in range(2):
        assert create(client, token, customer="cus_1").status == "requires_capture"
    assert refusal_of(lambda: create(client, token)).param == "payment_method"


def test_a_wallet_token_makes_a_payment_method(client: stripe.StripeClient) -> None:
    sent: Any = {"amount": 1_000, "currency": "gbp", "confirm": True, "capture_method": "manual"}
    card: Any = {"type": "card", "card": {"token": "tok_visa"}}
    paid = client.v1.payment_intents.create(sent | {"payment_method_data": card})
    assert paid.status == "requires_capture"
    assert str(paid.payment_method).startswith("pm_0")
    refused = refusal_of(lambda: client.v1.payment_intents.create(sent | {"payment_method": "tok_visa"}))
    assert (refused.code, refused.param) == ("resource_missing", "payment_method")


def test_tokens_are_read_before_and_after_use(client: stripe.StripeClient) -> None:
    before = client.v1.confirmation_tokens.retrieve("ctoken_visa_1")
    assert (before.payment_intent, before.use_stripe_sdk) == (None, True)
    assert before.expires_at == before.created + 900
    intent = create(client, "ctoken_visa_1")
    assert client.v1.confirmation_tokens.retrieve("ctoken_visa_1").payment_intent == intent.id
    method = client.v1.payment_methods.retrieve(intent.payment_method)
    assert (method.type, method.card.brand) == ("card", "visa")  # type: ignore[union-attr]
    assert refusal_of(lambda: client.v1.confirmation_tokens.retrieve("ctoken_unknown")).http_status == 404


def test_a_call_that_the_double_does_not_know_is_an_error_of_the_test(client: stripe.StripeClient) -> None:
    name = create(client).id
    with pytest.raises(NotImplementedError):
        client.v1.payment_intents.capture(name, {"final_capture": False})
    with pytest.raises(NotImplementedError):
        client.v1.customers.list()
