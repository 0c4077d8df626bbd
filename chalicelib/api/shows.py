"""A show as its watchers see it. One answer a second serves any number of viewers."""

from __future__ import annotations

import re

from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.api.requests import ApiRequest, ApiResponse, Route
from chalicelib.api.responses import Money, Time, time_or_none
from chalicelib.errors import NotFound
from chalicelib.instants import rfc3339
from chalicelib.schema import is_id
from chalicelib.shows import DropState, LiveDrop, LiveShow, Show

_ETAG = re.compile(r'(?:W/)?("[^"]*")')


class LiveDropResponse(TypedDict):
    """A drop as its watchers see it. ``opens_at`` is null while the drop waits for its cue."""

    drop_id: str
    state: DropState
    opens_at: Time | None
    closes_at: Time | None
    unit_price: Money
    available: int
    held: int
    sold: int
    size: int
    next_lapse_at: Time | None


class LiveResponse(TypedDict):
    """The live state of a show's drops."""

    show_id: str
    server_time: Time
    drops: list[LiveDropResponse]


class PublicDrop(LiveDropResponse):
    """A drop with what does not change during the show."""

    earlier_price: Money | None
    sku: str
    title: str
    image_url: str | None


class ShowResponse(TypedDict):
    """A show as its operators see it."""

    show_id: str
    title: str
    currency: str
    starts_at: Time
    host: str | None
    channels: list[str]
    time_zone: str | None
    market: str | None
    started_at: Time | None
    ended_at: Time | None


class PublicShow(ShowResponse):
    """A show as its watchers see it."""

    server_time: Time
    drops: list[PublicDrop]


def get_show(request: ApiRequest) -> ApiResponse:
    """Get a show with its drops."""
    live_show = _live_show_in_path(request)
    if _is_unchanged(request, live_show):
        return ApiResponse(304, None, _headers(live_show))
    body: PublicShow = {
        **show_response(live_show.show),
        "server_time": rfc3339(request.now),
        "drops": [_public_drop(drop) for drop in live_show.drops],
    }
    return ApiResponse(200, body, _headers(live_show))


def get_live_view(request: ApiRequest) -> ApiResponse:
    """Get the state of each drop, at most one second old."""
    live_show = _live_show_in_path(request)
    if _is_unchanged(request, live_show):
        return ApiResponse(304, None, _headers(live_show))
    body: LiveResponse = {
        "show_id": live_show.show.id,
        "server_time": rfc3339(request.now),
        "drops": [_live_drop(drop) for drop in live_show.drops],
    }
    return ApiResponse(200, body, _headers(live_show))


def show_response(show: Show) -> ShowResponse:
    """Return a show as its operators see it."""
    return {
        "show_id": show.id,
        "title": show.title,
        "currency": show.currency,
        "starts_at": rfc3339(show.starts_at),
        "host": show.host,
        "channels": list(show.channels),
        "time_zone": show.time_zone,
        "market": show.market,
        "started_at": time_or_none(show.started_at),
        "ended_at": time_or_none(show.ended_at),
    }


def _live_show_in_path(request: ApiRequest) -> LiveShow:
    show_id = request.params["id"]
    live_show = request.services.shows.live(show_id, request.now) if is_id(show_id) else None
    if live_show is None:
        raise NotFound("No show has this id.", field="id")
    return live_show


def _headers(live_show: LiveShow) -> dict[str, str]:
    return {"Cache-Control": "public, max-age=1", "ETag": _entity_tag(live_show)}


def _entity_tag(live_show: LiveShow) -> str:
    return f'"{live_show.digest}"'


def _is_unchanged(request: ApiRequest, live_show: LiveShow) -> bool:
    """Return whether the caller has this version, by weak comparison (RFC 9110, section 13.1.2)."""
    if_none_match = request.headers.get("if-none-match", "")
    return if_none_match.strip() == "*" or _entity_tag(live_show) in _ETAG.findall(if_none_match)


def _public_drop(drop: LiveDrop) -> PublicDrop:
    earlier = drop.earlier_price
    return {
        **_live_drop(drop),
        "earlier_price": None if earlier is None else {"amount": earlier, "currency": drop.currency},
        "sku": drop.sku,
        "title": drop.title,
        "image_url": drop.image_url,
    }


def _live_drop(drop: LiveDrop) -> LiveDropResponse:
    return {
        "drop_id": drop.drop_id,
        "state": drop.state,
        "opens_at": time_or_none(drop.opens_at),
        "closes_at": time_or_none(drop.closes_at),
        "unit_price": {"amount": drop.unit_price, "currency": drop.currency},
        "available": drop.available,
        "held": drop.held,
        "sold": drop.sold,
        "size": drop.size,
        "next_lapse_at": time_or_none(drop.next_lapse_at),
    }


_STATUSES = (200, 304, 404, 503)
ROUTES = (
    Route("GET", "/shows/{id}", get_show, "Get a show with its drops", _STATUSES, response_model=PublicShow),
    Route(
        "GET",
        "/shows/{id}/live",
        get_live_view,
        "Get the live state of a show's drops",
        _STATUSES,
        response_model=LiveResponse,
    ),
)
