"""The request that creates and confirms a payment intent: a function of the stored purchase, so that its key fits."""

from __future__ import annotations

from typing import Any

from chalicelib.payments.events import MARK_KEY
from chalicelib.payments.gateway import AuthorisationRequest
from chalicelib.payments.stripe.currencies import to_provider_amount
from chalicelib.payments.stripe.intents import STEP_UP


def creation_parameters(request: AuthorisationRequest, token_parameter: str, mark: str) -> dict[str, Any]:
    """Return the parameters of the creation.

    Raises:
        ValueError: Stripe cannot charge this amount or currency.
    """
    about = {MARK_KEY: mark, "purchase": request.purchase_id, "attempt": str(request.attempt)}
    sent: dict[str, Any] = {
        "amount": to_provider_amount(request.amount, request.currency),
        "currency": request.currency.lower(),
        "capture_method": "manual",
        "confirm": True,
        "allowed_payment_method_types": ["card"],
        "metadata": {**request.metadata, **about},
        token_parameter: request.token,
    }
    if request.return_url:
        sent["return_url"] = request.return_url
    if request.step_up:
        sent["payment_method_options"] = {"card": {"request_three_d_secure": STEP_UP}}
    return sent


def creation_key(request: AuthorisationRequest) -> str:
    """Return the idempotency key of this try of the attempt."""
    key = f"{request.purchase_id}:{request.attempt}:create"
    return f"{key}:{request.tries + 1}" if request.tries else key
