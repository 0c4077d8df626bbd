"""The bodies that our own routes answer with. The OpenAPI document shows them; a test holds every answer to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict  # pydantic takes no other before Python 3.12

from chalicelib.finance import RunState
from chalicelib.shows import DropState

Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Money(TypedDict):
    """Minor units of a currency (ISO 4217)."""

    amount: int
    currency: str


class LiveDrop(TypedDict):
    """A drop as its watchers see it; ``opens_at`` is null while it waits for its cue."""

    drop_id: str
    state: DropState
    opens_at: Time | None
    closes_at: Time | None
    unit_price: Money
    available: int
    held: int
    sold: int
    size: int
    next_lapse_at: Time | None


class Live(TypedDict):
    show_id: str
    server_time: Time
    drops: list[LiveDrop]


class ShownDrop(LiveDrop):
    earlier_price: Money | None
    sku: str
    title: str
    image_url: str | None


class Show(TypedDict):
    """A show as its operators see it."""

    show_id: str
    title: str
    currency: str
    starts_at: Time
    host: str | None
    channels: list[str]
    time_zone: str | None
    market: str | None
    started_at: Time | None
    ended_at: Time | None


class ShownShow(Show):
    """A show as its watchers see it."""

    server_time: Time
    drops: list[ShownDrop]


class Drop(TypedDict):
    """A drop as its operators see it."""

    drop_id: str
    show_id: str
    sku: str
    title: str
    unit_price: Money
    stock: int
    usual_quantity: int
    hold_seconds: int
    max_quantity: int | None
    limit_per_buyer: int | None
    opens_at: Time | None
    closes_at: Time | None
    suspended: bool
    image_url: str | None
    creator_id: str | None
    commission_bps: int
    tax_category: str | None
    market: str | None
    earlier_price: int | None


class StockChanged(TypedDict):
    """Units that the request adds or takes away, what of them was moved, and the drop's stock with them."""

    drop_id: str
    quantity: int
    moved: int
    stock: int


class Audit(TypedDict):
    """Where every unit is; ``mismatches`` is empty when every rule of stock holds."""

    drop_id: str
    as_of: Time
    size: int
    available: int
    held: int
    sold: int
    buckets: int
    mismatches: list[str]
    sold_by_order: dict[str, int]
    lapsed_at_risk: int


class RefundLine(TypedDict):
    line_item_id: str
    quantity: int
    goods: int
    tax: int


class Refund(TypedDict):
    """What is given back; ``completed`` once the provider has confirmed it."""

    order_id: str
    refund_id: str
    status: Literal["completed", "pending"]
    amount: Money
    shipping: int
    restock: bool
    lines: list[RefundLine]


class Export(TypedDict):
    """An export that was asked for. What is in it is known once it is ``done``."""

    export_id: str
    date: str
    show_id: str | None
    close: bool
    state: RunState
    requested_by: str
    requested_at: Time
    started_at: Time | None
    finished_at: Time | None
    manifest_key: str | None
    orders: int | None
    entries: int | None
    differences: int | None
    error: str | None


class ListedExport(Export):
    manifest: dict[str, Any] | None


class ExportsOfDay(TypedDict):
    date: str
    exports: list[ListedExport]


class Cue(TypedDict):
    id: str
    status: Literal["applied", "repeated"]


class Health(TypedDict):
    status: Literal["ok"]
