"""The table of the routes of buyers."""

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
    Route("GET", "/.well-known/ucp", get_profile, "Business profile", (200,)),
    Route(
        "POST",
        "/carts",
        create_cart,
        "Create a cart: holds units",
        _CREATE_STATUSES,
        request_model=CartRequest,
        requires_idempotency_key=True,
        error_format="ucp",
    ),
    Route("GET", "/carts/{id}", get_cart, "Get a cart", _READ_STATUSES, error_format="ucp"),
    Route(
        "PUT",
        "/carts/{id}",
        update_cart,
        "Replace a cart",
        _UPDATE_STATUSES,
        request_model=CartRequest,
        requires_idempotency_key=True,
        error_format="ucp",
    ),
    Route(
        "POST",
        "/carts/{id}/cancel",
        cancel_cart,
        "Cancel a cart",
        _UPDATE_STATUSES,
        requires_idempotency_key=True,
        error_format="ucp",
    ),
    Route(
        "POST",
        "/checkout-sessions",
        create_checkout,
        "Create a session",
        _CREATE_STATUSES,
        request_model=CheckoutSessionRequest,
        requires_idempotency_key=True,
        error_format="ucp",
    ),
    Route("GET", "/checkout-sessions/{id}", get_checkout, "Get a session", _READ_STATUSES, error_format="ucp"),
    Route(
        "PUT",
        "/checkout-sessions/{id}",
        update_checkout,
        "Replace a session",
        _UPDATE_STATUSES,
        request_model=CheckoutSessionRequest,
        requires_idempotency_key=True,
        error_format="ucp",
    ),
    Route(
        "POST",
        "/checkout-sessions/{id}/complete",
        complete_checkout,
        "Place the order",
        _UPDATE_STATUSES,
        request_model=CompleteSessionRequest,
        requires_idempotency_key=True,
        error_format="ucp",
    ),
    Route(
        "POST",
        "/checkout-sessions/{id}/cancel",
        cancel_checkout,
        "Cancel a session",
        _UPDATE_STATUSES,
        requires_idempotency_key=True,
        error_format="ucp",
    ),
    Route("GET", "/orders/{id}", get_order, "Get an order, as its platform", (200, 400, 401, 503), error_format="ucp"),
    Route(
        "POST",
        "/catalog/lookup",
        lookup_catalog,
        "Look up drops",
        (200, 400, 413, 415, 503),
        request_model=CatalogLookupRequest,
        error_format="ucp",
    ),
)
