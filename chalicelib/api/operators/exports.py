"""Finance requests exports and lists them."""

from __future__ import annotations

from chalicelib.api.auth import FINANCE, idempotency_key, require_scope
from chalicelib.api.requests import ApiRequest, ApiResponse, Json, StrictModel, no_store_response, validate_body
from chalicelib.api.responses import with_rfc3339
from chalicelib.errors import NotFound
from chalicelib.finance import ExportRun, parse_day
from chalicelib.schema import Id


class CreateExportRequest(StrictModel):
    """``POST /exports``: an interim export of a day or one show of it; with ``close`` the day is closed."""

    date: str
    show_id: Id | None = None
    close: bool = False


def request_export(request: ApiRequest) -> ApiResponse:
    """Ask for an export; a worker makes it."""
    actor, key = require_scope(request, FINANCE), idempotency_key(request)
    body = validate_body(CreateExportRequest, request.json())
    day, exports = parse_day(body.date, "$.date"), request.services.exports
    if body.show_id is not None and request.services.shows.show(body.show_id) is None:
        raise NotFound(f"There is no show {body.show_id}.", field="$.show_id", code="unknown_show")
    run = exports.request_export(day, body.show_id, key, actor, request.now, close=body.close)
    response = no_store_response(202, _export_response(run))
    response.headers["Location"] = f"{request.base_url}/exports/{run.date}"
    return response


def list_exports(request: ApiRequest) -> ApiResponse:
    """The exports of a day, latest first, each with its manifest once it is done."""
    exports = request.services.exports
    runs = exports.runs_of_day(parse_day(request.params["date"]))
    shown = [_export_response(run) | {"manifest": exports.manifest_of(run)} for run in runs]
    return no_store_response(200, {"date": request.params["date"], "exports": shown})


def _export_response(run: ExportRun) -> Json:
    shown = run.model_dump(mode="json")
    return with_rfc3339({"export_id": shown.pop("id")} | shown, "requested_at", "started_at", "finished_at")
