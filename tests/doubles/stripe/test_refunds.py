"""Refunds (R1 to R10) and their refusals (E19 to E23)."""

from __future__ import annotations

import pytest
import stripe

from tests.doubles.stripe import Account, Behaviour
from tests.doubles.stripe.calls import capture, create, event_types, refusal_of

DAY = 86_400


def _paid(account: Account, token: str = "pm_card_visa") -> str:
    """Return an intent that is captured, and whose money is in the balance."""
    name = str(capture(account.client(), token).id)
    account.advance(3)
    return name


def _states(account: Account) -> list[tuple[str, str | None]]:
    return [(one["status"], one.get("pending_reason")) for one in account.records("refund")]


def test_a_refund_is_pending_first_and_ends_without_an_event(account: Account, client: stripe.StripeClient) -> None:
    name = _paid(account)
    before = len(event_types(account))
    refund = client.v1.refunds.create({"payment_intent": name, "amount": 600, "metadata": {"refund": "r1"}})
    assert (refund.status, refund.pending_reason) == ("pending", "processing")
    assert refund.balance_transaction is not None
    account.advance(60)
    assert client.v1.refunds.retrieve(refund.id).status == "succeeded"
    assert event_types(account)[before:] == ["refund.created", "charge.refunded"]
    assert account.records("charge")[0]["amount_refunded"] == 600
    account.check_balance()


def test_a_refund_of_fresh_money_waits_for_the_charge(account: Account, client: stripe.StripeClient) -> None:
    refund = client.v1.refunds.create({"payment_intent": capture(client).id})
    assert (refund.status, refund.pending_reason, refund.balance_transaction) == ("pending", "charge_pending", None)
    account.check_balance()
    account.advance(3)
    assert _states(account) == [("pending", "processing")]
    account.advance(60)
    assert _states(account) == [("succeeded", None)]
    account.check_balance()


def test_a_refund_fails_after_it_succeeded_and_may_be_made_again(account: Account, client: stripe.StripeClient) -> None:
    name = _paid(account, "pm_card_refundFail")
    refund = client.v1.refunds.create({"payment_intent": name}, {"idempotency_key": "r1"})
    account.advance(60)
    assert client.v1.refunds.retrieve(refund.id).status == "succeeded"
    assert refusal_of(lambda: client.v1.refunds.create({"payment_intent": name})).code == "charge_already_refunded"
    account.advance(DAY)
    failed = client.v1.refunds.retrieve(refund.id, {"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    returned = failed.failure_balance_transaction
    assert isinstance(returned, stripe.BalanceTransaction)
    assert (returned.type, returned.reporting_category, returned.net) == ("refund_failure", "refund_failure", 1_670)
    charge = account.records("charge")[0]
    assert (charge["amount_refunded"], charge["refunded"]) == (0, False)
    assert event_types(account)[-3:] == ["refund.failed", "refund.updated", "charge.refund.updated"]
    account.check_balance()
    assert client.v1.refunds.create({"payment_intent": name}).id != refund.id


def test_a_replay_shows_the_success_of_a_refund_that_failed_since(
    account: Account, client: stripe.StripeClient
) -> None:
    name = _paid(account)
    key: stripe.RequestOptions = {"idempotency_key": "r1"}
    refund = client.v1.refunds.create({"payment_intent": name, "amount": 100}, key)
    account.fail_refund(refund.id)
    again = client.v1.refunds.create({"payment_intent": name, "amount": 100}, key)
    assert (again.id, again.status) == (refund.id, "pending")
    assert client.v1.refunds.retrieve(refund.id).status == "failed"


@pytest.mark.parametrize(
    ("card", "states"),
    [
        ("refundFailAtOnce", ["failed", "failed", "failed"]),
        ("pendingRefund", ["pending", "pending", "succeeded"]),
        ("refundRequiresAction", ["requires_action"] * 3),
        ("refundFail", ["pending", "succeeded", "failed"]),
    ],
)
def test_a_card_chooses_how_its_refunds_end(account: Account, card: str, states: list[str]) -> None:
    name = _paid(account, f"pm_card_{card}")
    refund = account.client().v1.refunds.create({"payment_intent": name})
    seen = [refund.status]
    for seconds in (60, 5 * DAY):
        account.advance(seconds)
        seen.append(account.get(refund.id)["status"])
    assert seen == states
    account.check_balance()


def test_only_a_refund_that_waits_for_the_buyer_is_canceled_by_the_api(account: Account) -> None:
    client = account.client()
    waiting = client.v1.refunds.create({"payment_intent": _paid(account, "pm_card_refundRequiresAction")})
    canceled = client.v1.refunds.cancel(waiting.id)
    assert (canceled.status, canceled.failure_reason) == ("canceled", "merchant_request")
    pending = client.v1.refunds.create({"payment_intent": _paid(account)})
    assert refusal_of(lambda: client.v1.refunds.cancel(pending.id)).http_status == 400
    assert account.cancel_refund(pending.id)["status"] == "canceled"
    account.check_balance()


def test_each_reason_to_refuse_a_refund_has_its_own_answer(account: Account, client: stripe.StripeClient) -> None:
    name = _paid(account)
    client.v1.refunds.create({"payment_intent": name, "amount": 1_000})
    over = refusal_of(lambda: client.v1.refunds.create({"payment_intent": name, "amount": 671}))
    assert (over.http_status, over.code, over.param) == (400, None, "amount")
    client.v1.refunds.create({"payment_intent": name, "amount": 670})
    nothing = refusal_of(lambda: client.v1.refunds.create({"payment_intent": name, "amount": 1}))
    assert nothing.code == "charge_already_refunded"
    held = create(client).id
    uncaptured = refusal_of(lambda: client.v1.refunds.create({"payment_intent": held}))
    assert (uncaptured.http_status, uncaptured.code) == (400, None)
    disputed = _paid(account)
    account.open_dispute(disputed)
    refused = refusal_of(lambda: client.v1.refunds.create({"payment_intent": disputed}))
    assert refused.code == "charge_disputed"
    unknown = refusal_of(lambda: client.v1.refunds.create({"payment_intent": "pi_unknown"}))
    assert (unknown.code, unknown.param) == ("resource_missing", "payment_intent")


def test_a_refund_waits_for_an_empty_balance_and_fails_in_the_end() -> None:
    account = Account(Behaviour(refunds_need_balance=True))
    client = account.client()
    name = _paid(account)
    refund = client.v1.refunds.create({"payment_intent": name})
    assert (refund.status, refund.pending_reason) == ("pending", "insufficient_funds")
    assert refund.balance_transaction is None
    other = account.fork()
    account.foreign_payment()
    account.advance(3_700)
    assert _states(account) == [("succeeded", None)]
    other.advance(14 * DAY)
    failed = other.get(refund.id)
    shown = (failed["status"], failed["failure_reason"], failed["failure_balance_transaction"])
    assert shown == ("failed", "insufficient_funds", None)
    for one in (account, other):
        one.check_balance()


def test_a_refund_while_a_dispute_is_opened_is_accepted_and_fails(account: Account) -> None:
    name = _paid(account)
    account.announce_dispute(name, seconds=4)
    refund = account.client().v1.refunds.create({"payment_intent": name})
    assert refund.status == "pending"
    account.advance(6)
    failed = account.get(refund.id)
    assert (failed["status"], failed["failure_reason"]) == ("failed", "charge_for_pending_refund_disputed")
    assert len(account.records("dispute")) == 1
    account.check_balance()


def test_a_refund_in_the_console_has_none_of_our_metadata(account: Account, client: stripe.StripeClient) -> None:
    name = _paid(account)
    account.console_refund(name, 300)
    [event] = [one for one in account.records("event") if one["type"] == "refund.created"][:1]
    assert event["data"]["object"]["metadata"] == {}
    assert event["request"] == {"id": None, "idempotency_key": None}
    client.v1.refunds.create({"payment_intent": name, "amount": 200}, {"idempotency_key": "shop-key"})
    assert account.records("event")[-1]["request"]["idempotency_key"] == "shop-key"
    assert [one.amount for one in client.v1.refunds.list({"payment_intent": name}).data] == [200, 300]


def test_an_early_refund_is_a_reversal(account: Account, client: stripe.StripeClient) -> None:
    name = _paid(account)
    early = client.v1.refunds.create({"payment_intent": name, "amount": 100})
    account.advance(2 * DAY)
    later = client.v1.refunds.create({"payment_intent": name, "amount": 100})
    kinds = [account.get(one.id)["destination_details"]["card"]["type"] for one in (early, later)]
    assert kinds == ["reversal", "refund"]


def test_a_full_refund_closes_review_and_warning(account: Account) -> None:
    name = _paid(account, "pm_card_review")
    account.warn_of_fraud(name)
    account.console_refund(name, 1_000)
    assert account.records("review")[0]["open"] is True
    account.console_refund(name)
    assert account.records("review")[0]["closed_reason"] == "refunded"
    assert account.records("radar.early_fraud_warning")[0]["actionable"] is False
    assert event_types(account)[-2:] == ["review.closed", "radar.early_fraud_warning.updated"]


def test_a_charge_without_an_intent_is_refunded_too(account: Account, client: stripe.StripeClient) -> None:
    charge = account.foreign_charge()
    account.advance(3)
    refund = client.v1.refunds.create({"charge": charge["id"]})
    assert (refund.payment_intent, refund.amount) == (None, 2_500)
    assert [one.id for one in client.v1.charges.list().data] == [charge["id"]]
    account.check_balance()
