"""The table of all routes."""

from __future__ import annotations

from chalicelib.api import cues, health, openapi, sandbox, shows, webhooks
from chalicelib.api.buyers.routes import ROUTES as BUYER_ROUTES
from chalicelib.api.operators import (
    discounts,
    exports,
    markets,
    order_holds,
    order_money,
    orders,
    risk,
    shows_and_drops,
    stock_audit,
)
from chalicelib.api.requests import ApiRequest, ApiResponse, Route


def get_openapi(request: ApiRequest) -> ApiResponse:
    """Get this document."""
    return ApiResponse(200, openapi.build_openapi(ROUTES, request.base_url), {"Cache-Control": "public, max-age=60"})


ROUTES: tuple[Route, ...] = (
    *BUYER_ROUTES,
    *shows.ROUTES,
    *shows_and_drops.ROUTES,
    *orders.ROUTES,
    *order_holds.ROUTES,
    *order_money.ROUTES,
    *exports.ROUTES,
    *markets.ROUTES,
    *risk.ROUTES,
    *discounts.ROUTES,
    *stock_audit.ROUTES,
    *cues.ROUTES,
    *webhooks.ROUTES,
    *sandbox.ROUTES,
    *health.ROUTES,
    Route("GET", "/openapi.json", get_openapi, "Get the OpenAPI document", (200,)),
)
