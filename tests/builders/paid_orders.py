"""Builders of paid purchases. A test passes only the values that it is about."""

from __future__ import annotations

from typing import Any

from chalicelib.instants import DAY, Clock, Instant, parse_rfc3339
from chalicelib.money import share, tax_within
from chalicelib.purchase import (
    Buyer,
    Destination,
    Line,
    Payment,
    Purchase,
    PurchaseState,
    PurchaseStore,
    Refund,
    RefundLine,
    Totals,
    Written,
    commission_of,
)

PAID_AT: Instant = parse_rfc3339("2026-11-27T19:00:00Z")
NEXT_DAY: Instant = parse_rfc3339("2026-11-28T03:00:00Z")
TIME_ZONE = "Europe/London"
PERSONAL = ("Ada", "Byron", "ada@example.com", "12 St James's Square", "SW1Y 4JH")


def clock_showing(*instants: Instant) -> Clock:
    """Build a clock that shows each instant once, and then always the last one."""
    remaining = list(instants)
    return lambda: remaining.pop(0) if len(remaining) > 1 else remaining[0]


def a_paid_line(number: int = 1, *, quantity: int = 2, unit_price: int = 1_275, **changes: Any) -> Line:
    standard: dict[str, Any] = {
        "id": f"li_{number}",
        "drop_id": f"drop-{number}",
        "sku": f"2242{number}",
        "title": "Regency cakestand",
        "unit_price": unit_price,
        "quantity": quantity,
        "bucket_count": 1,
        "price_until": PAID_AT + DAY,
        "max_hold_until": PAID_AT // 1_000,
        "creator_id": "ada-live",
        "commission_bps": 1_000,
        "tax": tax_within(unit_price * quantity, 2_000),
        "tax_rate_bps": 2_000,
    }
    return Line(**{**standard, **changes})


def a_paid_order(purchase_id: str = "P1", *, lines: tuple[Line, ...] = (a_paid_line(),), **changes: Any) -> Purchase:
    """Build a paid purchase for Britain, where prices include the tax."""
    subtotal = sum(line.unit_price * line.quantity for line in lines)
    tax = sum(line.tax for line in lines) + 66
    totals = Totals(
        subtotal=subtotal,
        shipping=395,
        shipping_tax=66,
        shipping_tax_rate_bps=2_000,
        tax=tax,
        total=subtotal + 395,
    )
    standard: dict[str, Any] = {
        "id": purchase_id,
        "version": 4,
        "state": PurchaseState.PAID,
        "platform": "web",
        "channel": "own-site",
        "show_id": "tonight",
        "currency": "GBP",
        "market": "GB",
        "created_at": PAID_AT - 60_000,
        "updated_at": PAID_AT,
        "lines": lines,
        "buyer": Buyer(first_name="Ada", last_name="Byron", email="ada@example.com"),
        "destination": Destination(street_address="12 St James's Square", postal_code="SW1Y 4JH"),
        "totals": totals,
        "attempt": 1,
        "placed_at": PAID_AT - 1_000,
        "paid_at": PAID_AT,
        "payment": Payment(handler_id="sandbox", instrument_id="i1", provider_id="sbx_P1#1", charge_id="sbx_ch_P1#1"),
    }
    return Purchase(**{**standard, **changes})


def with_tax_on_top(purchase: Purchase) -> Purchase:
    """Return the same purchase for a market with tax on top."""
    lines = tuple(
        line.model_copy(update={"tax": share(line.unit_price * line.quantity, 2_000)}) for line in purchase.lines
    )
    tax = sum(line.tax for line in lines) + 79
    changes = {"shipping_tax": 79, "tax": tax, "tax_on_top": tax, "total": purchase.totals.subtotal + 395 + tax}
    return purchase.model_copy(update={"lines": lines, "totals": purchase.totals.model_copy(update=changes)})


def with_refund(
    purchase: Purchase, *parts: tuple[str, int], shipping: bool = False, done_at: Instant | None = PAID_AT + 60_000
) -> Purchase:
    """Return the purchase with a further refund of units by line. By default the refund is completed."""
    lines = {line.id: line for line in purchase.lines}
    on_top = purchase.totals.tax_on_top > 0
    refund_lines = []
    for line_id, quantity in parts:
        line = lines[line_id]
        before = sum(p.quantity for r in purchase.refunds for p in r.lines if p.line_id == line_id)
        tax = line.tax * (before + quantity) // line.quantity - line.tax * before // line.quantity
        item_amount = line.unit_price * quantity
        whole = commission_of(purchase, line)
        commission = whole * (before + quantity) // line.quantity - whole * before // line.quantity
        part = RefundLine(line_id=line_id, quantity=quantity, item_amount=item_amount, tax=tax, commission=commission)
        refund_lines.append(part)
    totals = purchase.totals
    shipping_refunded, shipping_tax = (totals.shipping, totals.shipping_tax) if shipping else (0, 0)
    tax_refunded = sum(part.tax for part in refund_lines) + shipping_tax if on_top else 0
    number = len(purchase.refunds) + 1
    refund = Refund(
        id=f"rf_{number}",
        key=f"key-{number}",
        fingerprint="f",
        lines=tuple(refund_lines),
        amount=sum(part.item_amount for part in refund_lines) + shipping_refunded + tax_refunded,
        shipping=shipping_refunded,
        shipping_tax=shipping_tax,
        restock=False,
        requested_at=PAID_AT + 1_000,
        completed_at=done_at,
        provider_id=f"re_{number}" if done_at is not None else None,
    )
    changes = {"version": purchase.version + 1, "refunds": (*purchase.refunds, refund)}
    return purchase.model_copy(update=changes)


def store_purchases(store: PurchaseStore, *purchases: Purchase) -> None:
    """Store purchases as they are, also over existing ones."""
    for purchase in purchases:
        existing = store.read(purchase.id)
        first = existing is None
        version = 1 if existing is None else existing.version + 1
        next_version = purchase.model_copy(update={"version": version})
        assert (store.create(next_version) if first else store.replace(next_version)) == Written()
