"""The shop's table of markets: tax and shipping by where goods go."""

from __future__ import annotations

from typing import Final

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.auth import OPERATOR, require_scope
from chalicelib.api.requests import (
    OPERATOR_ERRORS,
    ApiRequest,
    ApiResponse,
    Json,
    Route,
    no_store_response,
    validate_body,
)
from chalicelib.api.responses import Time
from chalicelib.instants import rfc3339
from chalicelib.pricing import Market, Markets, MarketsRevision

_MAX_REVISIONS_SHOWN: Final = 20


class RevisionInfo(TypedDict):
    """Who put a revision of the markets; number 0 is the product's own table."""

    revision: int
    put_by: str | None
    put_at: Time | None


class MarketsResponse(RevisionInfo):
    """The table of markets that holds."""

    markets: list[Market]
    elsewhere: Market


class MarketsWithHistory(MarketsResponse):
    """With its newest revisions."""

    revisions: list[RevisionInfo]


def get_markets(request: ApiRequest) -> ApiResponse:
    """The table that holds, who put it and when, and who put those before it."""
    newest = request.services.market_table.newest(_MAX_REVISIONS_SHOWN)
    return no_store_response(200, _markets_response(newest[0]) | {"revisions": [_revision_info(one) for one in newest]})


def put_markets(request: ApiRequest) -> ApiResponse:
    """Let a table hold from now on, whole; within a second it does everywhere. What is placed keeps its totals."""
    actor, table = require_scope(request, OPERATOR), validate_body(Markets, request.json())
    revision, created = request.services.market_table.put(table, actor, request.now)
    return no_store_response(201 if created else 200, _markets_response(revision))


def _markets_response(revision: MarketsRevision) -> Json:
    return _revision_info(revision) | revision.markets.model_dump(mode="json")


def _revision_info(revision: MarketsRevision) -> Json:
    put_at = None if revision.put_at is None else rfc3339(revision.put_at)
    return {"revision": revision.number, "put_by": revision.put_by, "put_at": put_at}


ROUTES = (
    Route(
        "GET",
        "/markets",
        get_markets,
        "problem",
        "The markets that hold",
        (200, 401, 403, 503),
        None,
        OPERATOR,
        response_model=MarketsWithHistory,
    ),
    Route(
        "PUT",
        "/markets",
        put_markets,
        "problem",
        "Change tax and shipping by market",
        (200, 201, *OPERATOR_ERRORS),
        Markets,
        OPERATOR,
        response_model=MarketsResponse,
    ),
)
