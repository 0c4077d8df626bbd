"""Views of buyers: the Universal Commerce Protocol, release 2026-04-08, in REST."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.api.auth import authenticated_platform, caller_of, idempotency_key, platform_by_key, profile_of
from chalicelib.api.buyers import catalog, ucp_responses
from chalicelib.api.buyers.ucp_requests import (
    CartRequest,
    CatalogLookupRequest,
    CheckoutSessionRequest,
    CompleteSessionRequest,
)
from chalicelib.api.requests import ApiRequest, ApiResponse, Json, fingerprint, validate_body
from chalicelib.checkout import cancel_purchase, complete_purchase, create_purchase, find_purchase, update_purchase
from chalicelib.ids import parse_cart_id, parse_checkout_id, parse_order_id
from chalicelib.pricing import Market
from chalicelib.purchase import CheckoutResult, Message, NoPurchase, Purchase, PurchaseRequest, PurchaseState
from chalicelib.schema import is_id

_NOT_FOUND = NoPurchase((Message("not_found", "Nothing is known under that id."),))
_SPEC = f"https://ucp.dev/{ucp_responses.VERSION}"
_NO_STORE = {"Cache-Control": "no-store"}


def get_profile(request: ApiRequest) -> ApiResponse:
    """Get the business profile: services, capabilities and payment handlers."""
    version = ucp_responses.VERSION

    def capability(page: str, schema: str, **more: object) -> list[Json]:
        links = {"spec": f"{_SPEC}/specification/{page}", "schema": f"{_SPEC}/schemas/shopping/{schema}.json"}
        return [{"version": version, **links, **more}]

    one_destination = {"allows_multi_destination": {"shipping": False}}
    service = {
        "version": version,
        "spec": f"{_SPEC}/specification/overview",
        "transport": "rest",
        "schema": f"{_SPEC}/services/shopping/rest.openapi.json",
        "endpoint": request.base_url,
    }
    live = {"version": ucp_responses.HANDLER_VERSION, "spec": f"{request.base_url}/openapi.json"}
    extends_checkout = {"extends": ucp_responses.CHECKOUT, "config": one_destination}
    capabilities = {
        ucp_responses.CHECKOUT: capability("checkout", "checkout"),
        ucp_responses.CART: capability("cart", "cart"),
        ucp_responses.FULFILLMENT: capability("fulfillment", "fulfillment", **extends_checkout),
        ucp_responses.DISCOUNT: capability(
            "discount", "discount", extends=[ucp_responses.CART, ucp_responses.CHECKOUT]
        ),
        ucp_responses.ORDER: capability("order", "order"),
        ucp_responses.LOOKUP: capability("catalog/lookup", "catalog_lookup"),
        "dev.livedrop.shopping.live": [live],
    }
    ucp = {
        "version": version,
        "services": {"dev.ucp.shopping": [service]},
        "capabilities": capabilities,
        "payment_handlers": ucp_responses.payment_handlers(request.services.settings.payments),
    }
    return ApiResponse(200, {"ucp": ucp}, {"Cache-Control": "public, max-age=60"})


def create_cart(request: ApiRequest) -> ApiResponse:
    """Create a cart: hold units for each line."""
    caller, key, body = caller_of(request), idempotency_key(request), request.json()
    purchase_request = validate_body(CartRequest, body).to_request(caller, key, fingerprint("create cart", body))
    return _cart_response(
        request, create_purchase(request.services.context, purchase_request, request.now), purchase_request
    )


def get_cart(request: ApiRequest) -> ApiResponse:
    """Get a cart in its present state."""
    profile_of(request)
    purchase_id = parse_cart_id(request.params["id"])
    result = find_purchase(request.services.context, purchase_id, request.now) if purchase_id else _NOT_FOUND
    if isinstance(result, CheckoutResult) and result.purchase.state is PurchaseState.CANCELLED:
        result = _NOT_FOUND
    return _cart_response(request, result)


def update_cart(request: ApiRequest) -> ApiResponse:
    """Replace a cart. Its holds follow the new quantities."""
    caller, key, body = caller_of(request), idempotency_key(request), request.json()
    purchase_request = validate_body(CartRequest, body).to_request(
        caller, key, fingerprint("update cart", request.params["id"], body)
    )
    return _cart_response(request, _update(request, parse_cart_id(request.params["id"]), purchase_request))


def cancel_cart(request: ApiRequest) -> ApiResponse:
    """Cancel a cart: release its units. The answer is its last state."""
    return _cart_response(request, _cancel(request, parse_cart_id(request.params["id"])))


def create_checkout(request: ApiRequest) -> ApiResponse:
    """Create a checkout session: hold units for each line, or take over the lines of a cart."""
    caller, key, body = caller_of(request), idempotency_key(request), request.json()
    session_request = validate_body(CheckoutSessionRequest, body)
    cart_purchase_id = parse_cart_id(session_request.cart_id) if session_request.cart_id is not None else None
    if session_request.cart_id is not None and cart_purchase_id is None:
        return _checkout_response(request, _NOT_FOUND)
    purchase_request = session_request.to_request(caller, key, fingerprint("create checkout", body), cart_purchase_id)
    # A caller that names a cart knows its id, and may read it anyway.
    return _checkout_response(
        request,
        create_purchase(request.services.context, purchase_request, request.now),
        None if cart_purchase_id else purchase_request,
    )


def get_checkout(request: ApiRequest) -> ApiResponse:
    """Get a checkout session in its present state."""
    profile_of(request)
    purchase_id = parse_checkout_id(request.params["id"])
    return _checkout_response(
        request, find_purchase(request.services.context, purchase_id, request.now) if purchase_id else _NOT_FOUND
    )


def update_checkout(request: ApiRequest) -> ApiResponse:
    """Replace a session's lines, buyer, destination or shipping option."""
    caller, key, body = caller_of(request), idempotency_key(request), request.json()
    session_request = validate_body(CheckoutSessionRequest, body)
    purchase_request = session_request.to_request(
        caller, key, fingerprint("update checkout", request.params["id"], body)
    )
    return _checkout_response(request, _update(request, parse_checkout_id(request.params["id"]), purchase_request))


def complete_checkout(request: ApiRequest) -> ApiResponse:
    """Place the order. A worker pays it a moment later: get the session until it is ``completed``."""
    caller, key, body = caller_of(request), idempotency_key(request), request.json()
    body_fingerprint, provider = fingerprint("complete", request.params["id"], body), request.services.settings.payments
    complete_request = validate_body(CompleteSessionRequest, body).to_request(caller, key, body_fingerprint, provider)
    purchase_id = parse_checkout_id(request.params["id"])
    return _checkout_response(
        request,
        complete_purchase(request.services.context, purchase_id, complete_request, request.now)
        if purchase_id
        else _NOT_FOUND,
    )


def cancel_checkout(request: ApiRequest) -> ApiResponse:
    """Cancel a session: release its units."""
    return _checkout_response(request, _cancel(request, parse_checkout_id(request.params["id"])))


def get_order(request: ApiRequest) -> ApiResponse:
    """Get a paid order, for the platform of its buyer."""
    profile_of(request)
    platform = authenticated_platform(request)
    purchase_id = parse_order_id(request.params["id"])
    result = (
        find_purchase(request.services.context, purchase_id, request.now) if purchase_id and platform else _NOT_FOUND
    )
    if isinstance(result, NoPurchase) or platform is None or result.purchase.platform != platform.name:
        return ApiResponse(200, ucp_responses.error_envelope(_NOT_FOUND, ucp_responses.ORDER), dict(_NO_STORE))
    if result.purchase.state is not PurchaseState.PAID:
        return ApiResponse(200, ucp_responses.error_envelope(_NOT_FOUND, ucp_responses.ORDER), dict(_NO_STORE))
    market = _market_of(request, result.purchase)
    return ApiResponse(
        200, ucp_responses.order(result.purchase, request.now, market, request.base_url), dict(_NO_STORE)
    )


def lookup_catalog(request: ApiRequest) -> ApiResponse:
    """Look up drops as products, with price and availability."""
    profile_of(request)
    lookup_request, shows = validate_body(CatalogLookupRequest, request.json()), request.services.shows
    offers = {one: shows.offer(one, request.now) if is_id(one) else None for one in lookup_request.drop_ids()}
    return ApiResponse(200, catalog.lookup_response(offers, request.now), dict(_NO_STORE))


def _update(
    request: ApiRequest, purchase_id: str | None, purchase_request: PurchaseRequest
) -> CheckoutResult | NoPurchase:
    return (
        update_purchase(request.services.context, purchase_id, purchase_request, request.now)
        if purchase_id
        else _NOT_FOUND
    )


def _cancel(request: ApiRequest, purchase_id: str | None) -> CheckoutResult | NoPurchase:
    caller, key, body = caller_of(request), idempotency_key(request), request.optional_json()
    body_fingerprint = fingerprint("cancel", request.params["id"], body)
    return (
        cancel_purchase(request.services.context, purchase_id, caller, key, body_fingerprint, request.now)
        if purchase_id
        else _NOT_FOUND
    )


def _cart_response(
    request: ApiRequest, result: CheckoutResult | NoPurchase, create_request: PurchaseRequest | None = None
) -> ApiResponse:
    if isinstance(result, NoPurchase):
        return ApiResponse(200, ucp_responses.error_envelope(result, ucp_responses.CART), dict(_NO_STORE))
    market = _market_of(request, result.purchase)
    shown = ucp_responses.cart(result, request.now, market)
    return ApiResponse(
        201 if result.created else 200,
        _redact_for_caller(request, result.purchase, shown, create_request),
        dict(_NO_STORE),
    )


def _checkout_response(
    request: ApiRequest, result: CheckoutResult | NoPurchase, create_request: PurchaseRequest | None = None
) -> ApiResponse:
    if isinstance(result, NoPurchase):
        return ApiResponse(200, ucp_responses.error_envelope(result, ucp_responses.CHECKOUT), dict(_NO_STORE))
    line = request.services.order_line
    message = line.message(request.now) if line and result.purchase.state is PurchaseState.PLACED else None
    if message is not None:
        result = replace(result, messages=(*result.messages, message))
    market, settings = _market_of(request, result.purchase), request.services.settings
    pages = (("terms_of_service", settings.terms_url), ("privacy_policy", settings.privacy_url))
    links = [{"type": kind, "url": url} for kind, url in pages if url]
    shown = ucp_responses.checkout(result, request.now, market, request.base_url, links, settings.payments)
    return ApiResponse(
        201 if result.created else 200,
        _redact_for_caller(request, result.purchase, shown, create_request),
        dict(_NO_STORE),
    )


def _market_of(request: ApiRequest, purchase: Purchase) -> Market:
    """Return the market in which a purchase was priced. Its totals decide if its prices include tax."""
    market, sums = request.services.context.markets_at(request.now).by_id(purchase.market), purchase.totals
    return market.model_copy(update={"tax_included": not sums.tax_on_top}) if sums.tax else market


def _redact_for_caller(
    request: ApiRequest, purchase: Purchase, shown: Json, create_request: PurchaseRequest | None
) -> Json:
    """Return the parts of a purchase that this caller may read.

    The id alone gives access only while nobody but the buyer knows it. The ledger and events have an order's id, and
    the session's id follows from it. So once an order is placed, only its platform, with its key, may read the buyer
    and the address. ``create_request`` is the request of a create, whose key another caller may use too. So its answer
    has no buyer or address that differs from the request.
    """
    if _is_its_platform(request, purchase):
        return shown
    placed = purchase.state is not PurchaseState.OPEN
    if placed or (create_request is not None and create_request.buyer != purchase.buyer):
        shown = ucp_responses.redact_buyer(shown)
    if placed or (create_request is not None and create_request.destination != purchase.destination):
        shown = ucp_responses.redact_address(shown)
    return shown


def _is_its_platform(request: ApiRequest, purchase: Purchase) -> bool:
    platform = platform_by_key(request)
    return platform is not None and platform.name == purchase.platform
