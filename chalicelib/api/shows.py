"""What a show looks like to everyone who watches: one answer a second serves any number of viewers."""

from __future__ import annotations

import re

from chalicelib.api import responses
from chalicelib.api.requests import ApiRequest, ApiResponse, Json, Route
from chalicelib.errors import NotFound
from chalicelib.instants import Instant, rfc3339
from chalicelib.schema import is_id
from chalicelib.shows import LiveDrop, LiveShow

_ETAG = re.compile(r'(?:W/)?("[^"]*")')


def get_show(request: ApiRequest) -> ApiResponse:
    """The show with its drops, all that may be shown of them."""
    return _respond(request, full=True)


def get_live_view(request: ApiRequest) -> ApiResponse:
    """The state of each drop, at most one second old."""
    return _respond(request, full=False)


def _respond(request: ApiRequest, *, full: bool) -> ApiResponse:
    show_id = request.params["id"]
    live_show = request.services.shows.live(show_id, request.now) if is_id(show_id) else None
    if live_show is None:
        raise NotFound("There is no such show.", field="id")
    tag = f'"{live_show.digest}"'
    headers = {"Cache-Control": "public, max-age=1", "ETag": tag}
    known = request.headers.get("if-none-match", "")
    if known.strip() == "*" or tag in _ETAG.findall(known):  # RFC 9110, section 13.1.2: weak comparison
        return ApiResponse(304, None, headers)
    body = {"show_id": live_show.show.id, "server_time": rfc3339(request.now)}
    drops = [_drop_response(drop, full=full) for drop in live_show.drops]
    return ApiResponse(200, body | (_show_fields(live_show) if full else {}) | {"drops": drops}, headers)


def _show_fields(live_show: LiveShow) -> Json:
    shown = live_show.show.model_dump(exclude={"id", "starts_at", "started_at", "ended_at"}, mode="json")
    for name in ("starts_at", "started_at", "ended_at"):
        shown[name] = _time(getattr(live_show.show, name))
    return shown


def _drop_response(drop: LiveDrop, *, full: bool) -> Json:
    shown: Json = {
        "drop_id": drop.drop_id,
        "state": drop.state.value,
        "opens_at": _time(drop.opens_at),
        "closes_at": _time(drop.closes_at),
        "unit_price": {"amount": drop.unit_price, "currency": drop.currency},
        "available": drop.available,
        "held": drop.held,
        "sold": drop.sold,
        "size": drop.size,
        "next_lapse_at": _time(drop.next_lapse_at),
    }
    if full:
        earlier = drop.earlier_price
        shown["earlier_price"] = None if earlier is None else {"amount": earlier, "currency": drop.currency}
        shown |= {"sku": drop.sku, "title": drop.title, "image_url": drop.image_url}
    return shown


def _time(instant: Instant | None) -> str | None:
    return None if instant is None else rfc3339(instant)


_STATUSES = (200, 304, 404, 503)
ROUTES = (
    Route(
        "GET",
        "/shows/{id}",
        get_show,
        "problem",
        "A show with its drops",
        _STATUSES,
        response_model=responses.PublicShow,
    ),
    Route(
        "GET",
        "/shows/{id}/live",
        get_live_view,
        "problem",
        "The live state of a show's drops",
        _STATUSES,
        response_model=responses.Live,
    ),
)
