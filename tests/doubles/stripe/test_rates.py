"""Rate limits, API keys and locks (T1 to T4, E18, E24, E25)."""

from __future__ import annotations

import pytest
import stripe

from tests.doubles.stripe import Account, Behaviour, faults
from tests.doubles.stripe.api import Request
from tests.doubles.stripe.calls import create, refusal_of


def test_an_endpoint_takes_25_calls_a_second() -> None:
    account = Account()
    client = account.client()
    name, *_ = [create(client).id for _ in range(25)]
    error = refusal_of(lambda: create(client))
    assert (error.http_status, error.headers["stripe-rate-limited-reason"]) == (429, "endpoint-rate")
    assert "retry-after" not in error.headers
    assert type(error) is stripe.RateLimitError
    assert client.v1.payment_intents.capture(name).status == "succeeded"
    assert len(account.records("payment_intent")) == 25
    account.advance(0.04)
    create(client)
    refusal_of(lambda: create(client))
    account.advance(1)
    for _ in range(25):
        create(client)
    assert account.max_calls_in_a_second("payment_intents.create") == 28
    assert account.operations().count("payment_intents.capture") == 1


@pytest.mark.parametrize(("livemode", "calls"), [(True, 100), (False, 25)])
def test_an_account_has_a_limit_of_its_own(livemode: bool, calls: int) -> None:
    account = Account(Behaviour(livemode=livemode))
    v1 = account.client().v1
    reads = (v1.payment_intents.list, v1.charges.list, v1.refunds.list, v1.disputes.list, v1.balance.retrieve)
    for number in range(calls):
        reads[number % 5]()
    error = refusal_of(v1.payouts.list)
    assert error.headers["stripe-rate-limited-reason"] == "global-rate"
    assert account.max_calls_in_a_second() == calls + 1


def test_searches_have_20_a_second() -> None:
    account = Account()
    for _ in range(20):
        account.client().v1.payment_intents.search({"query": "amount>1"})
    error = refusal_of(lambda: account.client().v1.payment_intents.search({"query": "amount>1"}))
    assert error.headers["stripe-rate-limited-reason"] == "endpoint-rate"


def test_the_kind_behaviour_has_no_limits() -> None:
    account = Account(Behaviour.kind())
    for _ in range(120):
        account.client().v1.payment_intents.list()
    assert account.max_calls_in_a_second() == 120


def test_a_lock_answers_429_without_a_reason() -> None:
    account = Account()
    client = account.client()
    intent = create(client)
    account.lock(intent.id, 2)
    error = refusal_of(lambda: client.v1.payment_intents.cancel(intent.id))
    assert (type(error), error.error.code) == (stripe.RateLimitError, "lock_timeout")
    assert "stripe-rate-limited-reason" not in error.headers
    assert error.headers["stripe-should-retry"] == "true"
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_capture"
    account.advance(2)
    assert client.v1.payment_intents.cancel(intent.id).status == "canceled"


def test_keys_are_wrong_expired_restricted_or_rotated() -> None:
    account = Account()
    wrong = refusal_of(lambda: create(account.client("sk_other")))
    assert (type(wrong), wrong.error.code) == (stripe.AuthenticationError, None)
    account.set_key("sk_test_1", "expired")
    expired = refusal_of(lambda: create(account.client()))
    assert (expired.http_status, expired.error.code) == (401, "api_key_expired")
    account.set_key("sk_test_2", "full")
    intent = create(account.client("sk_test_2"))
    account.set_key("rk_1", ["payment_intents.retrieve"])
    restricted = account.client("rk_1")
    assert restricted.v1.payment_intents.retrieve(intent.id).id == intent.id
    refused = refusal_of(lambda: restricted.v1.payment_intents.capture(intent.id))
    assert (type(refused), refused.http_status) == (stripe.PermissionError, 403)
    account.set_key("sk_test_2", None)
    assert refusal_of(lambda: create(account.client("sk_test_2"))).http_status == 401


def test_faults_are_planned_by_operation_or_chosen_by_a_function() -> None:
    account = Account()
    client = account.client()
    account.fail_next("payment_intents.capture", faults.closed())
    account.plan_faults(None, faults.garbage())
    intent = create(client)
    assert type(refusal_of(lambda: client.v1.payment_intents.capture(intent.id))) is stripe.APIConnectionError
    assert type(refusal_of(lambda: client.v1.payment_intents.retrieve(intent.id))) is stripe.APIError
    seen = []

    def choose(request: Request, number: int) -> faults.Fault | None:
        seen.append((request.operation, request.name, number))
        return faults.refused("lock_timeout") if request.method == "POST" else None

    account.choose_faults(choose)
    assert client.v1.payment_intents.retrieve(intent.id).id == intent.id
    assert refusal_of(lambda: client.v1.payment_intents.cancel(intent.id)).error.code == "lock_timeout"
    assert seen == [("payment_intents.retrieve", intent.id, 4), ("payment_intents.cancel", intent.id, 5)]
