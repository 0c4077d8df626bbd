"""Every row of the table of refusals, through the SDK: class, status, type, code, parameter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import stripe

from tests.doubles.stripe import Account, Behaviour, faults
from tests.doubles.stripe.answers import ANSWERS, Answer
from tests.doubles.stripe.calls import capture, create, refusal_of
from tests.doubles.stripe.tokens import CARDS

_CLASSES = {
    401: stripe.AuthenticationError,
    402: stripe.CardError,
    403: stripe.PermissionError,
    404: stripe.InvalidRequestError,
    429: stripe.RateLimitError,
}
Trigger = Callable[[Account, stripe.StripeClient], object]


def _confirm_canceled(account: Account, client: stripe.StripeClient) -> object:
    name = create(client, confirm=False).id
    account.console_cancel(name)
    return client.v1.payment_intents.confirm(name)


def _late_capture(account: Account, client: stripe.StripeClient) -> object:
    name = create(client).id
    account.advance(7 * 86_400 + 1)
    return client.v1.payment_intents.capture(name)


def _old_token(account: Account, client: stripe.StripeClient) -> object:
    token = account.make_confirmation_token()
    account.advance(900)
    return create(client, token)


def _locked(account: Account, client: stripe.StripeClient) -> object:
    name = create(client).id
    account.lock(name, 1)
    return client.v1.payment_intents.cancel(name)


def _disputed(account: Account, client: stripe.StripeClient) -> object:
    name = capture(client).id
    account.open_dispute(name)
    return client.v1.refunds.create({"payment_intent": name})


def _refund_twice(client: stripe.StripeClient, first: int, second: int) -> object:
    name = capture(client).id
    client.v1.refunds.create({"payment_intent": name, "amount": first})
    return client.v1.refunds.create({"payment_intent": name, "amount": second})


def _cancel_refund(client: stripe.StripeClient) -> object:
    return client.v1.refunds.cancel(client.v1.refunds.create({"payment_intent": capture(client).id}).id)


def _in_use(account: Account, client: stripe.StripeClient) -> object:
    account.plan_faults(faults.late())
    refusal_of(lambda: create(client, key="k"))
    return create(client, key="k")


def _with_key(account: Account, rights: Any) -> object:
    account.set_key("k", rights)
    return create(account.client("k"))


def _many(times: int, call: Callable[[], object]) -> None:
    for _ in range(times):
        call()


def _global(client: stripe.StripeClient) -> None:
    for read in (client.v1.charges.list, client.v1.refunds.list, client.v1.payouts.list, client.v1.events.list):
        _many(15, read)
    _many(20, client.v1.disputes.list)
    _many(21, client.v1.balance.retrieve)


def _often_updated(client: stripe.StripeClient) -> None:
    name = create(client, confirm=False).id
    _many(3, lambda: client.v1.payment_intents.update(name, {"amount": 2_000}))


def _failed(account: Account, client: stripe.StripeClient, fault: faults.Fault) -> object:
    account.plan_faults(fault)
    return create(client)


TRIGGERS: dict[str, Trigger] = {
    **{
        card.decline: lambda _, client, card=card: create(client, f"pm_card_{card.name}")  # type: ignore[misc]
        for card in CARDS.values()
        if card.decline
    },
    "authentication_required": lambda _, client: create(client, "pm_card_softDecline"),
    "action_required": lambda _, client: create(
        client, "pm_card_authenticationRequired", error_on_requires_action=True
    ),
    "amount_too_small": lambda _, client: create(client, amount=29),
    "amount_too_large": lambda _, client: create(client, amount=10**12),
    "invalid_charge_amount": lambda _, client: create(client, currency="isk", amount=200_001),
    "unexpected_state": _confirm_canceled,
    "unknown_payment_method": lambda _, client: create(client, "pm_of_another_account"),
    "unknown_token": lambda _, client: create(client, "ctoken_of_another_account"),
    "used_payment_method": lambda _, client: [create(client, "pm_card_visa_1") for _ in range(2)],
    "used_token": lambda _, client: [create(client, "ctoken_visa_1") for _ in range(2)],
    "expired_token": _old_token,
    "token_mismatch": lambda account, client: create(client, account.make_confirmation_token(amount=1)),
    "parameter_unknown": lambda _, client: create(client, colour="red"),
    "parameter_missing": lambda _, client: create(client, currency=""),
    "parameter_invalid": lambda _, client: create(client, amount="ten"),
    "metadata_too_long": lambda _, client: create(client, metadata={"note": "x" * 501}),
    "statement_descriptor_of_card": lambda _, client: create(client, statement_descriptor="LIVE"),
    "payment_method_types_removed": lambda _, client: create(client, payment_method_types=["card"]),
    "parameters_exclusive": lambda _, client: create(client, "ctoken_visa_1", payment_method="pm_card_visa"),
    "currency_not_supported": lambda _, client: create(client, currency="xyz"),
    "hold_expired": _late_capture,
    "already_captured": lambda _, client: client.v1.payment_intents.capture(capture(client).id),
    "capture_too_large": lambda _, client: client.v1.payment_intents.capture(
        create(client).id, {"amount_to_capture": 1_671}
    ),
    "capture_declined": lambda _, client: capture(client, "pm_card_captureDeclined"),
    "cannot_cancel": lambda _, client: client.v1.payment_intents.cancel(capture(client).id),
    "lock_timeout": _locked,
    "charge_already_refunded": lambda _, client: _refund_twice(client, 1_670, 1),
    "refund_too_large": lambda _, client: _refund_twice(client, 1_000, 671),
    "charge_disputed": _disputed,
    "refund_of_hold": lambda _, client: client.v1.refunds.create({"payment_intent": create(client).id}),
    "refund_not_cancelable": lambda _, client: _cancel_refund(client),
    "rate_limit_global-rate": lambda _, client: _global(client),
    "rate_limit_endpoint-rate": lambda _, client: _many(26, lambda: create(client)),
    "key_unknown": lambda account, _: create(account.client("sk_of_nobody")),
    "key_expired": lambda account, _: _with_key(account, "expired"),
    "key_restricted": lambda account, _: _with_key(account, ["payment_intents.retrieve"]),
    "resource_missing": lambda _, client: client.v1.payment_intents.retrieve("pi_unknown"),
    "resource_missing_parameter": lambda _, client: client.v1.refunds.create({"charge": "ch_unknown"}),
    "unreadable_query": lambda _, client: client.v1.payment_intents.search({"query": "?"}),
    "not_expandable": lambda _, client: create(client, expand=["amount"]),
    "key_mismatch": lambda _, client: [create(client, key="k", amount=amount) for amount in (1_000, 2_000)],
    "key_in_use": _in_use,
    "server_error": lambda account, client: _failed(account, client, faults.server_error(stored=True)),
    **{
        f"server_error_{status}": lambda account, client, status=status: _failed(  # type: ignore[misc]
            account, client, faults.server_error(status)
        )
        for status in (500, 502, 503, 504)
    },
}
"""A cause in the account's state for each row that has one."""

SWITCHES: dict[str, tuple[Behaviour, Trigger]] = {
    "charge_expired_for_capture": (Behaviour(expired_code="charge_expired_for_capture"), _late_capture),
    "capture_charge_authorization_expired": (
        Behaviour(expired_code="capture_charge_authorization_expired"),
        _late_capture,
    ),
    "charge_already_captured": (Behaviour(captured_code="charge_already_captured"), TRIGGERS["already_captured"]),
    "no_search": (
        Behaviour(search=False),
        lambda _, client: client.v1.payment_intents.search({"query": "status:'succeeded'"}),
    ),
    "rate_limit_resource-specific": (Behaviour(max_updates_an_hour=2), lambda _, client: _often_updated(client)),
}
FORCED = (
    "payment_method_unactivated",
    "payment_intent_incompatible_payment_method",
    "account_invalid",
    "charge_exceeds_transaction_limit",
    "request_blocked",
    "capture_unauthorized_payment",
    "rate_limit_global-concurrency",
    "rate_limit_endpoint-concurrency",
    "outside_failure",
)
"""Rows without a cause in the state. ``faults.refused`` answers them."""


def _check(answer: Answer, error: Any) -> None:
    """Check an error of the SDK against its row."""
    expected: type = _CLASSES.get(answer.status, stripe.APIError)
    if answer.status == 400:
        expected = stripe.IdempotencyError if answer.type == "idempotency_error" else stripe.InvalidRequestError
    assert (type(error), error.http_status) == (expected, answer.status)
    body = error.json_body["error"]
    shown = (body["type"], body.get("code"), body.get("decline_code"), body.get("advice_code"))
    assert shown == (answer.type, answer.code, answer.decline_code, answer.advice_code)
    if answer.param is not None:
        assert body["param"] == answer.param
    for name, value in answer.headers.items():
        assert error.headers[name.lower()] == value
    if "payment_intent" in body:
        assert body["payment_intent"]["object"] == "payment_intent"


def test_each_row_has_one_cause() -> None:
    assert sorted([*TRIGGERS, *SWITCHES, *FORCED]) == sorted(ANSWERS)


@pytest.mark.parametrize("row", TRIGGERS)
def test_the_state_leads_to_the_row(row: str) -> None:
    account = Account()
    account.state.rates["isk"] = "0.0058"
    _check(ANSWERS[row], refusal_of(lambda: TRIGGERS[row](account, account.client())))
    account.check_balance()


@pytest.mark.parametrize("row", SWITCHES)
def test_a_switch_leads_to_the_row(row: str) -> None:
    behaviour, trigger = SWITCHES[row]
    account = Account(behaviour)
    _check(ANSWERS[row], refusal_of(lambda: trigger(account, account.client())))


@pytest.mark.parametrize("row", ANSWERS)
@pytest.mark.parametrize("operation", ["payment_intents.create", "payment_intents.capture"])
def test_any_row_can_be_planned(row: str, operation: str) -> None:
    account = Account()
    name = create(account.client()).id
    account.fail_next(operation, faults.refused(row))
    is_create = operation == "payment_intents.create"
    call = (
        (lambda: create(account.client())) if is_create else (lambda: account.client().v1.payment_intents.capture(name))
    )
    _check(ANSWERS[row], refusal_of(call))
    assert [one["status"] for one in account.records("payment_intent")] == ["requires_capture"]
    assert call().status == ("requires_capture" if is_create else "succeeded")


@pytest.mark.parametrize(
    "row",
    [
        row
        for row in TRIGGERS
        if row in {card.decline for card in CARDS.values()} or ANSWERS[row].code == "payment_intent_unexpected_state"
    ],
)
def test_a_refusal_about_a_payment_carries_it_whole(row: str) -> None:
    account = Account()
    error = refusal_of(lambda: TRIGGERS[row](account, account.client()))
    read = account.client().v1.payment_intents.retrieve(error.error.payment_intent.id)
    assert error.json_body["error"]["payment_intent"] == read.to_dict()


def test_switches_change_only_their_own_row() -> None:
    older = Account(
        Behaviour(used_payment_method_message="2023", used_token_param=None, over_refund_code="amount_too_large")
    )
    client = older.client()
    used = refusal_of(lambda: TRIGGERS["used_payment_method"](older, client))
    assert "previously used" in str(used)
    assert used.code is None
    assert refusal_of(lambda: TRIGGERS["used_token"](older, client)).param is None
    assert refusal_of(lambda: _refund_twice(client, 1_000, 671)).code == "amount_too_large"


def test_an_older_version_of_the_api_takes_the_older_parameter() -> None:
    client = Account().client()
    sent: Any = {"amount": 1_000, "currency": "gbp", "payment_method_types": ["card"]}
    made = client.v1.payment_intents.create(sent, {"stripe_version": "2026-08-26.dahlia"})
    assert made.payment_method_types == ["card"]
