"""Webhooks of payment providers. The handler verifies an event, stores it before it acts on it, and acknowledges it."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.requests import ApiRequest, ApiResponse, Route
from chalicelib.capture import store_event
from chalicelib.errors import NotFound, Unauthenticated
from chalicelib.payments import is_signed_by_stripe, parse_stripe_event


class WebhookAck(TypedDict):
    """The result of an event.

    ``stored`` for the worker; ``repeated``; ``known`` when the order has the fact already; ``ignored`` when the event
    concerns no payment of this shop.
    """

    id: str
    status: Literal["stored", "repeated", "known", "ignored"]


def receive_stripe_event(request: ApiRequest) -> ApiResponse:
    """Receive an event of Stripe. The answer 200 means that Stripe need not send the event again."""
    if request.services.settings.payments != "stripe":
        raise NotFound("This deployment does not use Stripe.", code="not_found")
    if not _is_signed(request):
        raise Unauthenticated(
            "`Stripe-Signature` must be a signature of this body, less than five minutes old.", field="Stripe-Signature"
        )
    event = parse_stripe_event(request.json(), request.services.settings.payment_mark)
    return ApiResponse(200, {"id": event.id, "status": store_event(request.services.context, event, request.now)})


def _is_signed(request: ApiRequest) -> bool:
    """Return whether a webhook secret verifies the signature. If none does, read the secrets again: they may be new."""
    header, keys = request.headers.get("stripe-signature", ""), request.services.provider_keys
    if is_signed_by_stripe(request.body, header, keys.get(request.now).webhook_secrets, request.now):
        return True
    return is_signed_by_stripe(request.body, header, keys.reread(request.now).webhook_secrets, request.now)


ROUTES = (
    Route(
        "POST",
        "/webhooks/stripe",
        receive_stripe_event,
        "Receive an event of Stripe",
        (200, 400, 401, 404, 413, 415, 503),
        response_model=WebhookAck,
    ),
)
