"""Whether the service can work."""

from __future__ import annotations

from chalicelib.api.requests import ApiRequest, ApiResponse
from chalicelib.stock import HoldRef, Pool


def get_health(request: ApiRequest) -> ApiResponse:
    """200 when both tables answer: one read each."""
    request.services.context.purchases.read("health")
    request.services.stock.get_hold_statuses([(Pool("health", 1), HoldRef("A" * 11, 0, 0, 0))])
    return ApiResponse(200, {"status": "ok"}, {"Cache-Control": "no-store"})
