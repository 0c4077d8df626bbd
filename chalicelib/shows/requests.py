"""The bodies of ``PUT /shows/{id}`` and ``PUT /drops/{id}``, validated strictly."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field

from chalicelib.errors import BadInput
from chalicelib.schema import Currency, Id, Price, StrictModel, Text, Timestamp, Units, is_id, matching


def _check_time_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError("must be an IANA time zone, such as Europe/London") from None
    return name


TimeZone = Annotated[
    str,
    matching(r"^[A-Z][A-Za-z0-9_+/-]{1,63}$", "must be a time zone such as Europe/London"),
    AfterValidator(_check_time_zone),
]
WebAddress = Annotated[str, matching(r"^https?://[^\s/]\S*$", "must be an http or https address", max_length=2048)]


class PutShowRequest(StrictModel):
    """The body of a show."""

    title: Text
    currency: Currency
    starts_at: Timestamp
    host: Text | None = None
    channels: list[Text] = Field(default=[], max_length=50)
    time_zone: TimeZone | None = None
    market: Id | None = None


class PutDropRequest(StrictModel):
    """The body of a drop. Without ``opens_at`` the drop waits for its cue."""

    show_id: Id
    sku: Annotated[str, matching(r"^\S(.*\S)?$", "must not begin or end with a space", min_length=1, max_length=64)]
    title: Text
    unit_price: Price
    stock: Units
    limit_per_buyer: Units | None = None
    usual_quantity: Units = 1
    hold_seconds: Annotated[int, Field(ge=5, le=3_600)] = 300
    opens_at: Timestamp | None = None
    closes_at: Timestamp | None = None
    image_url: WebAddress | None = None
    creator_id: Id | None = None
    commission_bps: Annotated[int, Field(ge=0, le=10_000)] = 0
    tax_category: Id | None = None
    max_quantity: Units | None = None


def check_id(identifier: str) -> None:
    """Check the id of a show or drop.

    Raises: ``BadInput``.
    """
    if not is_id(identifier):
        detail = "`id` must have 1 to 64 letters, digits or any of _.- and must begin with a letter or digit."
        raise BadInput(detail, field="id")
