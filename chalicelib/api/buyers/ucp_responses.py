"""Purchases as UCP (release 2026-04-08) shows them. The functions are pure; their results are valid in its schemas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chalicelib.api.buyers.ucp_totals import discounts_object, line_totals, totals
from chalicelib.api.requests import Json
from chalicelib.ids import cart_id, checkout_id, order_id
from chalicelib.instants import Instant, rfc3339
from chalicelib.pricing import Market
from chalicelib.purchase import (
    CheckoutResult,
    Destination,
    Dispute,
    Line,
    Message,
    NoPurchase,
    Purchase,
    PurchaseState,
    Refund,
    refunded_units,
)

VERSION = "2026-04-08"
HANDLER_VERSION = "2026-11-23"
CART, CHECKOUT, ORDER = "dev.ucp.shopping.cart", "dev.ucp.shopping.checkout", "dev.ucp.shopping.order"
FULFILLMENT, LOOKUP = "dev.ucp.shopping.fulfillment", "dev.ucp.shopping.catalog.lookup"
DISCOUNT = "dev.ucp.shopping.discount"


def payment_handlers(provider: str) -> Json:
    """Return the payment handlers of a deployment: the one of its payment provider."""
    handler = {"id": provider, "version": HANDLER_VERSION, "available_instruments": [{"type": "card"}]}
    return {f"dev.livedrop.{provider}": [handler]}


def envelope(*capabilities: str, status: str = "success") -> Json:
    """Return the ``ucp`` object of an answer."""
    return {
        "version": VERSION,
        "status": status,
        "capabilities": {name: [{"version": VERSION}] for name in capabilities},
    }


def message_object(message: Message, *, severity: str | None = None) -> Json:
    """Return a message. Its extra fields (``opens_at``, ``retry_after_ms``) are beside UCP's, as messages are open."""
    shown: Json = {"type": message.type, "code": message.code, "content": message.content}
    if message.type == "error":
        shown["severity"] = severity or message.severity
    if message.path:
        shown["path"] = message.path
    return {**message.extra, **shown}


def error_envelope(not_created: NoPurchase, capability: str) -> Json:
    """Return an answer without a resource: UCP's error response, whose messages are unrecoverable."""
    reasons = not_created.messages or (Message("missing", "`line_items` must have a line.", path="$.line_items"),)
    messages = [message_object(one, severity="unrecoverable") for one in reasons]
    return {"ucp": envelope(capability, status="error"), "messages": messages}


def checkout(
    result: CheckoutResult, now: Instant, market: Market, base_url: str, links: Sequence[Json], provider: str
) -> Json:
    """Return a purchase as a checkout session (``fulfillment.json#/$defs/dev.ucp.shopping.checkout``)."""
    purchase = result.purchase
    shown = _common(result, result.messages, now, market)
    methods = [_method(purchase, market)] if purchase.lines else []
    shown |= {
        "ucp": envelope(CHECKOUT, FULFILLMENT, CART, DISCOUNT) | {"payment_handlers": payment_handlers(provider)},
        "id": checkout_id(purchase.id),
        "status": result.ucp_status,
        "links": list(links),
        "fulfillment": {"methods": methods},
    }
    if purchase.payment:
        payment = purchase.payment
        instrument = {"id": payment.instrument_id, "handler_id": payment.handler_id, "type": payment.instrument_type}
        shown["payment"] = {"instruments": [instrument | {"selected": True}]}
    if result.ucp_status == "requires_escalation":
        shown["continue_url"] = _continue_url(purchase, base_url)
    if purchase.state is PurchaseState.PAID:
        shown["order"] = {"id": order_id(purchase.id), "permalink_url": _permalink(base_url, purchase)}
    return shown


def _continue_url(purchase: Purchase, base_url: str) -> str:
    """Return the page on which the buyer confirms the payment; the session itself if the shop's own page asks them."""
    page = purchase.payment.action_url if purchase.payment else None
    if page is None:
        return f"{base_url}/checkout-sessions/{checkout_id(purchase.id)}"
    return page if "://" in page else base_url + page


def cart(result: CheckoutResult, now: Instant, market: Market) -> Json:
    """Return a purchase as a cart (``cart.json``). A cart misses no field that only a checkout needs."""
    messages = [one for one in result.messages if one.code not in ("missing", "address_undeliverable")]
    own_id = cart_id(result.purchase.id)
    return _common(result, messages, now, market) | {"ucp": envelope(CART, DISCOUNT), "id": own_id}


def redact_buyer(shown: Json) -> Json:
    """Return a cart or session without its buyer."""
    return {name: part for name, part in shown.items() if name != "buyer"}


def redact_address(shown: Json) -> Json:
    """Return a session whose destinations have only id and country: the selection, and the country of the tax."""
    if "fulfillment" not in shown:
        return shown
    return shown | {
        "fulfillment": {"methods": [_redact_destinations(method) for method in shown["fulfillment"]["methods"]]}
    }


def _redact_destinations(method: Json) -> Json:
    if "destinations" not in method:
        return method
    kept = ("id", "address_country")
    return method | {
        "destinations": [{name: one[name] for name in kept if name in one} for one in method["destinations"]]
    }


def order(purchase: Purchase, now: Instant, market: Market, base_url: str) -> Json:
    """Return a paid purchase as an order (``order.json``): its lines as bought; refunds and disputes as adjustments."""
    remaining = {line.id: line.quantity - refunded_units(purchase, line.id) for line in purchase.lines}
    return {
        "ucp": envelope(ORDER),
        "id": order_id(purchase.id),
        "checkout_id": checkout_id(purchase.id),
        "permalink_url": _permalink(base_url, purchase),
        "line_items": [_order_line(line, remaining[line.id], purchase) for line in purchase.lines],
        "fulfillment": {"expectations": _expectations(purchase, remaining), "events": []},
        "adjustments": [
            *(_refund_adjustment(one) for one in purchase.refunds),
            *(_dispute_adjustment(one) for one in purchase.disputes),
        ],
        "currency": purchase.currency,
        "totals": totals(purchase, market),
        "attribution": _attribution(purchase),
        "server_time": rfc3339(now),
    }


def _permalink(base_url: str, purchase: Purchase) -> str:
    return f"{base_url}/orders/{order_id(purchase.id)}"


def _attribution(purchase: Purchase) -> dict[str, str]:
    return ({"channel": purchase.channel} if purchase.channel else {}) | purchase.attribution


def _common(result: CheckoutResult, messages: Iterable[Message], now: Instant, market: Market) -> Json:
    purchase = result.purchase
    shown: Json = {
        "line_items": [_line(line, purchase) for line in purchase.lines],
        "currency": purchase.currency,
        "totals": totals(purchase, market),
        "messages": [message_object(one) for one in messages],
        "server_time": rfc3339(now),
    }
    if purchase.discount_codes or purchase.discounts:
        shown["discounts"] = discounts_object(purchase)
    if result.hold_expires_at is not None:
        shown["expires_at"] = rfc3339(result.hold_expires_at)
    if purchase.buyer:
        shown["buyer"] = purchase.buyer.model_dump(exclude_none=True)
    attribution = _attribution(purchase)
    return shown | ({"attribution": attribution} if attribution else {})


def _item(line: Line) -> Json:
    shown: Json = {"id": line.drop_id, "title": line.title, "price": line.unit_price}
    return shown | ({"image_url": line.image_url} if line.image_url else {})


def _line(line: Line, purchase: Purchase) -> Json:
    return {"id": line.id, "item": _item(line), "quantity": line.quantity, "totals": line_totals(line, purchase)}


def _method(purchase: Purchase, market: Market) -> Json:
    line_ids = [line.id for line in purchase.lines]
    method: Json = {"id": "shipping", "type": "shipping", "line_item_ids": line_ids}
    destination = purchase.destination
    if destination is None:
        return method
    method |= {"destinations": [_destination(destination)], "selected_destination_id": destination.id}
    if purchase.shipping_option:
        group = {"id": "package_1", "line_item_ids": line_ids, "options": _options(purchase, market)}
        method["groups"] = [group | {"selected_option_id": purchase.shipping_option}]
    return method


def _options(purchase: Purchase, market: Market) -> list[Json]:
    """Return the shipping options; for a placed purchase only its own. The selected one costs what the totals say."""
    chosen, sums = purchase.shipping_option or "", purchase.totals
    offered = {one.id: one for one in market.options(purchase.currency)}
    ids = [*offered, *([] if chosen in offered else [chosen])] if purchase.state is PurchaseState.OPEN else [chosen]
    shown = []
    for option_id in ids:
        option, cost = offered.get(option_id), sums.shipping
        if option is not None and option_id != chosen:
            cost = option.cost(purchase.currency, sums.subtotal - sums.discount)
        title = option.title if option else option_id
        shown.append({"id": option_id, "title": title, "totals": [{"type": "total", "amount": cost}]})
    return shown


def _destination(destination: Destination) -> Json:
    return destination.model_dump(exclude_none=True)


def _order_line(line: Line, remaining: int, purchase: Purchase) -> Json:
    return {
        "id": line.id,
        "item": _item(line),
        "quantity": {"original": line.quantity, "total": remaining, "fulfilled": 0},
        "totals": line_totals(line, purchase),
        "status": "processing" if remaining else "removed",
    }


def _expectations(purchase: Purchase, remaining: dict[str, int]) -> list[Json]:
    """Return the delivery of all units that are not refunded. The address is empty once personal data was erased."""
    lines = [{"id": line_id, "quantity": units} for line_id, units in remaining.items() if units]
    if not lines:
        return []
    destination = purchase.destination
    address = destination.model_dump(exclude_none=True, exclude={"id"}) if destination else {}
    return [{"id": "exp_1", "line_items": lines, "method_type": "shipping", "destination": address}]


def _refund_adjustment(refund: Refund) -> Json:
    """Return a refund. Its money and units are negative, as they reduce the order."""
    occurred_at = refund.failed_at or refund.completed_at or refund.requested_at
    return {
        "id": refund.id,
        "type": "refund",
        "occurred_at": rfc3339(occurred_at),
        "status": "failed" if refund.failure_code else "completed" if refund.completed_at is not None else "pending",
        "line_items": [{"id": part.line_id, "quantity": -part.quantity} for part in refund.lines if part.quantity],
        "totals": [{"type": "total", "amount": -refund.amount}],
    }


_DISPUTE_STATUSES = {"inquiry": "pending", "open": "pending", "lost": "completed", "won": "failed", "closed": "failed"}


def _dispute_adjustment(dispute: Dispute) -> Json:
    """Return a dispute. Its money is what the buyer's bank has taken back at present; an inquiry takes nothing."""
    return {
        "id": dispute.id,
        "type": "dispute",
        "occurred_at": rfc3339(dispute.closed_at or dispute.opened_at),
        "status": _DISPUTE_STATUSES[dispute.status],
        "line_items": [],
        "totals": [{"type": "total", "amount": -dispute.withdrawn_of_order}],
    }
