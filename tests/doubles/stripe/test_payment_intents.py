"""Payment intents with manual capture (P1 to P18)."""

from __future__ import annotations

from typing import Any

import pytest
import stripe

from tests.doubles.stripe import Account, Behaviour
from tests.doubles.stripe.calls import create, event_types, refusal_of

DAY = 86_400


def test_a_hold_that_nobody_captures_ends_as_a_refund(account: Account, client: stripe.StripeClient) -> None:
    intent = create(client, expand=["latest_charge"], metadata={"purchase": "p"})
    assert intent.latest_charge.payment_method_details.card.capture_before == account.now // 1_000 + 7 * DAY
    account.advance(7 * DAY)
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_capture"
    account.advance(1)
    ended = client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge.refunds"]})
    assert (ended.status, ended.cancellation_reason, ended.amount_capturable) == ("canceled", "automatic", 0)
    charge = ended.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert (charge.captured, charge.refunded, charge.amount_refunded) == (False, True, 1_670)
    assert charge.balance_transaction is None
    assert charge.metadata.to_dict() == {"purchase": "p"}
    assert charge.refunds is not None
    [refund] = charge.refunds.data
    assert refund.metadata is not None
    shown = (refund.status, refund.reason, refund.amount, refund.balance_transaction, refund.metadata.to_dict())
    assert shown == ("succeeded", "expired_uncaptured_charge", 1_670, None, {})
    assert event_types(account)[3:] == [
        "charge.expired",
        "refund.created",
        "charge.refunded",
        "payment_intent.canceled",
    ]
    error = refusal_of(lambda: client.v1.payment_intents.capture(intent.id))
    assert error.code == "payment_intent_unexpected_state"
    assert error.error.payment_intent.cancellation_reason == "automatic"
    account.check_balance()


@pytest.mark.parametrize("sends", [True, False])
def test_a_void_leaves_a_refund_object_without_money(sends: bool) -> None:
    account = Account(Behaviour(void_sends_refund_created=sends))
    client = account.client()
    intent = create(client)
    canceled = client.v1.payment_intents.cancel(intent.id, {"cancellation_reason": "abandoned"})
    assert (canceled.status, canceled.cancellation_reason) == ("canceled", "abandoned")
    [refund] = client.v1.refunds.list({"payment_intent": intent.id}).data
    assert (refund.status, refund.amount, refund.reason, refund.balance_transaction) == ("succeeded", 1_670, None, None)
    assert ("refund.created" in event_types(account)) == sends
    assert "charge.refunded" in event_types(account)
    again = refusal_of(lambda: client.v1.payment_intents.cancel(intent.id))
    assert (again.code, again.error.payment_intent.status) == ("payment_intent_unexpected_state", "canceled")
    account.check_balance()


def test_a_part_capture_keeps_the_amount_and_releases_the_rest(account: Account, client: stripe.StripeClient) -> None:
    intent = create(client, amount=20_675)
    captured = client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 20_300})
    assert (captured.amount, captured.amount_received, captured.amount_capturable) == (20_675, 20_300, 0)
    account.advance(3)
    charge = account.get(str(captured.latest_charge))
    assert (charge["amount_refunded"], charge["refunded"], charge["captured"]) == (375, False, True)
    rows = [(one["type"], one["reporting_category"], one["amount"]) for one in account.records("balance_transaction")]
    assert rows == [("charge", "charge", 20_675), ("refund", "partial_capture_reversal", -375)]
    assert account.records("balance_transaction")[0]["fee"] == 20_300 * 150 // 10_000 + 20
    error = refusal_of(lambda: client.v1.payment_intents.capture(intent.id))
    assert error.code == "payment_intent_unexpected_state"
    assert error.error.payment_intent.amount_received == 20_300
    account.check_balance()


@pytest.mark.parametrize("answer", ["processing", "requires_capture"])
def test_a_capture_may_answer_before_it_has_happened(answer: str) -> None:
    account = Account(Behaviour(capture_answer=answer))  # type: ignore[arg-type]
    client = account.client()
    intent = client.v1.payment_intents.capture(create(client).id)
    assert (intent.status, intent.amount_received) == (answer, 0)
    account.advance(10)
    assert client.v1.payment_intents.retrieve(intent.id).amount_received == 1_670


def test_more_than_held_is_not_captured(client: stripe.StripeClient) -> None:
    intent = create(client)
    error = refusal_of(lambda: client.v1.payment_intents.capture(intent.id, {"amount_to_capture": 1_671}))
    assert (error.code, error.param) == ("amount_too_large", "amount_to_capture")
    assert client.v1.payment_intents.retrieve(intent.id).status == "requires_capture"


def test_a_buyer_may_prove_days_later(account: Account, client: stripe.StripeClient) -> None:
    intent = create(client, "pm_card_authenticationRequired", return_url="https://shop.test/back")
    assert (intent.status, intent.next_action.type) == ("requires_action", "redirect_to_url")
    assert intent.next_action.redirect_to_url.return_url == "https://shop.test/back"
    account.advance(30 * DAY)
    account.authenticate(intent.id)
    proved = client.v1.payment_intents.retrieve(intent.id, {"expand": ["latest_charge"]})
    assert proved.status == "requires_capture"
    assert proved.latest_charge.payment_method_details.card.three_d_secure.result == "authenticated"  # type: ignore


def test_a_manual_confirmation_is_asked_for_once_more_after_the_proof(
    account: Account, client: stripe.StripeClient
) -> None:
    intent = create(client, "pm_card_authenticationRequired_1", confirmation_method="manual")
    before = len(event_types(account))
    assert account.authenticate(intent.id)["status"] == "requires_confirmation"
    assert len(event_types(account)) == before
    assert client.v1.payment_intents.confirm(intent.id).status == "requires_capture"


@pytest.mark.parametrize("kind", ["invalid_request_error", "card_error"])
def test_a_failed_proof_asks_for_another_card(kind: str) -> None:
    account = Account(Behaviour(failed_proof_type=kind))  # type: ignore[arg-type]
    client = account.client()
    intent = create(client, "pm_card_authenticationRequired")
    account.authenticate(intent.id, succeeded=False)
    failed = client.v1.payment_intents.retrieve(intent.id)
    assert failed.status == "requires_payment_method"
    assert failed.last_payment_error is not None
    assert (failed.last_payment_error.code, failed.last_payment_error.type) == (
        "payment_intent_authentication_failure",
        kind,
    )
    assert client.v1.payment_intents.confirm(intent.id, {"payment_method": "pm_card_visa"}).status == "requires_capture"


def test_a_request_for_a_challenge_may_be_passed_over(client: stripe.StripeClient) -> None:
    asked: Any = {"payment_method_options": {"card": {"request_three_d_secure": "challenge"}}}
    assert create(client, **asked).status == "requires_action"
    unproved = create(client, "pm_card_authenticationNotSupported", expand=["latest_charge"], **asked)
    assert unproved.status == "requires_capture"
    assert unproved.latest_charge.payment_method_details.card.three_d_secure is None


def test_a_confirmation_token_means_the_script_and_no_page(client: stripe.StripeClient) -> None:
    sent = {"return_url": "https://shop.test/back"}
    script = create(client, "ctoken_authenticationRequired_1", **sent)
    assert script.next_action.type == "use_stripe_sdk"
    page = create(client, "ctoken_authenticationRequired_2", use_stripe_sdk=False, **sent)
    assert page.next_action.type == "redirect_to_url"


def test_each_failed_try_keeps_its_charge(account: Account, client: stripe.StripeClient) -> None:
    error = refusal_of(lambda: create(client, "pm_card_radarBlock"))
    name = error.error.payment_intent.id
    assert error.error.payment_intent.status == "requires_payment_method"
    client.v1.payment_intents.update(name, {"amount": 1_700})
    assert client.v1.payment_intents.confirm(name, {"payment_method": "pm_card_visa"}).status == "requires_capture"
    first, second = account.records("charge")
    assert (first["outcome"]["type"], first["outcome"]["network_status"]) == ("blocked", "reversed_after_approval")
    assert (first["status"], second["status"], second["amount"]) == ("failed", "succeeded", 1_700)
    late = refusal_of(lambda: client.v1.payment_intents.update(name, {"amount": 1_800}))
    assert (late.code, late.param) == ("payment_intent_unexpected_state", "amount")
    assert refusal_of(lambda: client.v1.payment_intents.confirm(name)).code == "payment_intent_unexpected_state"


def test_a_payment_under_review_is_captured_all_the_same(account: Account, client: stripe.StripeClient) -> None:
    intent = create(client, "pm_card_review")
    assert client.v1.payment_intents.capture(intent.id).status == "succeeded"
    account.close_review(intent.id)
    [review] = account.records("review")
    assert (review["open"], review["closed_reason"]) == (False, "approved")


def test_too_many_confirms_cancel_the_intent() -> None:
    client = Account(Behaviour(max_confirms=2)).client()
    name = refusal_of(lambda: create(client, "pm_card_chargeDeclined")).error.payment_intent.id
    again = {"payment_method": "pm_card_chargeDeclined"}
    refusal_of(lambda: client.v1.payment_intents.confirm(name, again))  # type: ignore[arg-type]
    assert client.v1.payment_intents.confirm(name, again).status == "canceled"  # type: ignore[arg-type]


def test_the_plain_path_sends_its_events(account: Account, client: stripe.StripeClient) -> None:
    client.v1.payment_intents.capture(create(client).id)
    account.advance(3)
    assert event_types(account) == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
        "charge.captured",
        "payment_intent.succeeded",
        "charge.updated",
    ]


@pytest.mark.parametrize(
    ("mounted", "param"),
    [
        ({"amount": 1_600}, "amount"),
        ({"currency": "eur"}, "currency"),
        ({"capture_method": "automatic"}, "capture_method"),
        ({"payment_method_types": ["card", "link"]}, "payment_method_types"),
    ],
)
def test_a_token_must_match_what_the_page_was_mounted_with(
    account: Account, client: stripe.StripeClient, mounted: dict[str, Any], param: str
) -> None:
    token = account.make_confirmation_token(**mounted)
    error = refusal_of(lambda: create(client, token))
    assert (error.http_status, error.code, error.param) == (400, None, param)
    assert account.records("payment_intent") == []


def test_a_token_expires_after_a_quarter_of_an_hour(account: Account, client: stripe.StripeClient) -> None:
    fresh, old = account.make_confirmation_token(), account.make_confirmation_token()
    account.advance(15 * 60 - 1)
    assert create(client, fresh).status == "requires_capture"
    assert client.v1.confirmation_tokens.retrieve(fresh).payment_intent == account.records("payment_intent")[0]["id"]
    account.advance(1)
    assert refusal_of(lambda: create(client, old)).param == "confirmation_token"


def test_plain_test_names_work_for_ever(client: stripe.StripeClient) -> None:
    assert [create(client).status for _ in range(3)] == ["requires_capture"] * 3
    assert create(client, "pm_card_mastercard").status == "requires_capture"


def test_a_fork_goes_its_own_way(account: Account, client: stripe.StripeClient) -> None:
    intent = create(client)
    twin = account.fork()
    twin.client().v1.payment_intents.capture(intent.id)
    twin.advance(8 * DAY)
    assert twin.get(intent.id)["status"] == "succeeded"
    assert account.get(intent.id)["status"] == "requires_capture"
    assert len(account.records("event")) < len(twin.records("event"))
    account.advance(8 * DAY)
    assert account.get(intent.id)["status"] == "canceled"
