"""The health check."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.requests import ApiRequest, ApiResponse, Route
from chalicelib.stock import HoldRef, Pool


class HealthResponse(TypedDict):
    status: Literal["ok"]


def get_health(request: ApiRequest) -> ApiResponse:
    """Check that both tables answer, by one read each."""
    request.services.context.purchases.read("health")
    request.services.stock.get_hold_statuses([(Pool("health", 1), HoldRef("A" * 11, 0, 0, 0))])
    return ApiResponse(200, {"status": "ok"}, {"Cache-Control": "no-store"})


ROUTES = (
    Route("GET", "/health", get_health, "Check that both tables answer", (200, 503), response_model=HealthResponse),
)
