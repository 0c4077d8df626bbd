"""Both faces answer alike: in process, and over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import stripe

from tests.doubles.stripe import Account, faults
from tests.doubles.stripe.calls import create, http_client, refusal_of
from tests.doubles.stripe.http_server import serve


@pytest.fixture(params=["in process", "http"])
def client(account: Account, request: pytest.FixtureRequest) -> Iterator[stripe.StripeClient]:
    if request.param == "in process":
        yield account.client()
        return
    with serve(account) as address:
        yield http_client(address, seconds=0.3)


def test_a_payment_is_held_captured_and_refunded(account: Account, client: stripe.StripeClient) -> None:
    intent = create(client, "ctoken_visa_1", metadata={"purchase": "p1", "note": "a b&c=ü"})
    assert (intent.status, intent.amount_capturable) == ("requires_capture", 1_670)
    assert intent.metadata.to_dict() == {"purchase": "p1", "note": "a b&c=ü"}
    assert isinstance(intent.latest_charge, str)
    captured = client.v1.payment_intents.capture(intent.id, {"expand": ["latest_charge.balance_transaction"]})
    assert (captured.status, captured.amount_received) == ("succeeded", 1_670)
    assert captured.latest_charge.balance_transaction is None  # type: ignore[union-attr]
    account.advance(3)
    again = client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge.balance_transaction"]})
    assert again.latest_charge.balance_transaction.fee == 1_670 * 150 // 10_000 + 20  # type: ignore[union-attr]
    refund = client.v1.refunds.create({"payment_intent": intent.id, "amount": 70})
    assert (refund.status, refund.amount) == ("pending", 70)
    account.advance(60)
    assert client.v1.refunds.retrieve(refund.id).status == "succeeded"
    account.check_balance()


def test_a_replay_has_its_header(client: stripe.StripeClient) -> None:
    first, second = create(client, key="k1"), create(client, key="k1")
    assert first.id == second.id
    assert "idempotent-replayed" not in first.last_response.headers
    assert second.last_response.headers["idempotent-replayed"] == "true"


@pytest.mark.parametrize("after_effect", [False, True])
@pytest.mark.parametrize("fault", [faults.closed, faults.timeout, faults.garbage])
def test_a_broken_answer_is_an_error_of_the_sdk(
    account: Account, client: stripe.StripeClient, fault: faults.Maker, after_effect: bool
) -> None:
    account.plan_faults(fault(after_effect=after_effect))
    error = refusal_of(lambda: create(client, key="k1"))
    assert isinstance(error, stripe.APIError if fault is faults.garbage else stripe.APIConnectionError)
    assert len(account.records("payment_intent")) == int(after_effect)
    replayed = create(client, key="k1").last_response.headers.get("idempotent-replayed")
    assert (replayed == "true") == after_effect
    assert len(account.records("payment_intent")) == 1


def test_a_decline_carries_the_intent(account: Account, client: stripe.StripeClient) -> None:
    error = refusal_of(lambda: create(client, "pm_card_chargeDeclinedInsufficientFunds"))
    assert (error.http_status, error.code, error.error.decline_code) == (402, "card_declined", "insufficient_funds")
    assert error.error.payment_intent.id == account.records("payment_intent")[0]["id"]
    assert isinstance(error, stripe.CardError)


def test_pages_follow_each_other(account: Account, client: stripe.StripeClient) -> None:
    made = [account.foreign_payment(amount=1_000 + number)["id"] for number in range(25)]
    listed = client.v1.payment_intents.list({"limit": 10})
    assert [one.id for one in listed.auto_paging_iter()] == made[::-1]
    assert account.operations() == ["payment_intents.list"] * 3
