"""Validation errors: one sentence that names the field and what it must be."""

from __future__ import annotations

from typing import Annotated, Literal

import pytest
from pydantic import Field

from chalicelib.errors import BadInput
from chalicelib.schema import MAX_FIELD_PATH, Id, Price, StrictModel, Text, Timestamp, Units


class LineBody(StrictModel):
    quantity: Units
    price: Price | None = None


class OrderBody(StrictModel):
    lines: Annotated[tuple[LineBody, ...], Field(strict=False, max_length=2)]
    title: Text = "Mug"
    drop_id: Id = "mug"
    opens_at: Timestamp = 0
    kind: Literal["sale", "refund"] = "sale"


LINE = {"quantity": 1}


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ([], "`$` must be a JSON object."),
        ({}, "`$.lines` is required."),
        ({"lines": [LINE], "colour": "red"}, "`$.colour` is not a known field."),
        ({"lines": [LINE] * 3}, "`$.lines` must have at most 2 items."),
        ({"lines": [LINE, {"quantity": 0}]}, "`$.lines[1].quantity` must be greater than or equal to 1."),
        ({"lines": [LINE, {"quantity": "1"}]}, "`$.lines[1].quantity` must be a valid integer."),
        ({"lines": [{"quantity": 1, "price": 5}]}, "`$.lines[0].price` must be a JSON object."),
        ({"lines": [LINE], "title": ""}, "`$.title` must have at least 1 character."),
        ({"lines": [LINE], "kind": "gift"}, "`$.kind` must be 'sale' or 'refund'."),
        (
            {"lines": [LINE], "opens_at": "tomorrow"},
            "`$.opens_at` must be an RFC 3339 date-time with an offset, such as 2026-11-27T19:00:00Z.",
        ),
    ],
)
def test_wrong_body_is_refused_with_the_field_and_the_remedy(body: object, detail: str) -> None:
    with pytest.raises(BadInput) as refusal:
        OrderBody.from_body(body)
    assert refusal.value.detail == detail
    assert detail.startswith(f"`{refusal.value.field}`")


def test_field_path_of_any_length_is_cut() -> None:
    with pytest.raises(BadInput) as refusal:
        OrderBody.from_body({"lines": [LINE], "x" * 5_000: 1})
    assert refusal.value.field == "$." + "x" * (MAX_FIELD_PATH - 2)
