"""Operators put orders on hold, and release them."""

from __future__ import annotations

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.auth import OPERATOR, require_scope
from chalicelib.api.operators.provider_money import ProviderMoneyResponse, provider_money
from chalicelib.api.requests import (
    OPERATOR_ERRORS,
    ApiRequest,
    ApiResponse,
    EmptyBody,
    Route,
    no_store_response,
    purchase_id_of_order,
    validate_body,
)
from chalicelib.capture import put_on_hold, release_from_hold
from chalicelib.ids import order_id
from chalicelib.purchase import Purchase


class OrderHoldResponse(TypedDict):
    """An order that was put on hold, or released."""

    order_id: str
    state: str
    held_by: str | None
    released_by: str | None
    provider: ProviderMoneyResponse


def put_order_on_hold(request: ApiRequest) -> ApiResponse:
    """Put an order on hold while it is being paid. Its payment is not captured before its release. Repeatable."""
    actor = require_scope(request, OPERATOR)
    validate_body(EmptyBody, request.optional_json())
    purchase = put_on_hold(request.services.context, purchase_id_of_order(request), actor, request.now)
    return _order_hold_response(request, purchase)


def release_order_from_hold(request: ApiRequest) -> ApiResponse:
    """Release an order from hold, so that its payment is captured. Repeatable."""
    actor = require_scope(request, OPERATOR)
    validate_body(EmptyBody, request.optional_json())
    purchase = release_from_hold(request.services.context, purchase_id_of_order(request), actor, request.now)
    return _order_hold_response(request, purchase)


def _order_hold_response(request: ApiRequest, purchase: Purchase) -> ApiResponse:
    payment = purchase.payment
    answer: OrderHoldResponse = {
        "order_id": order_id(purchase.id),
        "state": purchase.state.value,
        "held_by": payment.held_by if payment else None,
        "released_by": payment.released_by if payment else None,
        "provider": provider_money(request, purchase),
    }
    return no_store_response(200, answer)


_STATUSES = (200, 404, *OPERATOR_ERRORS)
ROUTES = (
    Route(
        "POST",
        "/orders/{id}/hold",
        put_order_on_hold,
        "Put an order on hold",
        _STATUSES,
        request_model=EmptyBody,
        scope=OPERATOR,
        response_model=OrderHoldResponse,
    ),
    Route(
        "POST",
        "/orders/{id}/release",
        release_order_from_hold,
        "Release an order from hold",
        _STATUSES,
        request_model=EmptyBody,
        scope=OPERATOR,
        response_model=OrderHoldResponse,
    ),
)
