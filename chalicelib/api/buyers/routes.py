"""The routes that buyers call."""

from __future__ import annotations

from chalicelib.api.buyers.ucp import (
    cancel_cart,
    cancel_checkout,
    complete_checkout,
    create_cart,
    create_checkout,
    get_cart,
    get_checkout,
    get_order,
    get_profile,
    lookup_catalog,
    update_cart,
    update_checkout,
)
from chalicelib.api.buyers.ucp_requests import (
    CartRequest,
    CatalogLookupRequest,
    CheckoutSessionRequest,
    CompleteSessionRequest,
)
from chalicelib.api.requests import Route

_UPDATE_STATUSES, _CREATE_STATUSES, _READ_STATUSES = (
    (200, 400, 409, 413, 415, 503),
    (200, 201, 400, 409, 413, 415, 503),
    (200, 400, 503),
)
ROUTES = (
    Route("GET", "/.well-known/ucp", get_profile, "problem", "Business profile", (200,)),
    Route(
        "POST",
        "/carts",
        create_cart,
        "ucp",
        "Create a cart: holds units",
        _CREATE_STATUSES,
        CartRequest,
        requires_idempotency_key=True,
    ),
    Route("GET", "/carts/{id}", get_cart, "ucp", "Get a cart", _READ_STATUSES),
    Route(
        "PUT",
        "/carts/{id}",
        update_cart,
        "ucp",
        "Replace a cart",
        _UPDATE_STATUSES,
        CartRequest,
        requires_idempotency_key=True,
    ),
    Route(
        "POST",
        "/carts/{id}/cancel",
        cancel_cart,
        "ucp",
        "Cancel a cart",
        _UPDATE_STATUSES,
        requires_idempotency_key=True,
    ),
    Route(
        "POST",
        "/checkout-sessions",
        create_checkout,
        "ucp",
        "Create a session",
        _CREATE_STATUSES,
        CheckoutSessionRequest,
        requires_idempotency_key=True,
    ),
    Route("GET", "/checkout-sessions/{id}", get_checkout, "ucp", "Get a session", _READ_STATUSES),
    Route(
        "PUT",
        "/checkout-sessions/{id}",
        update_checkout,
        "ucp",
        "Replace a session",
        _UPDATE_STATUSES,
        CheckoutSessionRequest,
        requires_idempotency_key=True,
    ),
    Route(
        "POST",
        "/checkout-sessions/{id}/complete",
        complete_checkout,
        "ucp",
        "Place the order",
        _UPDATE_STATUSES,
        CompleteSessionRequest,
        requires_idempotency_key=True,
    ),
    Route(
        "POST",
        "/checkout-sessions/{id}/cancel",
        cancel_checkout,
        "ucp",
        "Cancel a session",
        _UPDATE_STATUSES,
        requires_idempotency_key=True,
    ),
    Route("GET", "/orders/{id}", get_order, "ucp", "Get an order, as its platform", (200, 400, 401, 503)),
    Route(
        "POST",
        "/catalog/lookup",
        lookup_catalog,
        "ucp",
        "Look up drops",
        (200, 400, 413, 415, 503),
        CatalogLookupRequest,
    ),
)
