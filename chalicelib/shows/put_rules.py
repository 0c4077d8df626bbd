"""The rules of the operator's PUTs: what a body makes, what it may change, and what it may not."""

from __future__ import annotations

from typing import Any

from chalicelib.errors import BadInput, Conflict
from chalicelib.instants import Instant
from chalicelib.shows.model import DropState
from chalicelib.shows.price_history import price_change
from chalicelib.shows.records import DropRecord, ShowRecord
from chalicelib.shows.requests import PutDropRequest, PutShowRequest
from chalicelib.shows.windows import window_state

_CHANGEABLE_FIELDS = (
    "title",
    "hold_seconds",
    "max_quantity",
    "limit_per_buyer",
    "image_url",
    "creator_id",
    "commission_bps",
    "tax_category",
)
_FIXED_FIELDS = ("show_id", "sku", "usual_quantity")
_COPIED_FIELDS = _CHANGEABLE_FIELDS + _FIXED_FIELDS


def new_show(show_id: str, request: PutShowRequest, actor: str, now: Instant) -> ShowRecord:
    """The record of a new show."""
    return ShowRecord(
        id=show_id, **_show_fields(request), created_by=actor, created_at=now, changed_by=actor, changed_at=now
    )


def changed_show(record: ShowRecord, request: PutShowRequest, actor: str, now: Instant) -> ShowRecord:
    """The show as the body wants it; the same record when that is how it is. ``Conflict`` names what is fixed."""
    changes = {name: value for name, value in _show_fields(request).items() if getattr(record, name) != value}
    for name in ("currency", "market"):
        if name in changes:
            raise Conflict(f"$.{name}: fixed when the show was made, as its drops depend on it", field=f"$.{name}")
    return record.model_copy(update=_with_audit_fields(record, changes, actor, now)) if changes else record


def _show_fields(request: PutShowRequest) -> dict[str, Any]:
    return request.model_dump() | {"channels": tuple(request.channels)}


def check_window(request: PutDropRequest) -> None:
    """``BadInput`` unless the window, where both ends are given, has a length."""
    if request.opens_at is not None and request.closes_at is not None and request.closes_at <= request.opens_at:
        raise BadInput("$.closes_at: must be later than opens_at", field="$.closes_at")


def new_drop(
    drop_id: str, request: PutDropRequest, show: ShowRecord, bucket_count: int, actor: str, now: Instant
) -> DropRecord:
    """The draft of a new drop: nobody is sold it before its buckets are laid out and the draft mark is taken away."""
    if request.unit_price.currency != show.currency:
        raise BadInput(
            f"$.unit_price.currency: the show is in {show.currency}", field="$.unit_price.currency", code="currency"
        )
    return DropRecord(
        id=drop_id,
        **{name: getattr(request, name) for name in _COPIED_FIELDS},
        unit_price=request.unit_price.amount,
        currency=request.unit_price.currency,
        stock=request.stock,
        first_stock=request.stock,
        bucket_count=bucket_count,
        market=show.market,
        opens_at=request.opens_at,
        requested_opens_at=request.opens_at,
        closes_at=request.closes_at,
        requested_closes_at=request.closes_at,
        draft=True,
        created_by=actor,
        created_at=now,
        changed_by=actor,
        changed_at=now,
    )


def changed_drop(record: DropRecord, request: PutDropRequest, actor: str, now: Instant) -> DropRecord:
    """The drop as the body wants it; the same record when that is how it is. ``Conflict`` names what is fixed.

    A body is compared with the operator's last one where cues move things: repeating it undoes no cue.
    """
    _check_fixed_fields(record, request)
    changes: dict[str, Any] = {
        name: getattr(request, name) for name in _CHANGEABLE_FIELDS if getattr(request, name) != getattr(record, name)
    }
    if request.unit_price.amount != record.unit_price:
        changes |= price_change(record, request.unit_price.amount, now)
    changes |= _window_changes(record, request, now)
    return record.model_copy(update=_with_audit_fields(record, changes, actor, now)) if changes else record


def _check_fixed_fields(record: DropRecord, request: PutDropRequest) -> None:
    for name in _FIXED_FIELDS:
        if getattr(request, name) != getattr(record, name):
            raise Conflict(f"$.{name}: fixed when the drop was made", field=f"$.{name}")
    if request.unit_price.currency != record.currency:
        raise Conflict("$.unit_price.currency: fixed when the drop was made", field="$.unit_price.currency")
    if request.stock not in (record.first_stock, record.stock):
        raise Conflict(
            f"$.stock: {record.stock} units are offered; PUT leaves that, add by POST /drops/{record.id}/stock",
            field="$.stock",
        )


def _window_changes(record: DropRecord, request: PutDropRequest, now: Instant) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if request.opens_at != record.requested_opens_at:
        changes |= {"opens_at": request.opens_at, "requested_opens_at": request.opens_at}
    if request.closes_at != record.requested_closes_at:
        changes |= {"closes_at": request.closes_at, "requested_closes_at": request.closes_at}
    if not changes:
        return {}
    was, will_be = window_state(record, now), window_state(record.model_copy(update=changes), now)
    if was is DropState.CLOSED and will_be is not DropState.CLOSED:
        raise Conflict(
            "$.closes_at: the drop is closed; an open cue with reopen: true opens it again",
            field="$.closes_at",
            code="closed",
        )
    return changes | {"window_time": max(record.window_time, now)}


def _with_audit_fields(
    record: ShowRecord | DropRecord, changes: dict[str, Any], actor: str, now: Instant
) -> dict[str, Any]:
    return changes | {"revision": record.revision + 1, "changed_by": actor, "changed_at": now}
