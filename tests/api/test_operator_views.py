"""What an operator is told of a show and a drop: what was asked for and how it stands, no bookkeeping of ours."""

from __future__ import annotations

from chalicelib.api.operators.shows_and_drops import _drop_response, _show_response
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


def test_no_bookkeeping_leaves_the_house() -> None:
    assert set(_show_response(new_show("s1", a_show_request(), "ann", NOW))) == SHOW
    assert set(_drop_response(a_drop_record())) == DROP
