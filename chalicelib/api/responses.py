"""The bodies that our own routes answer with. The OpenAPI document shows them; a test holds every answer to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from chalicelib.api.requests import Json
from chalicelib.finance import RunState
from chalicelib.instants import rfc3339
from chalicelib.purchase import PurchaseState
from chalicelib.recovery import RepairReport
from chalicelib.shows import DropState
from chalicelib.stock import BucketSums

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


class PublicDrop(LiveDrop):
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


class PublicShow(Show):
    """A show as its watchers see it."""

    server_time: Time
    drops: list[PublicDrop]


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


class StockChangeResponse(TypedDict):
    """Units that the request adds or takes away, what of them was moved, and the drop's stock with them."""

    drop_id: str
    quantity: int
    moved: int
    stock: int


class Hold(TypedDict):
    """Units under one hold id. ``order`` is the short reference and epoch that they are sold to, or held for."""

    hold_id: str
    bucket: int
    quantity: int
    state: Literal["held", "lapsed", "sold"]
    until: Time | None
    order: str | None


class HoldWithOwner(Hold):
    """``purchase`` is a reference, as in logs; null while no purchase is known to name it. An order has its id, too."""

    purchase: str | None
    purchase_state: PurchaseState | None
    order_id: str | None


class OrphanHold(HoldWithOwner):
    """Units that no purchase claims, or another one than it should be."""

    reason: Literal["unnamed", "no_order", "given_up", "sold_to_open", "surplus", "foreign"]


class MissingHold(TypedDict):
    """Units that a purchase claims: ``quantity`` of them, ``found`` of which stand in the bucket."""

    hold_id: str
    bucket: int
    quantity: int
    found: int
    until: Time
    reason: Literal["gone", "unsold", "paid_unsold", "paid_gone"]
    purchase: str
    purchase_state: PurchaseState
    order_id: str | None


class AuditCounts(TypedDict):
    """How many there are of each, however many are listed."""

    buckets: int
    holds: int
    orders: int
    purchases: int
    buyers: int
    mismatches: int
    unnamed_holds: int
    missing_holds: int
    miscounts: int
    by_reason: dict[str, int]


class SummaryInAudit(TypedDict):
    """The live summary as it was written; in a sale it follows the buckets within a second."""

    size: int
    available: int
    held: int
    sold: int
    as_of: Time
    differs: bool


class PendingPlan(TypedDict):
    number: int
    quantity: int


class Audit(TypedDict):
    """Where every unit is; ``mismatches`` is empty when every rule of stock holds.

    ``complete``: every purchase was read; else no unit is called unnamed. Lists have their first ``detail`` entries.
    """

    drop_id: str
    as_of: Time
    size: int
    available: int
    held: int
    sold: int
    lapsed_at_risk: int
    complete: bool
    mismatches: list[str]
    counts: AuditCounts
    sold_by_order: dict[str, int]
    buckets: list[BucketSums]
    holds: list[HoldWithOwner]
    unnamed_holds: list[OrphanHold]
    missing_holds: list[MissingHold]
    summary: SummaryInAudit | None
    plan: PendingPlan | None


class Repair(Audit):
    """What was found before, and what was done about it."""

    repaired: RepairReport


class RefundLine(TypedDict):
    line_item_id: str
    quantity: int
    goods: int
    discount: int
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


class Cancellation(TypedDict):
    """A cancelled order.

    An order that was on hold is ``cancelled``: its payment is void, so that ``refund_id`` is null and ``amount`` is 0.
    A paid order stays ``paid``, with a refund of all that was left of it.
    """

    order_id: str
    state: PurchaseState
    refund_id: str | None
    status: Literal["completed", "pending"]
    amount: Money
    shipping: int
    restock: bool
    lines: list[RefundLine]


class OrderHoldResponse(TypedDict):
    """An order that was put on hold, or released."""

    order_id: str
    state: str
    held_by: str | None
    released_by: str | None


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


class ExportWithManifest(Export):
    manifest: dict[str, Any] | None


class ExportsOfDay(TypedDict):
    date: str
    exports: list[ExportWithManifest]


def with_rfc3339(record: Json, *names: str) -> Json:
    return record | {name: rfc3339(record[name]) for name in names if record.get(name) is not None}
