"""Operators read a drop's declined payments, and begin or end its step-up."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
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
from chalicelib.api.responses import Time, time_or_none
from chalicelib.errors import Conflict
from chalicelib.instants import MINUTE, Instant, rfc3339
from chalicelib.risk import DropRisk
from chalicelib.schema import StrictModel
from chalicelib.shows import drop_not_found


class PutStepUpRequest(StrictModel):
    """``PUT /drops/{id}/risk``: the minutes for which the drop asks its buyers to authenticate; 0 ends it."""

    step_up_minutes: Annotated[int, Field(ge=0, le=1_440)]


class DropRiskResponse(TypedDict):
    """Declined payments of a drop. A time is null before its first event."""

    drop_id: str
    as_of: Time
    window_began: Time | None
    declines: int
    step_up: bool
    step_up_since: Time | None
    step_up_until: Time | None
    step_up_by: str | None


def get_drop_risk(request: ApiRequest) -> ApiResponse:
    """Get the declines of a drop in its latest window with one, and whether its buyers have to authenticate."""
    drop_id = _existing_drop_id(request)
    risk = request.services.context.risk.drop_risk(drop_id)
    return no_store_response(200, _risk_response(drop_id, risk, request.now))


def put_step_up(request: ApiRequest) -> ApiResponse:
    """Begin or end a drop's step-up, in which its buyers have to authenticate. It applies everywhere after a second."""
    actor, body = require_scope(request, OPERATOR), validate_body(PutStepUpRequest, request.json())
    drop_id, drop_risks = _existing_drop_id(request), request.services.context.risk
    if not drop_risks.rules.step_up.declines:
        raise Conflict("Step-up is off. Set the parameter StepUp of the stack to use it.", code="step_up_off")
    step_up_until = request.now + body.step_up_minutes * MINUTE
    risk = drop_risks.set_step_up(drop_id, step_up_until, actor, request.now)
    return no_store_response(200, _risk_response(drop_id, risk, request.now))


def _existing_drop_id(request: ApiRequest) -> str:
    drop_id = drop_id_in_path(request)
    if request.services.shows.drop(drop_id) is None:
        raise drop_not_found()
    return drop_id


def _risk_response(drop_id: str, risk: DropRisk, now: Instant) -> DropRiskResponse:
    return {
        "drop_id": drop_id,
        "as_of": rfc3339(now),
        "window_began": time_or_none(risk.window_began or None),
        "declines": risk.declines,
        "step_up": risk.step_up_until > now,
        "step_up_since": time_or_none(risk.step_up_since or None),
        "step_up_until": time_or_none(risk.step_up_until or None),
        "step_up_by": risk.step_up_by,
    }


ROUTES = (
    Route(
        "GET",
        "/drops/{id}/risk",
        get_drop_risk,
        "Get a drop's declined payments",
        (200, 401, 403, 404, 503),
        scope=OPERATOR,
        response_model=DropRiskResponse,
    ),
    Route(
        "PUT",
        "/drops/{id}/risk",
        put_step_up,
        "Begin or end a drop's step-up",
        (200, 404, *OPERATOR_ERRORS),
        request_model=PutStepUpRequest,
        scope=OPERATOR,
        response_model=DropRiskResponse,
    ),
)
