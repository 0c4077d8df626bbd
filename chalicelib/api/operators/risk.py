"""What operators see of a drop's declined payments, and the step-up that they may begin and end."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.auth import OPERATOR, require_scope
from chalicelib.api.requests import (
    OPERATOR_ERRORS,
    ApiRequest,
    ApiResponse,
    Route,
    drop_id_in_path,
    no_store_response,
    validate_body,
)
from chalicelib.api.responses import Time
from chalicelib.errors import Conflict, NotFound
from chalicelib.instants import MINUTE, Instant, rfc3339
from chalicelib.risk import DropRisk


class PutStepUpRequest(BaseModel):
    """``PUT /drops/{id}/risk``: for how long the drop asks its buyers to authenticate; 0 ends it."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)
    step_up_minutes: Annotated[int, Field(ge=0, le=1_440)]


class DropRiskResponse(TypedDict):
    """Declined payments of a drop; null: never yet."""

    drop_id: str
    as_of: Time
    window_began: Time | None
    declines: int
    step_up: bool
    step_up_since: Time | None
    step_up_until: Time | None
    step_up_by: str | None


def get_drop_risk(request: ApiRequest) -> ApiResponse:
    """Declines of a drop in the latest window that had one, and whether its buyers are asked to authenticate."""
    drop_id = _existing_drop_id(request)
    return _risk_response(drop_id, request.services.context.risk.drop_risk(drop_id), request.now)


def put_step_up(request: ApiRequest) -> ApiResponse:
    """Have buyers of a drop authenticate from now on, for so long, or not any more. Known everywhere after a second."""
    actor, body = require_scope(request, OPERATOR), validate_body(PutStepUpRequest, request.json())
    drop_id, drop_risks = _existing_drop_id(request), request.services.context.risk
    if not drop_risks.rules.step_up.declines:
        raise Conflict("This shop steps no drop up: its StepUp parameter is empty.", code="step_up_off")
    step_up_until = request.now + body.step_up_minutes * MINUTE
    return _risk_response(drop_id, drop_risks.set_step_up(drop_id, step_up_until, actor, request.now), request.now)


def _existing_drop_id(request: ApiRequest) -> str:
    drop_id = drop_id_in_path(request)
    if request.services.shows.drop(drop_id) is None:
        raise NotFound("There is no such drop.", field="id")
    return drop_id


def _risk_response(drop_id: str, risk: DropRisk, now: Instant) -> ApiResponse:
    def rfc3339_or_none(instant: Instant) -> str | None:
        return rfc3339(instant) if instant else None

    body = {
        "drop_id": drop_id,
        "as_of": rfc3339(now),
        "window_began": rfc3339_or_none(risk.window_began),
        "declines": risk.declines,
        "step_up": risk.step_up_until > now,
        "step_up_since": rfc3339_or_none(risk.step_up_since),
        "step_up_until": rfc3339_or_none(risk.step_up_until),
        "step_up_by": risk.step_up_by,
    }
    return no_store_response(200, body)


ROUTES = (
    Route(
        "GET",
        "/drops/{id}/risk",
        get_drop_risk,
        "problem",
        "Declined payments",
        (200, 401, 403, 404, 503),
        None,
        OPERATOR,
        response_model=DropRiskResponse,
    ),
    Route(
        "PUT",
        "/drops/{id}/risk",
        put_step_up,
        "problem",
        "Begin or end a step-up",
        (200, 404, *OPERATOR_ERRORS),
        PutStepUpRequest,
        OPERATOR,
        response_model=DropRiskResponse,
    ),
)
