"""What operators ask of a drop's units: where each of them is, and that what does not match be mended."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from chalicelib import recovery
from chalicelib.api import responses
from chalicelib.api.auth import OPERATOR, require_scope
from chalicelib.api.requests import (
    OPERATOR_ERRORS,
    ApiRequest,
    ApiResponse,
    EmptyBody,
    Route,
    drop_id_in_path,
    no_store_response,
    validate_body,
)
from chalicelib.instants import SECOND, Instant, clock
from chalicelib.recovery import MAX_DETAIL, build_audit_report
from chalicelib.telemetry import logger

_DEFAULT_DETAIL: Final = 100
_READ_TIME_BUDGET: Final[Instant] = 10 * SECOND
"""An audit ends its reading then, and says so: the function has 20 seconds, API Gateway waits 29."""


class AuditQuery(BaseModel):
    """What of an audit is shown, and whether purchases are read at all."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    detail: Annotated[int, Field(ge=0, le=MAX_DETAIL, description="Entries of each list; counts are of all")] = (
        _DEFAULT_DETAIL
    )
    from_bucket: Annotated[int, Field(ge=0, description="The bucket at which buckets and holds begin")] = 0
    purchases: Annotated[bool, Field(description="Read every purchase; without, only buckets are counted")] = True


def audit_drop(request: ApiRequest) -> ApiResponse:
    """Compare every bucket of a drop with the rules of stock, and every unit with the purchases. Changes nothing."""
    query = validate_body(AuditQuery, dict(request.query))
    found = recovery.audit_drop(
        request.services.context,
        drop_id_in_path(request),
        request.now,
        _time_budget(request),
        purchases=query.purchases,
    )
    return no_store_response(200, build_audit_report(found, detail=query.detail, from_bucket=query.from_bucket))


def repair_drop(request: ApiRequest) -> ApiResponse:
    """Audit a drop and mend what was found: safe during a sale, and to repeat. Answers what was found before."""
    actor = require_scope(request, OPERATOR)
    validate_body(EmptyBody, request.optional_json())
    drop_id = drop_id_in_path(request)
    found, repair_report = recovery.repair_stock(
        request.services.context, drop_id, request.services.enqueue_capture, request.now, _time_budget(request)
    )
    logger.info("repair asked for", extra={"drop": drop_id, "by": actor})
    return no_store_response(200, build_audit_report(found, detail=_DEFAULT_DETAIL, repair=repair_report))


def _time_budget(request: ApiRequest) -> Callable[[], bool]:
    return lambda: clock() > request.now + _READ_TIME_BUDGET


ROUTES = (
    Route(
        "GET",
        "/drops/{id}/audit",
        audit_drop,
        "problem",
        "Audit stock",
        (200, 400, 401, 403, 404, 503),
        None,
        OPERATOR,
        response_model=responses.Audit,
        query_model=AuditQuery,
    ),
    Route(
        "POST",
        "/drops/{id}/repair",
        repair_drop,
        "problem",
        "Audit stock and mend it",
        (200, 404, *OPERATOR_ERRORS),
        EmptyBody,
        OPERATOR,
        response_model=responses.Repair,
    ),
)
