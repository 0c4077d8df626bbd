"""Finance requests exports and lists them."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.auth import FINANCE, idempotency_key, require_scope
from chalicelib.api.requests import OPERATOR_ERRORS, ApiRequest, ApiResponse, Route, no_store_response, validate_body
from chalicelib.api.responses import Time, time_or_none
from chalicelib.errors import NotFound
from chalicelib.finance import ExportRun, RunState, parse_day
from chalicelib.instants import rfc3339
from chalicelib.schema import Id, StrictModel


class CreateExportRequest(StrictModel):
    """``POST /exports``: an interim export of a day, or of one show of it. ``close`` closes the day."""

    date: str
    show_id: Id | None = None
    close: bool = False


class ExportResponse(TypedDict):
    """An export run. Its key, counts and ``finished_at`` are null until it is ``done``."""

    export_id: str
    date: str
    show_id: str | None
    close: bool
    state: RunState
    requested_by: str
    requested_at: Time
    started_at: Time | None
    finished_at: Time | None
    manifest_key: str | None
    orders: int | None
    entries: int | None
    differences: int | None
    error: str | None


class ExportWithManifest(ExportResponse):
    """An export run with the manifest of its files."""

    manifest: dict[str, Any] | None


class ExportsOfDay(TypedDict):
    """The export runs of a day, latest first."""

    date: str
    exports: list[ExportWithManifest]


def request_export(request: ApiRequest) -> ApiResponse:
    """Request an export. A worker makes its files."""
    actor, key = require_scope(request, FINANCE), idempotency_key(request)
    body = validate_body(CreateExportRequest, request.json())
    day, exports = parse_day(body.date, "$.date"), request.services.exports
    if body.show_id is not None and request.services.shows.show(body.show_id) is None:
        raise NotFound(f"No show has the id {body.show_id}.", field="$.show_id", code="unknown_show")
    run = exports.request_export(day, body.show_id, key, actor, request.now, close=body.close)
    response = no_store_response(202, _export_response(run))
    response.headers["Location"] = f"{request.base_url}/exports/{run.date}"
    return response


def list_exports(request: ApiRequest) -> ApiResponse:
    """List the exports of a day, latest first. A finished export has its manifest."""
    exports = request.services.exports
    runs = exports.runs_of_day(parse_day(request.params["date"]))
    body: ExportsOfDay = {
        "date": request.params["date"],
        "exports": [{**_export_response(run), "manifest": exports.manifest_of(run)} for run in runs],
    }
    return no_store_response(200, body)


def _export_response(run: ExportRun) -> ExportResponse:
    return {
        "export_id": run.id,
        "date": run.date,
        "show_id": run.show_id,
        "close": run.close,
        "state": run.state,
        "requested_by": run.requested_by,
        "requested_at": rfc3339(run.requested_at),
        "started_at": time_or_none(run.started_at),
        "finished_at": time_or_none(run.finished_at),
        "manifest_key": run.manifest_key,
        "orders": run.orders,
        "entries": run.entries,
        "differences": run.differences,
        "error": run.error,
    }


ROUTES = (
    Route(
        "POST",
        "/exports",
        request_export,
        "Request an export",
        (202, 404, *OPERATOR_ERRORS),
        request_model=CreateExportRequest,
        scope=FINANCE,
        requires_idempotency_key=True,
        response_model=ExportResponse,
    ),
    Route(
        "GET",
        "/exports/{date}",
        list_exports,
        "List the exports of a day",
        (200, 400, 401, 403, 503),
        scope=FINANCE,
        response_model=ExportsOfDay,
    ),
)
