"""Operators put orders on hold, and release them."""

from __future__ import annotations

from chalicelib.api import responses
from chalicelib.api.auth import OPERATOR, require_scope
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


def put_order_on_hold(request: ApiRequest) -> ApiResponse:
    """Hold an order that is being placed: nothing is captured until it is released. A repeat finds it held."""
    actor = require_scope(request, OPERATOR)
    validate_body(EmptyBody, request.optional_json())
    return _order_hold_response(
        put_on_hold(request.services.context, purchase_id_of_order(request), actor, request.now)
    )


def release_order_from_hold(request: ApiRequest) -> ApiResponse:
    """Let a held order be captured. A repeat finds it released."""
    actor = require_scope(request, OPERATOR)
    validate_body(EmptyBody, request.optional_json())
    return _order_hold_response(
        release_from_hold(request.services.context, purchase_id_of_order(request), actor, request.now)
    )


def _order_hold_response(purchase: Purchase) -> ApiResponse:
    payment = purchase.payment
    body = {
        "order_id": order_id(purchase.id),
        "state": purchase.state.value,
        "held_by": payment.held_by if payment else None,
        "released_by": payment.released_by if payment else None,
    }
    return no_store_response(200, body)


_STATUSES = (200, 404, *OPERATOR_ERRORS)
ROUTES = (
    Route(
        "POST",
        "/orders/{id}/hold",
        put_order_on_hold,
        "problem",
        "Hold an order",
        _STATUSES,
        EmptyBody,
        OPERATOR,
        response_model=responses.OrderHoldResponse,
    ),
    Route(
        "POST",
        "/orders/{id}/release",
        release_order_from_hold,
        "problem",
        "Release a held order",
        _STATUSES,
        EmptyBody,
        OPERATOR,
        response_model=responses.OrderHoldResponse,
    ),
)
