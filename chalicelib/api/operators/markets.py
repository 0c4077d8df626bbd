"""Operators read and replace the shop's markets: tax and shipping by destination."""

from __future__ import annotations

from typing import Final

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.auth import OPERATOR, require_scope
from chalicelib.api.operators.provider_currencies import check_currency
from chalicelib.api.requests import (
    OPERATOR_ERRORS,
    ApiRequest,
    ApiResponse,
    Json,
    Route,
    no_store_response,
    validate_body,
)
from chalicelib.api.responses import Time, time_or_none
from chalicelib.pricing import Market, Markets, MarketsRevision

_MAX_REVISIONS_SHOWN: Final = 20


class RevisionInfo(TypedDict):
    """A revision of the markets: its number, author and time. Number 0 is the product's own table."""

    revision: int
    put_by: str | None
    put_at: Time | None


class MarketsResponse(RevisionInfo):
    """The markets that apply."""

    markets: list[Market]
    elsewhere: Market


class MarketsWithHistory(MarketsResponse):
    """The markets that apply, and the newest revisions."""

    revisions: list[RevisionInfo]


def get_markets(request: ApiRequest) -> ApiResponse:
    """Get the markets that apply, and the authors and times of the newest revisions."""
    newest = request.services.market_table.newest(_MAX_REVISIONS_SHOWN)
    revisions = [_revision_info(revision) for revision in newest]
    return no_store_response(200, _markets_response(newest[0]) | {"revisions": revisions})


def put_markets(request: ApiRequest) -> ApiResponse:
    """Replace the whole table of markets. It applies everywhere within a second; placed orders keep their totals."""
    actor, table = require_scope(request, OPERATOR), validate_body(Markets, request.json())
    for field, currency in table.shipping_currencies():
        check_currency(request, currency, field)
    revision, created = request.services.market_table.put(table, actor, request.now)
    return no_store_response(201 if created else 200, _markets_response(revision))


def _markets_response(revision: MarketsRevision) -> Json:
    """Return the JSON of :class:`MarketsResponse`: each market as its model dumps it."""
    return {**_revision_info(revision)} | revision.markets.model_dump(mode="json")


def _revision_info(revision: MarketsRevision) -> RevisionInfo:
    return {"revision": revision.number, "put_by": revision.put_by, "put_at": time_or_none(revision.put_at)}


ROUTES = (
    Route(
        "GET",
        "/markets",
        get_markets,
        "Get the markets that apply",
        (200, 401, 403, 503),
        scope=OPERATOR,
        response_model=MarketsWithHistory,
    ),
    Route(
        "PUT",
        "/markets",
        put_markets,
        "Replace tax and shipping by market",
        (200, 201, *OPERATOR_ERRORS),
        request_model=Markets,
        scope=OPERATOR,
        response_model=MarketsResponse,
    ),
)
