"""What payment providers tell: signed, kept before it is acted on, acknowledged when it is kept."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.requests import ApiRequest, ApiResponse, Route
from chalicelib.capture import store_event
from chalicelib.errors import NotFound, Unauthenticated
from chalicelib.payments import is_signed_by_stripe, parse_stripe_event


class WebhookAck(TypedDict):
    """``stored`` for the worker; ``repeated``; ``known``: the order says as much already; ``ignored``: not for us."""

    id: str
    status: Literal["stored", "repeated", "known", "ignored"]


def receive_stripe_event(request: ApiRequest) -> ApiResponse:
    """An event of Stripe. 200 for one that is kept, repeated, already known, or not for us: it need not come again."""
    if request.services.settings.payments != "stripe":
        raise NotFound("There is nothing at this address.", code="not_found")
    secrets = request.services.provider_keys.get(request.now).webhook_secrets
    if not is_signed_by_stripe(request.body, request.headers.get("stripe-signature", ""), secrets, request.now):
        raise Unauthenticated("The signature is missing, wrong or stale.", field="Stripe-Signature")
    event = parse_stripe_event(request.json())
    return ApiResponse(200, {"id": event.id, "status": store_event(request.services.context, event, request.now)})


ROUTES = (
    Route(
        "POST",
        "/webhooks/stripe",
        receive_stripe_event,
        "Tell what happened to a payment",
        (200, 400, 401, 404, 413, 415, 503),
        response_model=WebhookAck,
    ),
)
