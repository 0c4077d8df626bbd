"""Bodies of shows and drops. A wrong field is refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.errors import BadInput
from chalicelib.shows import PutDropRequest, PutShowRequest

SHOW = {"title": "Friday live", "currency": "GBP", "starts_at": "2026-11-27T19:00:00Z"}
DROP = {
    "show_id": "s1",
    "sku": "LAMP-1",
    "title": "Lamp",
    "unit_price": {"amount": 5_000, "currency": "GBP"},
    "stock": 3,
}


def test_show_needs_only_title_currency_and_start() -> None:
    request = PutShowRequest.from_body(SHOW)
    assert (request.starts_at, request.host, request.channels, request.time_zone) == (1_795_806_000_000, None, [], None)


def test_drop_is_sold_singly_and_held_five_minutes_by_default() -> None:
    request = PutDropRequest.from_body(DROP)
    assert (request.usual_quantity, request.hold_seconds, request.commission_bps, request.opens_at) == (1, 300, 0, None)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"title": 1}, "$.title"),
        ({"title": " "}, "$.title"),
        ({"currency": "gbp"}, "$.currency"),
        ({"starts_at": 1_795_806_000}, "$.starts_at"),
        ({"starts_at": "2026-11-27T19:00:00"}, "$.starts_at"),
        ({"starts_at": "2026-13-27T19:00:00Z"}, "$.starts_at"),
        ({"starts_at": "9999-11-27T19:00:00Z"}, "$.starts_at"),
        ({"channels": "own"}, "$.channels"),
        ({"channels": ["own", 2]}, "$.channels[1]"),
        ({"time_zone": "Europe/Nowhere"}, "$.time_zone"),
        ({"time_zone": "Europe"}, "$.time_zone"),
        ({"time_zone": "../../etc/passwd"}, "$.time_zone"),
        ({"nonsense": 1}, "$.nonsense"),
    ],
)
def test_wrong_field_of_a_show_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        PutShowRequest.from_body(SHOW | change)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"show_id": "a#b"}, "$.show_id"),
        ({"sku": ""}, "$.sku"),
        ({"unit_price": 5_000}, "$.unit_price"),
        ({"unit_price": {"amount": 49.99, "currency": "GBP"}}, "$.unit_price.amount"),
        ({"unit_price": {"amount": "5000", "currency": "GBP"}}, "$.unit_price.amount"),
        ({"unit_price": {"amount": 0, "currency": "GBP"}}, "$.unit_price.amount"),
        ({"unit_price": {"amount": 1, "currency": "GBP", "tax": 1}}, "$.unit_price.tax"),
        ({"stock": 0}, "$.stock"),
        ({"stock": True}, "$.stock"),
        ({"stock": 1_000_001}, "$.stock"),
        ({"hold_seconds": 4}, "$.hold_seconds"),
        ({"commission_bps": 10_001}, "$.commission_bps"),
        ({"limit_per_buyer": 0}, "$.limit_per_buyer"),
        ({"image_url": "javascript:alert(1)"}, "$.image_url"),
        ({"closes_at": "tomorrow"}, "$.closes_at"),
        ({"Stock": 3}, "$.Stock"),
    ],
)
def test_wrong_field_of_a_drop_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        PutDropRequest.from_body(DROP | change)
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("change", "detail"),
    [
        ({"title": 1}, "`$.title` must be a valid string."),
        ({"stock": 0}, "`$.stock` must be greater than or equal to 1."),
        ({"unit_price": 5_000}, "`$.unit_price` must be a JSON object."),
        (
            {"opens_at": "now"},
            "`$.opens_at` must be an RFC 3339 date-time with an offset, such as 2026-11-27T19:00:00Z.",
        ),
        ({"Stock": 3}, "`$.Stock` is not a known field."),
    ],
)
def test_error_is_a_sentence_with_field_and_remedy(change: dict[str, Any], detail: str) -> None:
    with pytest.raises(BadInput) as refusal:
        PutDropRequest.from_body(DROP | change)
    assert refusal.value.detail == detail


@pytest.mark.parametrize("missing", list(DROP))
def test_missing_field_of_a_drop_is_named(missing: str) -> None:
    with pytest.raises(BadInput) as refusal:
        PutDropRequest.from_body({name: value for name, value in DROP.items() if name != missing})
    assert refusal.value.field == f"$.{missing}"


@pytest.mark.parametrize("body", [None, [], "text", 3])
def test_body_that_is_no_object_is_refused(body: object) -> None:
    with pytest.raises(BadInput) as refusal:
        PutDropRequest.from_body(body)
    assert (refusal.value.field, refusal.value.detail) == ("$", "`$` must be a JSON object.")
