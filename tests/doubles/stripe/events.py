"""Events: their objects, and when and how often each is delivered (W1 to W10)."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final

from tests.doubles.stripe.clock import DAY, SECOND
from tests.doubles.stripe.state import API_VERSION, Record, State, wire

EVENTBRIDGE_SOURCE: Final = "aws.partner/stripe.com/ed_double"
_SANDBOX_WAIT: Final = 3_600 * SECOND
"""A sandbox repeats a delivery three times in some hours (W2, D)."""
_KEPT: Final = 30 * DAY + SECOND
"""How long an event is kept (W4, S)."""


@dataclass(frozen=True)
class Endpoint:
    """A destination of events: a webhook endpoint with secrets, or an EventBridge partner source without."""

    name: str
    secrets: tuple[tuple[str, int | None], ...] = ()
    """Secrets, and the instant at which each ends; None: never (W1, D)."""
    enabled: bool = True
    types: frozenset[str] | None = None
    api_version: str = API_VERSION


@dataclass(frozen=True)
class Delivery:
    """One delivery of one event to one destination, due or answered."""

    number: int
    event: Record
    endpoint: str
    failures: int
    at: int
    body: bytes = field(repr=False)
    signature: str = field(repr=False)
    """The header ``Stripe-Signature``, made at this delivery (W1, D)."""

    @property
    def envelope(self) -> dict[str, Any]:
        """Return the event as EventBridge delivers it, without a signature (W9, D)."""
        return {
            "version": "0",
            "id": f"00000000-0000-4000-8000-{self.number:012d}",
            "detail-type": self.event["type"],
            "source": EVENTBRIDGE_SOURCE,
            "account": "123456789012",
            "time": datetime.fromtimestamp(self.event["created"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "region": "eu-west-1",
            "resources": [f"arn:aws:events:eu-west-1::event-source/{EVENTBRIDGE_SOURCE}"],
            "detail": wire(self.event),
        }


def emit(state: State, kind: str, record: Record, *, account: str | None = None) -> None:
    """Make the event of a change, and plan its deliveries. Each n-th change has a second event (W3, D)."""
    every = state.behaviour.twin_event_every
    copies = 2 if every and state.count("change") % every == 0 else 1
    for _ in range(copies):
        event = state.put({**_event(state, kind, record), "account": account})
        state.after(_KEPT, _forget, event["id"])
        for wait in _delays(state):
            plan(state, event["id"], wait)


def _forget(state: State, event: str) -> None:
    del state.records["event"][event]


def _event(state: State, kind: str, record: Record) -> dict[str, Any]:
    return {
        "id": state.new_id("event"),
        "object": "event",
        "api_version": API_VERSION,
        "context": None,
        "created": state.seconds,
        "data": {"object": wire(record)},
        "livemode": state.behaviour.livemode,
        "pending_webhooks": len([one for one in state.endpoints.values() if one.enabled]),
        "request": {"id": state.cause.request_id, "idempotency_key": state.cause.idempotency_key},
        "type": kind,
        "_failed": False,
    }


def _delays(state: State) -> tuple[int, ...]:
    delays = state.behaviour.event_delays
    return delays[state.count("planned event") % len(delays)]


def plan(state: State, event: str, wait: int) -> None:
    """Plan one delivery of an event to each destination that is enabled at this instant (W7, W10, D)."""
    kind = state.get(event)["type"]
    for endpoint in state.endpoints.values():
        if endpoint.enabled and (endpoint.types is None or kind in endpoint.types):
            _deliver_after(state, wait, event, endpoint.name, 0)


def _deliver_after(state: State, wait: int, event: str, endpoint: str, failures: int) -> None:
    state.after(wait, _make_due, event, endpoint, failures)


def _make_due(state: State, event: str, endpoint: str, failures: int) -> None:
    number = state.count("delivery")
    state.outbox[number] = (event, endpoint, failures, state.now)


def take_deliveries(state: State) -> list[Delivery]:
    """Collect the deliveries that are due, in their order."""
    planned = [(number, *one) for number, one in sorted(state.outbox.items()) if state.find(one[0])]
    taken = [_delivery(state, *one) for one in planned]
    state.outbox.clear()
    return taken


def _delivery(state: State, number: int, event_id: str, endpoint: str, failures: int, at: int) -> Delivery:
    event = state.get(event_id)
    body = json.dumps({**wire(event), "api_version": state.endpoints[endpoint].api_version}).encode()
    signature = sign(state, body, state.endpoints[endpoint]) if state.endpoints[endpoint].secrets else ""
    return Delivery(number, event, endpoint, failures, at, body, signature)


def sign(state: State, body: bytes, endpoint: Endpoint) -> str:
    """Sign a body by all secrets that live. Two are alive while one is rolled (W1, D)."""
    alive = [secret for secret, until in endpoint.secrets if until is None or until > state.now]
    return signature_header(body, alive, state.seconds)


def signature_header(body: bytes, secrets: list[str], at: int) -> str:
    """Return the header for a body, with one signature a secret and one of a scheme that is ignored (W1, S)."""
    signed = f"{at}.".encode() + body
    made = [f"v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}" for secret in secrets]
    return ",".join([f"t={at}", *made, f"v0={hashlib.sha256(signed).hexdigest()}"])


def settle_delivery(state: State, delivery: Delivery, status: int | None) -> None:
    """Note the answer to a delivery. All but 2xx is repeated later (W2, D). ``status`` None: no answer in time."""
    event = state.find(delivery.event["id"])
    if event is None:
        return
    if status is not None and 200 <= status < 300:
        state.change(event, pending_webhooks=max(0, event["pending_webhooks"] - 1), _failed=False)
        return
    state.change(event, _failed=True)
    waits = state.behaviour.webhook_retries if state.behaviour.livemode else (_SANDBOX_WAIT,) * 3
    if delivery.failures < len(waits):
        _deliver_after(state, waits[delivery.failures], event["id"], delivery.endpoint, delivery.failures + 1)


def roll_secret(state: State, endpoint: str, new: str, *, keep: int = DAY) -> None:
    """Give an endpoint a new secret. The old one lives for ``keep`` milliseconds, at most a day (W1, D)."""
    old = state.endpoints[endpoint]
    ends = tuple((secret, min(until or state.now + keep, state.now + keep)) for secret, until in old.secrets)
    state.endpoints[endpoint] = replace(old, secrets=(*ends, (new, None)))


def thin_event(event: Record) -> Mapping[str, Any]:
    """Return the thin form of an event, which has ids only and is no event of v1 (W8, S)."""
    related = event["data"]["object"]
    return {
        "id": event["id"],
        "object": "v2.core.event",
        "type": f"v1.{event['type']}",
        "created": event["created"],
        "livemode": event["livemode"],
        "related_object": {"id": related["id"], "type": related["object"], "url": f"/v1/{related['object']}s"},
    }
