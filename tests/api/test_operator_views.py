"""Operators get the fields of a show or drop that they put, and its state; none of the product's own fields."""

from __future__ import annotations

from chalicelib.api.operators.shows_and_drops import _drop_response
from chalicelib.api.shows import show_response
from chalicelib.shows.put_rules import new_show
from tests.builders.shows import NOW, a_drop_record, a_show_request

SHOW = {
    "show_id", "title", "currency", "starts_at", "host", "channels", "time_zone", "market", "started_at", "ended_at",
}  # fmt: skip
DROP = {
    "drop_id", "show_id", "sku", "title", "unit_price", "stock", "usual_quantity", "hold_seconds", "max_quantity",
    "limit_per_buyer", "opens_at", "closes_at", "suspended", "image_url", "creator_id", "commission_bps",
    "tax_category", "market", "earlier_price",
}  # fmt: skip


def test_operator_answers_have_no_internal_fields() -> None:
    assert set(show_response(new_show("s1", a_show_request(), "ann", NOW))) == SHOW
    assert set(_drop_response(a_drop_record())) == DROP
