"""The rules of the operator's PUTs, without I/O: how a request creates or changes a record, and what is fixed."""

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
    """Return the record of a new show."""
    return ShowRecord(
        id=show_id, **_show_fields(request), created_by=actor, created_at=now, changed_by=actor, changed_at=now
    )


def changed_show(record: ShowRecord, request: PutShowRequest, actor: str, now: Instant) -> ShowRecord:
    """Return the show with the request's fields; the same record when nothing differs.

    Raises: ``Conflict`` naming a field that is fixed.
    """
    changes = {name: value for name, value in _show_fields(request).items() if getattr(record, name) != value}
    for name in ("currency", "market"):
        if name in changes:
            raise Conflict(f"`$.{name}` cannot change, as the show's drops depend on it.", field=f"$.{name}")
    return record.with_changes(changes, actor, now) if changes else record


def _show_fields(request: PutShowRequest) -> dict[str, Any]:
    return request.model_dump() | {"channels": tuple(request.channels)}


def check_window(request: PutDropRequest) -> None:
    """Check that a window with two ends has a length.

    Raises: ``BadInput``.
    """
    if request.opens_at is not None and request.closes_at is not None and request.closes_at <= request.opens_at:
        raise BadInput("`$.closes_at` must be later than `$.opens_at`.", field="$.closes_at")


def new_drop(
    drop_id: str, request: PutDropRequest, show: ShowRecord, bucket_count: int, actor: str, now: Instant
) -> DropRecord:
    """Return the draft of a new drop. Nobody can buy it before its buckets exist and ``draft`` is False.

    Raises: ``BadInput`` for another currency than the show's.
    """
    if request.unit_price.currency != show.currency:
        field = "$.unit_price.currency"
        raise BadInput(f"`{field}` must be the show's currency, {show.currency}.", field=field, code="currency")
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
    """Return the drop with the request's fields; the same record when nothing differs.

    The window of the request is compared with the one of the operator's last PUT, so that a repeat undoes no cue.

    Raises: ``Conflict`` naming a field that is fixed.
    """
    _check_fixed_fields(record, request)
    changes: dict[str, Any] = {
        name: getattr(request, name) for name in _CHANGEABLE_FIELDS if getattr(request, name) != getattr(record, name)
    }
    if request.unit_price.amount != record.unit_price:
        changes |= price_change(record, request.unit_price.amount, now)
    changes |= _window_changes(record, request, now)
    return record.with_changes(changes, actor, now) if changes else record


def _check_fixed_fields(record: DropRecord, request: PutDropRequest) -> None:
    for name in _FIXED_FIELDS:
        if getattr(request, name) != getattr(record, name):
            raise _is_fixed(f"$.{name}")
    if request.unit_price.currency != record.currency:
        raise _is_fixed("$.unit_price.currency")
    if request.stock not in (record.first_stock, record.stock):
        detail = f"`$.stock` cannot change from {record.stock} by PUT. Send POST /drops/{record.id}/stock."
        raise Conflict(detail, field="$.stock")


def _is_fixed(field: str) -> Conflict:
    return Conflict(f"`{field}` cannot change after the drop was created.", field=field)


def _window_changes(record: DropRecord, request: PutDropRequest, now: Instant) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if request.opens_at != record.requested_opens_at:
        changes |= {"opens_at": request.opens_at, "requested_opens_at": request.opens_at}
    if request.closes_at != record.requested_closes_at:
        changes |= {"closes_at": request.closes_at, "requested_closes_at": request.closes_at}
    if not changes:
        return {}
    old_state, new_state = window_state(record, now), window_state(record.model_copy(update=changes), now)
    if old_state is DropState.CLOSED and new_state is not DropState.CLOSED:
        raise Conflict(
            "`$.closes_at` cannot open a closed drop again. Send an open cue with `reopen: true`.",
            field="$.closes_at",
            code="closed",
        )
    return changes | {"window_time": max(record.window_time, now)}
