"""About the service itself: whether it can work, and what it offers."""

from __future__ import annotations

from chalicelib.api import (
    answers,
    audits,
    cues,
    discounts,
    held,
    markets,
    openapi,
    operator,
    risk,
    sandbox,
    shows,
    ucp,
    webhooks,
)
from chalicelib.api.calls import ApiRequest, ApiResponse, Route
from chalicelib.stock import HoldRef, Pool


def get_health(request: ApiRequest) -> ApiResponse:
    """200 when both tables answer: one read each."""
    request.services.checkout.purchases.read("health")
    request.services.stock.get_hold_statuses([(Pool("health", 1), HoldRef("A" * 11, 0, 0, 0))])
    return ApiResponse(200, {"status": "ok"}, {"Cache-Control": "no-store"})


def get_openapi(request: ApiRequest) -> ApiResponse:
    """This document."""
    return ApiResponse(200, openapi.build_openapi(ROUTES, request.base_url), {"Cache-Control": "public, max-age=60"})


ROUTES: tuple[Route, ...] = (
    *ucp.ROUTES,
    *shows.ROUTES,
    *operator.ROUTES,
    *held.ROUTES,
    *markets.ROUTES,
    *risk.ROUTES,
    *discounts.ROUTES,
    *audits.ROUTES,
    *cues.ROUTES,
    *webhooks.ROUTES,
    *sandbox.ROUTES,
    Route(
        "GET",
        "/health",
        get_health,
        "problem",
        "Whether the service can work",
        (200, 503),
        response_model=answers.Health,
    ),
    Route("GET", "/openapi.json", get_openapi, "problem", "The OpenAPI document", (200,)),
)
