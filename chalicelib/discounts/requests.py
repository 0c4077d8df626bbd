"""The body of ``PUT /discounts/{code}``, validated strictly."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from chalicelib.schema import Id, Price, StrictModel, Text, Timestamp, Units

AMOUNT_FIELDS: Final = ("amount", "max_amount", "minimum_subtotal", "budget_amount")


class PutDiscountRequest(StrictModel):
    """The body of a discount: ``percent_bps`` or ``amount`` off the items of all drops, or of ``drop_ids``."""

    title: Text
    show_id: Id | None = None
    drop_ids: list[Id] = Field(default_factory=list, max_length=100)
    automatic: bool = False
    percent_bps: Annotated[int, Field(ge=1, le=10_000)] | None = None
    amount: Price | None = None
    max_amount: Price | None = None
    minimum_subtotal: Price | None = None
    starts_at: Timestamp | None = None
    ends_at: Timestamp | None = None
    limit_per_buyer: Units | None = None
    budget_uses: Units | None = None
    budget_amount: Price | None = None
    priority: Annotated[int, Field(ge=1, le=1_000)] = 100
    combinable: bool = False

    def amounts(self) -> list[tuple[str, Price]]:
        """Return the amounts that the request has, each with the name of its field."""
        prices: list[tuple[str, Price | None]] = [(name, getattr(self, name)) for name in AMOUNT_FIELDS]
        return [(name, price) for name, price in prices if price is not None]
