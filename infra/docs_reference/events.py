"""One example of each order event, published by the function that publishes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final

from chalicelib.instants import DAY, HOUR, Instant, parse_rfc3339
from chalicelib.purchase.model import Line, Payment, Purchase, PurchaseState, Refund, RefundLine, Totals
from chalicelib.streams.ledger import post_ledger

_PLACED: Final[Instant] = parse_rfc3339("2026-12-01T19:03:20Z")
_LINE: Final = Line(
    id="li_1_1",
    drop_id="gala-mug",
    sku="MUG",
    title="Mug",
    unit_price=1200,
    quantity=2,
    bucket_count=3,
    price_until=_PLACED,
    max_hold_until=_PLACED // 1000,
    tax=400,
    tax_rate_bps=2000,
)
_REFUND: Final = Refund(
    id="rf_1",
    key="key",
    fingerprint="body",
    lines=(RefundLine(line_id="li_1_1", quantity=1, item_amount=1200, tax=200),),
    amount=1200,
    restock=True,
    requested_at=_PLACED + DAY,
    completed_at=_PLACED + DAY,
    restocked=True,
)
_PURCHASE: Final = Purchase(
    id="uT3kq8m0pVwXy2ZbCd4EfG",
    version=9,
    state=PurchaseState.PAID,
    platform="own-site",
    channel="own-site",
    show_id="gala",
    currency="GBP",
    market="GB",
    created_at=_PLACED,
    updated_at=_PLACED + DAY,
    lines=(_LINE,),
    attempt=1,
    epoch=1,
    totals=Totals(subtotal=2400, shipping=395, shipping_tax=66, tax=466, total=2795),
    placed_at=_PLACED,
    paid_at=_PLACED + 900,
    payment=Payment(handler_id="sandbox", instrument_id="card_1", fee=62),
    cancelled_at=_PLACED + DAY + HOUR,
)
_REFUND_FAILED: Final = _REFUND.model_copy(
    update={"failure_code": "expired_or_canceled_card", "failed_at": _PLACED + 4 * DAY}
)
_MESSAGE: Final = (
    f'{{"purchase_id": "{_PURCHASE.id}", "version": {_PURCHASE.version}, "paid": true, "refunds": ["rf_1"], '
    '"failed_refunds": ["rf_1"], "disputes": [], "cancelled": true}'
)


@dataclass
class _Orders:
    """A store with the one order."""

    def read(self, purchase_id: str) -> Purchase:
        return _PURCHASE.model_copy(update={"refunds": (_REFUND_FAILED,)})


@dataclass
class _Ledger:
    """A ledger that keeps nothing."""

    def post_entries(self, entries: list[Any]) -> None:
        return None


@dataclass
class _Bus:
    """A bus that keeps what is published."""

    published: list[dict[str, Any]] = field(default_factory=list)

    def publish(self, cloud_events: list[dict[str, Any]]) -> None:
        self.published += cloud_events


@cache
def order_events() -> list[dict[str, Any]]:
    """The events of one order: paid, refunded in part, a refund that failed later, cancelled."""
    bus: Any = _Bus()
    orders: Any = _Orders()
    ledger: Any = _Ledger()
    post_ledger({"Records": [{"messageId": "1", "body": _MESSAGE}]}, orders, ledger, bus, "Europe/London")
    published: list[dict[str, Any]] = bus.published
    return published
