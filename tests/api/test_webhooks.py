from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import instants
from chalicelib.api import Keyring
from chalicelib.capture import process_attempt, process_event
from chalicelib.instants import SECOND
from chalicelib.payments import ProviderKeys
from tests.api.conftest import ApiClient, ApiReply, express_checkout, payment_body

PAYMENT = {"id": "pi_1", "amount": 1, "metadata": {"livedrop": "livedrop"}}
EVENT = {"id": "evt_1", "type": "payment_intent.succeeded", "data": {"object": PAYMENT}}


@pytest.fixture
def stripe_api(api: ApiClient) -> ApiClient:
    settings = replace(api.services.settings, payments="stripe")
    object.__setattr__(api.services, "settings", settings)
    return api


def stripe_signature(body: bytes, secret: str = "whsec_new", age: int = 0) -> str:
    """Sign as Stripe does (docs.stripe.com/webhooks/signature): HMAC-SHA256 of ``t.body``."""
    at = instants.clock() // SECOND - age
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def send_event(api: ApiClient, event: Any, header: str | None = None, **how: Any) -> ApiReply:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    header = stripe_signature(body, **how) if header is None else header
    return api.send("POST", "/webhooks/stripe", body, stripe_signature=header, ucp_agent=None)


def test_event_is_stored_once(stripe_api: ApiClient) -> None:
    answers = [send_event(stripe_api, EVENT) for _ in range(2)]
    assert [(one.status, one.body["status"]) for one in answers] == [(200, "stored"), (200, "repeated")]
    assert stripe_api.services.context.events.read("stripe", "evt_1") is not None


@pytest.mark.parametrize("secret", ["whsec_new", "whsec_old"])
def test_both_secrets_are_valid_during_a_rotation(stripe_api: ApiClient, secret: str) -> None:
    assert send_event(stripe_api, EVENT, secret=secret).status == 200


def test_signature_that_no_secret_verifies_makes_the_secrets_be_read_again(
    stripe_api: ApiClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads: list[str] = []
    present = instants.clock()

    def read() -> ProviderKeys:
        reads.append("")
        return ProviderKeys("sk_test_1", ("whsec_new",) if len(reads) == 1 else ("whsec_rotated",))

    object.__setattr__(stripe_api.services, "provider_keys", Keyring(read))
    assert send_event(stripe_api, EVENT).status == 200
    assert send_event(stripe_api, EVENT, secret="whsec_rotated").status == 401, "they were read within ten seconds"
    monkeypatch.setattr(instants, "clock", lambda: present + 11 * SECOND)
    assert send_event(stripe_api, EVENT, secret="whsec_rotated").status == 200
    assert send_event(stripe_api, EVENT, secret="whsec_of_nobody").status == 401
    assert len(reads) == 2


@pytest.mark.parametrize("age", [-290, 290])
def test_signature_is_valid_while_clocks_differ_by_less_than_five_minutes(stripe_api: ApiClient, age: int) -> None:
    assert send_event(stripe_api, EVENT, age=age).status == 200


@pytest.mark.parametrize(
    "how",
    [{"secret": "whsec_other"}, {"age": 310}, {"age": -310}, {"header": ""}, {"header": "t=1,v1="}, {"header": "v1=x"}],
)
def test_missing_wrong_or_stale_signature_changes_nothing(stripe_api: ApiClient, how: dict[str, Any]) -> None:
    before = stripe_api.snapshot()
    answer = send_event(stripe_api, EVENT, **how)
    assert (answer.status, answer.body["field"]) == (401, "Stripe-Signature")
    assert stripe_api.snapshot() == before


@pytest.mark.parametrize("second", ["{old} ,t={now}", "{now},t={old}", "+{old},t={now}"])
def test_stale_signature_is_not_renewed_by_a_second_timestamp(stripe_api: ApiClient, second: str) -> None:
    body = json.dumps(EVENT).encode()
    stamp, _, digest = stripe_signature(body, age=400).partition(",")
    old, now = stamp.removeprefix("t="), instants.clock() // SECOND
    assert send_event(stripe_api, EVENT, f"t={second.format(old=old, now=now)},{digest}").status == 401


def test_signature_covers_the_raw_body(stripe_api: ApiClient) -> None:
    header = stripe_signature(json.dumps(EVENT).encode())
    assert send_event(stripe_api, json.dumps(EVENT, indent=1).encode(), header).status == 401
    assert send_event(stripe_api, b"\xff", stripe_signature(b"\xff")).status == 401


@pytest.mark.parametrize(
    ("body", "field"), [(b"{", "$"), (b"[]", "$"), (b"{}", "$.id"), (b'{"id": "evt_1"}', "$.type")]
)
def test_signed_body_that_is_no_event_is_refused(stripe_api: ApiClient, body: bytes, field: str) -> None:
    answer = send_event(stripe_api, body)
    assert (answer.status, answer.body["field"]) == (400, field)


def test_event_of_another_shop_is_acknowledged(stripe_api: ApiClient) -> None:
    before = stripe_api.snapshot()
    payment_of_other_software = {**EVENT, "data": {"object": {"id": "pi_1", "metadata": {"attempt": "first"}}}}
    for event in ({"id": "evt_1", "type": "customer.created"}, payment_of_other_software):
        answer = send_event(stripe_api, event)
        assert (answer.status, answer.body["status"]) == (200, "ignored")
    assert stripe_api.snapshot() == before


def test_webhook_address_is_unknown_without_stripe(api: ApiClient) -> None:
    assert send_event(api, EVENT).status == 404


def session_awaiting_authentication(api: ApiClient) -> ApiReply:
    api.an_open_drop()
    made = api.send("POST", "/checkout-sessions", express_checkout())
    session = made.body["id"]
    assert api.send("POST", f"/checkout-sessions/{session}/complete", payment_body("requires_action")).status == 200
    process_attempt(api.services.context, session.removeprefix("chk_"), 1, instants.clock())
    return api.send("GET", f"/checkout-sessions/{session}")


def test_buyer_authenticates_on_the_page_and_the_order_is_paid(api: ApiClient) -> None:
    asked = session_awaiting_authentication(api)
    assert asked.body["status"] == "requires_escalation"
    assert asked.body["messages"][0]["code"] == "authentication_required"
    page = asked.body["continue_url"].removeprefix("http://shop.example")
    shown = api.send("GET", page, ucp_agent=None)
    assert (shown.status, shown.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "It is me" in shown.text
    assert api.send("POST", f"{page}?outcome=authenticated", b"", ucp_agent=None).status == 200
    purchase_id = asked.body["id"].removeprefix("chk_")
    event = api.services.context.events.read("sandbox", f"{purchase_id}-1")
    assert event is not None
    process_event(api.services.context, "sandbox", event.id, instants.clock())
    assert api.send("GET", f"/checkout-sessions/{asked.body['id']}").body["status"] == "completed"
    assert "Nothing to confirm" in api.send("GET", page, ucp_agent=None).text
    assert api.send("POST", f"{page}?outcome=refused", b"", ucp_agent=None).status == 409


def test_sandbox_page_refuses_an_unknown_answer(api: ApiClient) -> None:
    page = session_awaiting_authentication(api).body["continue_url"].removeprefix("http://shop.example")
    before = api.snapshot()
    for query in ("", "?outcome=maybe", "?outcome=refused&more=1"):
        assert api.send("POST", page + query, b"", ucp_agent=None).status == 400
    for path in ("/sandbox/challenges/x/1", f"{page}x", f"{page}99999"):
        assert api.send("GET", path, ucp_agent=None).status == 404
    assert api.snapshot() == before


def place_paid_order(api: ApiClient) -> str:
    api.an_open_drop()
    session = api.send("POST", "/checkout-sessions", express_checkout()).body["id"]
    api.send("POST", f"/checkout-sessions/{session}/complete", payment_body())
    purchase_id = session.removeprefix("chk_")
    process_attempt(api.services.context, purchase_id, 1, instants.clock())
    return f"ord_{purchase_id}"
