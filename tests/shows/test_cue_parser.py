"""Cues are CloudEvents 1.0. Any other event is refused, naming the field."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.errors import BadInput
from chalicelib.shows import Cue, CueType, parse_cue

EVENT: dict[str, Any] = {
    "specversion": "1.0",
    "id": "c1",
    "source": "/studio/encoder-2",
    "type": "dev.livedrop.drop.open",
    "subject": "d1",
    "time": "2026-11-27T19:00:00.250Z",
}
CUE_TIME = 1_795_806_000_250


def test_open_cue_may_have_the_end_of_the_window() -> None:
    cue = parse_cue(EVENT | {"data": {"closes_at": "2026-11-27T20:05:00+01:00", "reopen": True}})
    assert cue == Cue(
        source="/studio/encoder-2",
        id="c1",
        type=CueType.OPEN,
        subject="d1",
        time=CUE_TIME,
        closes_at=CUE_TIME - 250 + 300_000,
        reopen=True,
    )


@pytest.mark.parametrize("data", [{}, {"data": None}, {"data": {}}])
def test_open_cue_needs_no_data(data: dict[str, Any]) -> None:
    assert parse_cue(EVENT | data).closes_at is None


def test_extension_attributes_are_ignored() -> None:
    assert parse_cue(EVENT | {"traceparent": "00-ab", "datacontenttype": "application/json; charset=utf-8"}).id == "c1"


def test_stock_added_cue_has_its_quantity() -> None:
    assert parse_cue(EVENT | {"type": CueType.STOCK_ADDED.value, "data": {"quantity": 7}}).quantity == 7


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"specversion": "0.3"}, "$.specversion"),
        ({"id": ""}, "$.id"),
        ({"id": 5}, "$.id"),
        ({"id": "\ud800"}, "$.id"),
        ({"source": None}, "$.source"),
        ({"type": "dev.livedrop.drop.explode"}, "$.type"),
        ({"subject": "d1#0"}, "$.subject"),
        ({"time": "now"}, "$.time"),
        ({"time": 1_795_806_000}, "$.time"),
        ({"datacontenttype": "text/plain"}, "$.datacontenttype"),
        ({"data_base64": "e30="}, "$.data_base64"),
        ({"Subject": "d1"}, "$.Subject"),
        ({"data": []}, "$.data"),
        ({"data": {"closes_at": 5}}, "$.data.closes_at"),
        ({"data": {"closes_at": "2026-11-27T19:00:00Z"}}, "$.data.closes_at"),
        ({"data": {"reopen": "yes"}}, "$.data.reopen"),
        ({"data": {"closesAt": "2026-11-27T20:00:00Z"}}, "$.data.closesAt"),
        ({"type": "dev.livedrop.drop.close", "data": {"reopen": True}}, "$.data.reopen"),
        ({"type": "dev.livedrop.drop.extend"}, "$.data.closes_at"),
        ({"type": "dev.livedrop.drop.stock_added", "data": {"quantity": 0}}, "$.data.quantity"),
        ({"type": "dev.livedrop.drop.stock_added", "data": {"quantity": 1.5}}, "$.data.quantity"),
    ],
)
def test_wrong_field_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_cue(EVENT | change)
    assert refusal.value.field == field


@pytest.mark.parametrize("change", [{"A" * 500_000: 1}, {"data": {"A" * 500_000: 1}}])
def test_name_of_a_long_field_is_cut_in_the_error(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_cue(EVENT | change)
    assert len(refusal.value.field or "") == 200
    assert len(refusal.value.detail) < 300


@pytest.mark.parametrize("missing", list(EVENT))
def test_missing_attribute_is_named(missing: str) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_cue({name: value for name, value in EVENT.items() if name != missing})
    assert refusal.value.field == f"$.{missing}"


@pytest.mark.parametrize("event", [[], "text", None])
def test_cue_that_is_no_object_is_refused(event: Any) -> None:
    with pytest.raises(BadInput) as refusal:
        parse_cue(event)
    assert refusal.value.field == "$"
