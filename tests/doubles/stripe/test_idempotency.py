"""Idempotency keys (I1 to I10)."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.doubles.stripe import Account, Behaviour, faults
from tests.doubles.stripe.calls import create, refusal_of
from tests.doubles.stripe.clock import HOUR, SECOND


def _is_replayed(headers: Any) -> bool:
    return bool((headers or {}).get("idempotent-replayed") == "true")


def test_a_decline_is_stored_and_replayed(account: Account, client: stripe.StripeClient) -> None:
    first = refusal_of(lambda: create(client, "pm_card_chargeDeclined", key="k"))
    second = refusal_of(lambda: create(client, "pm_card_chargeDeclined", key="k"))
    assert (first.json_body, second.http_status) == (second.json_body, 402)
    assert [_is_replayed(one.headers) for one in (first, second)] == [False, True]
    assert len(account.records("charge")) == 1


@pytest.mark.parametrize("after_effect", [False, True])
def test_a_stored_500_is_replayed_whatever_happened(
    account: Account, client: stripe.StripeClient, after_effect: bool
) -> None:
    account.plan_faults(faults.server_error(after_effect=after_effect, stored=True))
    errors = [refusal_of(lambda: create(client, key="k")) for _ in range(3)]
    assert {type(one) for one in errors} == {stripe.APIError}
    assert [one.http_status for one in errors] == [500] * 3
    assert errors[0].headers["stripe-should-retry"] == "false"
    assert [_is_replayed(one.headers) for one in errors] == [False, True, True]
    assert len(account.records("payment_intent")) == int(after_effect)


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("after_effect", [False, True])
def test_a_5xx_that_is_not_stored_shows_the_true_answer_or_executes_again(
    account: Account, client: stripe.StripeClient, status: int, after_effect: bool
) -> None:
    account.plan_faults(faults.server_error(status, after_effect=after_effect))
    assert refusal_of(lambda: create(client, key="k")).http_status == status
    repeated = create(client, key="k")
    is_repeated_by_proxy = after_effect and status != 500
    assert _is_replayed(repeated.last_response.headers) == is_repeated_by_proxy
    assert len(account.records("payment_intent")) == (2 if after_effect and status == 500 else 1)


def test_other_parameters_under_a_key_are_refused_without_a_code(client: stripe.StripeClient) -> None:
    intent = create(client, key="k")
    error = refusal_of(lambda: create(client, key="k", amount=1_671))
    assert (error.http_status, error.code, error.error.type) == (400, None, "idempotency_error")
    assert isinstance(error, stripe.IdempotencyError)
    other_endpoint = refusal_of(lambda: client.v1.payment_intents.cancel(intent.id, {}, {"idempotency_key": "k"}))
    assert isinstance(other_endpoint, stripe.IdempotencyError)


def test_a_key_in_use_answers_409_until_the_late_request_ends(account: Account, client: stripe.StripeClient) -> None:
    account.plan_faults(faults.late(20 * SECOND))
    assert isinstance(refusal_of(lambda: create(client, key="k")), stripe.APIConnectionError)
    error = refusal_of(lambda: create(client, key="k"))
    assert (type(error), error.http_status, error.code) == (stripe.APIError, 409, None)
    assert error.error.code == "idempotency_key_in_use"
    assert account.records("payment_intent") == []
    account.advance(20)
    assert _is_replayed(create(client, key="k").last_response.headers)
    assert len(account.records("payment_intent")) == 1


def test_a_late_request_without_a_key_of_ours_happens_once(account: Account, client: stripe.StripeClient) -> None:
    account.plan_faults(faults.late())
    refusal_of(lambda: create(client))
    account.advance(60)
    assert len(account.records("payment_intent")) == 1


@pytest.mark.parametrize(
    "more",
    [
        {"amount": 0},
        {"colour": "red"},
        {"currency": ""},
        {"payment_method_types": ["card"]},
        {"confirmation_token": "ctoken_visa"},
        {"expand": ["amount"]},
        {"statement_descriptor_suffix": "x" * 23},
        {"expand": ["latest_charge.source"]},
        {"metadata": {"k" * 41: ""}},
    ],
)
def test_a_validation_failure_is_not_stored(
    account: Account, client: stripe.StripeClient, more: dict[str, Any]
) -> None:
    assert refusal_of(lambda: create(client, key="k", **more)).http_status == 400
    assert not _is_replayed(create(client, key="k").last_response.headers)
    assert len(account.records("payment_intent")) == 1


def test_a_limiter_and_a_wrong_key_store_nothing(account: Account, client: stripe.StripeClient) -> None:
    account.plan_faults(faults.refused("rate_limit_endpoint-rate"))
    assert refusal_of(lambda: create(client, key="k")).http_status == 429
    assert refusal_of(lambda: create(account.client("sk_test_wrong"), key="k")).http_status == 401
    assert not _is_replayed(create(client, key="k").last_response.headers)


def test_a_key_is_pruned_after_a_day_and_pays_again(account: Account, client: stripe.StripeClient) -> None:
    create(client, key="k")
    assert account.idempotency_keys == ["k"]
    account.advance(86_399)
    assert _is_replayed(create(client, key="k").last_response.headers)
    account.advance(1)
    assert not _is_replayed(create(client, key="k").last_response.headers)
    assert len(account.records("payment_intent")) == 2


def test_a_pruned_key_may_have_other_parameters(account: Account, client: stripe.StripeClient) -> None:
    create(client, key="k")
    account.advance(24 * HOUR // SECOND)
    assert create(client, key="k", amount=1_671).amount == 1_671


def test_a_key_is_ignored_on_reads_and_has_255_characters_at_most(client: stripe.StripeClient) -> None:
    intent = create(client)
    for _ in range(2):
        read: Any = client.v1.payment_intents.retrieve(intent.id, {}, {"idempotency_key": "k"})
        assert not _is_replayed(read.last_response.headers)
    assert create(client, key="k" * 255).status == "requires_capture"
    assert refusal_of(lambda: create(client, key="k" * 256)).http_status == 400


@pytest.mark.parametrize(
    ("token", "param"), [("pm_card_visa_7", "payment_method"), ("ctoken_visa", "confirmation_token")]
)
def test_a_new_key_does_not_help_a_token_that_was_used(
    account: Account, client: stripe.StripeClient, token: str, param: str
) -> None:
    account.plan_faults(faults.closed(after_effect=True))
    refusal_of(lambda: create(client, token, key="k1"))
    error = refusal_of(lambda: create(client, token, key="k2"))
    assert (error.http_status, error.code, error.param) == (400, None, param)
    assert [one["status"] for one in account.records("payment_intent")] == ["requires_capture"]
    assert create(client, token, key="k1").status == "requires_capture"


def test_one_time_tokens_can_be_switched_off() -> None:
    client = Account(Behaviour(one_time_tokens=False)).client()
    assert [create(client, "ctoken_visa_1").status for _ in range(2)] == ["requires_capture"] * 2
