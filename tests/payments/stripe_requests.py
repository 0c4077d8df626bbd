"""Authorisation requests for Stripe, and helpers that authorise and capture them."""

from __future__ import annotations

from chalicelib.payments import AuthorisationRequest, Authorised, Captured
from chalicelib.payments.stripe.gateway import StripeGateway

NOW = 1_795_000_000_000
VISA, DECLINED, INSUFFICIENT_FUNDS, REQUIRES_ACTION = (
    f"pm_card_{name}"
    for name in ("visa", "chargeDeclined", "chargeDeclinedInsufficientFunds", "authenticationRequired")
)


def a_request(
    token: str = VISA,
    attempt: int = 1,
    provider_id: str | None = None,
    amount: int = 1_000,
    purchase_id: str = "p1",
) -> AuthorisationRequest:
    return AuthorisationRequest(purchase_id, attempt, amount, "GBP", token, {"show": "s1"}, NOW, provider_id)


def authorise(gateway: StripeGateway, request: AuthorisationRequest | None = None) -> str:
    answer = gateway.authorise(request or a_request(), now=NOW)
    assert isinstance(answer, Authorised)
    return answer.provider_id


def capture(gateway: StripeGateway) -> str:
    provider_id = authorise(gateway)
    assert isinstance(gateway.capture(provider_id, attempt=1, amount=1_000, now=NOW), Captured)
    return provider_id
