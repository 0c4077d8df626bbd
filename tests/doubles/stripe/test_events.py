"""Events and their delivery (W1 to W10)."""

from __future__ import annotations

import json

import pytest
import stripe

from tests.doubles.stripe import Account, Behaviour
from tests.doubles.stripe.account import WEBHOOK_SECRET
from tests.doubles.stripe.calls import capture, create
from tests.doubles.stripe.events import EVENTBRIDGE_SOURCE, Delivery, thin_event

DAY = 86_400


def _verified(delivery: Delivery, secret: str = WEBHOOK_SECRET) -> stripe.Event:
    event: stripe.Event = stripe.Webhook.construct_event(delivery.body, delivery.signature, secret, tolerance=0)
    return event


def test_each_event_is_late_and_delivered_twice(account: Account) -> None:
    create(account.client())
    assert account.take_deliveries() == []
    account.advance(120)
    delivered = [one.event["id"] for one in account.take_deliveries()]
    made = [one["id"] for one in account.records("event")]
    assert sorted(delivered) == sorted(made * 2)
    assert delivered[: len(made)] != made


def test_events_arrive_out_of_order(account: Account) -> None:
    create(account.client())
    account.advance(120)
    kinds = [one.event["type"] for one in account.take_deliveries()]
    assert kinds.index("charge.succeeded") > kinds.index("payment_intent.amount_capturable_updated")


def test_some_changes_have_two_events_with_different_ids(account: Account) -> None:
    client = account.client()
    for _ in range(4):
        capture(client)
    account.advance(200)
    changes = [(one["type"], one["data"]["object"]["id"]) for one in account.records("event")]
    twins = {change for change in changes if changes.count(change) > 1}
    assert len(twins) == len(changes) - len(set(changes)) == 24 // 5
    assert len({one["id"] for one in account.records("event")}) == len(changes)


def test_an_event_keeps_the_object_as_it_was(account: Account) -> None:
    client = account.client()
    intent = create(client, key="our-key")
    client.v1.payment_intents.cancel(intent.id)
    [made] = [one for one in account.records("event") if one["type"] == "payment_intent.created"]
    assert made["data"]["object"]["status"] == "requires_confirmation"
    assert made["request"]["idempotency_key"] == "our-key"
    assert made["request"]["id"].startswith("req_")


def test_the_sdk_verifies_a_delivery_and_refuses_a_wrong_secret(account: Account) -> None:
    intent = create(account.client())
    account.advance(120)
    delivery = account.take_deliveries()[0]
    event = _verified(delivery)
    assert event.data.object["object"] in {"payment_intent", "charge"}
    assert (event.api_version, event.livemode) == ("2026-10-28.endive", True)
    assert delivery.signature.split(",")[0] == f"t={account.now // 1_000}"
    with pytest.raises(stripe.SignatureVerificationError):
        _verified(delivery, "whsec_other")
    with pytest.raises(stripe.SignatureVerificationError):
        stripe.Webhook.construct_event(delivery.body + b" ", delivery.signature, WEBHOOK_SECRET, tolerance=0)
    assert intent.id.encode() in delivery.body


def test_two_secrets_sign_for_a_day(account: Account) -> None:
    account.roll_secret("whsec_new")
    client = account.client()
    create(client)
    account.advance(120)
    delivery = account.take_deliveries()[0]
    for secret in (WEBHOOK_SECRET, "whsec_new"):
        _verified(delivery, secret)
    account.advance(DAY)
    account.redeliver(delivery.event["id"])
    [later] = account.take_deliveries()
    _verified(later, "whsec_new")
    with pytest.raises(stripe.SignatureVerificationError):
        _verified(later)
    assert later.event["id"] == delivery.event["id"]


def test_a_failed_delivery_is_repeated_for_three_days(account: Account) -> None:
    account.foreign_payment(capture_method="manual")
    account.advance(120)
    [*_, last] = account.take_deliveries()
    account.answer_delivery(last, 500)
    failed = account.client().v1.events.list({"delivery_success": False}).data
    assert last.event["id"] in [one.id for one in failed]
    tries, waited = 0, 0
    while waited < 4 * DAY:
        account.advance(300)
        waited += 300
        for again in account.take_deliveries():
            if again.event["id"] == last.event["id"]:
                tries += 1
                account.answer_delivery(again, None)
    assert tries == 8


def test_a_sandbox_repeats_three_times() -> None:
    account = Account(Behaviour(livemode=False, event_delays=((0,),), automatic_payouts=False))
    account.foreign_payment(capture_method="manual")
    event = account.take_deliveries()[0]
    account.answer_delivery(event, 302)
    tries = 0
    for _ in range(10):
        account.advance(3_600)
        for again in account.take_deliveries():
            tries += 1
            account.answer_delivery(again, 404)
    assert tries == 3


def test_deliver_answers_what_is_due(account: Account) -> None:
    create(account.client())
    account.advance(120)
    seen: list[bytes] = []

    def post(body: bytes, signature: str) -> int:
        stripe.WebhookSignature.verify_header(body, signature, WEBHOOK_SECRET)
        seen.append(body)
        return 200

    assert account.deliver(post) == len(seen) == 6
    account.advance(DAY)
    assert account.deliver(post) == 0
    assert {one["pending_webhooks"] for one in account.records("event")} == {0}


def test_two_endpoints_get_each_event_under_the_same_id(account: Account) -> None:
    account.add_endpoint("second", "whsec_second", types=["charge.succeeded"])
    create(account.client())
    account.advance(120)
    charges = [one for one in account.take_deliveries() if one.event["type"] == "charge.succeeded"]
    assert [one.endpoint for one in charges].count("second") == 2
    assert len({one.event["id"] for one in charges}) == 1
    for one in charges:
        _verified(one, "whsec_second" if one.endpoint == "second" else WEBHOOK_SECRET)


def test_a_disabled_endpoint_misses_events_for_ever(account: Account) -> None:
    account.enable_endpoint("webhook", enabled=False)
    create(account.client())
    account.enable_endpoint("webhook", enabled=True)
    account.advance(DAY)
    assert [one for one in account.take_deliveries() if one.event["type"].startswith("charge")] == []
    assert len(account.client().v1.events.list({"types": ["charge.succeeded"]}).data) == 1


def test_events_are_listed_by_type_newest_first(account: Account) -> None:
    create(account.client())
    listed = account.client().v1.events.list().data
    assert [one.id for one in listed] == [one["id"] for one in account.records("event")][::-1]
    [only] = account.client().v1.events.list({"type": "payment_intent.created"}).data
    assert account.client().v1.events.retrieve(only.id).type == "payment_intent.created"


def test_events_are_kept_for_thirty_days(account: Account) -> None:
    create(account.client())
    account.advance(30 * DAY)
    [old, *_] = account.records("event")
    assert old["type"] == "payment_intent.created"
    account.advance(1)
    kinds = [one.type for one in account.client().v1.events.list({"limit": 100}).auto_paging_iter()]
    assert "payment_intent.created" not in kinds
    assert "payout.created" not in kinds


def test_eventbridge_delivers_an_envelope_without_a_signature(account: Account) -> None:
    account.add_endpoint("bridge")
    intent = create(account.client())
    account.advance(120)
    bridged = [one for one in account.take_deliveries() if one.endpoint == "bridge"]
    envelope = bridged[0].envelope
    assert envelope["source"] == EVENTBRIDGE_SOURCE
    assert envelope["detail-type"] == envelope["detail"]["type"]
    event = stripe.Webhook.construct_event_without_verification(json.dumps(envelope))
    assert event.id == bridged[0].event["id"]
    assert (bridged[0].signature, envelope["time"]) == ("", "2026-11-18T11:06:40Z")
    assert intent.id in json.dumps(envelope)


def test_a_thin_event_is_no_event_of_the_first_version(account: Account) -> None:
    create(account.client())
    thin = thin_event(account.records("event")[0])
    assert "data" not in thin
    with pytest.raises(ValueError, match="thin event"):
        stripe.Webhook.construct_event_without_verification(json.dumps(thin))


def test_a_plan_of_ones_own_replaces_the_delays() -> None:
    account = Account(Behaviour(event_delays=((0,),), twin_event_every=0))
    create(account.client())
    assert [one.event["type"] for one in account.take_deliveries()] == [
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.amount_capturable_updated",
    ]


def test_an_event_of_a_connected_account_names_it(account: Account) -> None:
    account.send_foreign_event("charge.succeeded", account.foreign_charge())
    own, foreign = [one for one in account.records("event") if one["type"] == "charge.succeeded"]
    assert (own["account"], foreign["account"]) == (None, "acct_connected")
