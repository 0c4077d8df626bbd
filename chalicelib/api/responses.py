"""Parts that the bodies of several answers share. Each view's own response types are beside the view."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.instants import Instant, rfc3339

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Money(TypedDict):
    """Minor units of a currency (ISO 4217)."""

    amount: int
    currency: str


def time_or_none(instant: Instant | None) -> Time | None:
    """Format an instant as RFC 3339; None stays None."""
    return None if instant is None else rfc3339(instant)
