"""Short forms of the SDK's calls, for the double's own tests and for others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import stripe

from tests.doubles.stripe.account import API_KEY, Account


def create(client: stripe.StripeClient, token: str = "pm_card_visa", *, key: str | None = None, **more: Any) -> Any:
    """Create and confirm an intent with manual capture: 16.70 pounds unless ``more`` says otherwise."""
    instrument = "confirmation_token" if token.startswith("ctoken_") else "payment_method"
    sent: Any = {"amount": 1_670, "currency": "gbp", "capture_method": "manual", "confirm": True, instrument: token}
    sent.update(more)
    return client.v1.payment_intents.create(sent, {"idempotency_key": key} if key else {})


def capture(client: stripe.StripeClient, token: str = "pm_card_visa", **more: Any) -> Any:
    """Create an intent and capture it whole."""
    return client.v1.payment_intents.capture(create(client, token, **more).id)


def refusal_of(call: Callable[[], Any]) -> Any:
    """Return the SDK's error of a call that must be refused."""
    try:
        call()
    except stripe.StripeError as error:
        return error
    raise AssertionError("The call was not refused.")


def http_client(address: str, *, seconds: float = 2, api_key: str = API_KEY) -> stripe.StripeClient:
    """Return the SDK's client for an address, which waits ``seconds`` for an answer."""
    requests = stripe.RequestsClient(timeout=(seconds, seconds))
    return stripe.StripeClient(api_key, base_addresses={"api": address}, http_client=requests, max_network_retries=0)


def event_types(account: Account) -> list[str]:
    """Return the types of all events so far, in the order of their changes; twins once."""
    seen: list[str] = []
    before = None
    for event in account.records("event"):
        change = (event["type"], event["data"])
        if change != before:
            seen.append(event["type"])
        before = change
    return seen
