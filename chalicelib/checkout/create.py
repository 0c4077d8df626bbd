"""Create a purchase: hold its units, price it, then store it."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.checkout.lines import LineDraft, reserve_lines
from chalicelib.checkout.update import apply_update
from chalicelib.errors import BadInput, IdempotencyConflict
from chalicelib.ids import derive_purchase_id
from chalicelib.instants import Instant
from chalicelib.pricing import Markets
from chalicelib.purchase import (
    NOT_FOUND,
    TOO_MANY_CHANGES,
    CheckoutContext,
    CheckoutResult,
    NoPurchase,
    Purchase,
    PurchaseRequest,
    PurchaseState,
    Written,
    check_shipping_option,
    current_result,
    has_room_for_change,
    idempotency_record,
    not_open_result,
    release_unreferenced,
    reprice_purchase,
    result_with,
    with_idempotency_key,
)


def create_purchase(context: CheckoutContext, request: PurchaseRequest, now: Instant) -> CheckoutResult | NoPurchase:
    """Hold units for each line, then store the purchase. A repeated request finds its own holds and its own purchase.

    Costs one write a line and one for the purchase. A refusal costs one read, which tells a repeat of a request that
    succeeded from a first try.

    Raises:
        BadInput: no market ships the requested lines in the chosen way, or the purchase is too large.
        IdempotencyConflict: the key was used with another body.
    """
    if request.cart_id is not None:
        return _create_from_cart(context, request, now)
    purchase_id = derive_purchase_id(context.id_key, request.caller.namespace or request.caller.platform, request.key)
    markets = context.markets_at(now)
    try:
        _check_shipping_option(context, request, markets, now)
    except BadInput:
        existing = context.purchases.read(purchase_id)
        if existing is None:
            raise
        return _replayed(existing, request, now)
    draft = LineDraft(purchase_id=purchase_id, version=1)
    reserve_lines(context, draft, request.lines or (), (), now)
    if not draft.lines or draft.currency is None:
        existing = context.purchases.read(purchase_id)
        return _replayed(existing, request, now) if existing else NoPurchase(tuple(draft.messages))
    purchase = reprice_purchase(context, _new_purchase(request, draft, draft.currency, markets, now), markets)
    try:
        answer = context.purchases.create(purchase)
    except BadInput:
        _release_new_holds(context, draft)
        raise
    if isinstance(answer, Written):
        return current_result(purchase, now, *draft.messages, created=True)
    release_unreferenced(context.stock, draft.new_holds, answer.existing)
    return _replayed(answer.existing, request, now)


def _check_shipping_option(context: CheckoutContext, request: PurchaseRequest, markets: Markets, now: Instant) -> None:
    """Check the chosen option in each market and currency in which a requested drop may be sold."""
    if request.shipping_option is None:
        return
    hinted_market = markets.of_country(request.country_hint)
    for line in request.lines or ():
        offer = context.shows.offer(line.drop_id, now)
        if offer is not None:
            market_id = hinted_market.id if hinted_market else offer.drop.market or ""
            check_shipping_option(markets, request.shipping_option, request.destination, market_id, offer.drop.currency)


def _replayed(existing: Purchase, request: PurchaseRequest, now: Instant) -> CheckoutResult:
    """Answer a repeated create request."""
    if not idempotency_record(existing, request.key, request.fingerprint):
        raise IdempotencyConflict
    return current_result(existing, now, created=True)


def _release_new_holds(context: CheckoutContext, draft: LineDraft) -> None:
    """Release the holds of a purchase that is too large to store, except those that a smaller duplicate names."""
    existing = context.purchases.read(draft.purchase_id)
    if existing is not None:
        release_unreferenced(context.stock, draft.new_holds, existing)
        return
    for pool, hold in draft.new_holds:
        context.stock.release(pool, hold)


def _new_purchase(
    request: PurchaseRequest, draft: LineDraft, currency: str, markets: Markets, now: Instant
) -> Purchase:
    hinted_market = markets.of_country(request.country_hint)
    return Purchase(
        id=draft.purchase_id,
        version=1,
        state=PurchaseState.OPEN,
        platform=request.caller.platform,
        channel=(request.attribution or {}).get("channel") or request.caller.channel,
        show_id=draft.show_id,
        currency=currency,
        market=hinted_market.id if hinted_market else draft.market or "",
        is_cart=request.as_cart,
        created_at=now,
        updated_at=now,
        lines=tuple(draft.lines),
        buyer=request.buyer,
        destination=request.destination,
        shipping_option=request.shipping_option,
        attribution=request.attribution or {},
        discount_codes=request.discount_codes or (),
        idempotency_records=with_idempotency_key((), request.key, request.fingerprint),
    )


def _create_from_cart(context: CheckoutContext, request: PurchaseRequest, now: Instant) -> CheckoutResult | NoPurchase:
    """Turn a cart into a checkout session: the same purchase, with its lines and, if it has one, its buyer."""
    purchase = context.purchases.read(request.cart_id or "")
    if purchase is None:
        return NOT_FOUND
    if idempotency_record(purchase, request.key, request.fingerprint):
        return current_result(purchase, now, created=True)
    if purchase.state is not PurchaseState.OPEN:
        return not_open_result(purchase, now)
    if not has_room_for_change(purchase):
        return result_with(purchase, TOO_MANY_CHANGES)
    cart_request = PurchaseRequest(
        caller=request.caller,
        key=request.key,
        fingerprint=request.fingerprint,
        buyer=purchase.buyer or request.buyer,
        destination=request.destination,
        shipping_option=request.shipping_option,
        attribution=request.attribution,
        discount_codes=request.discount_codes,
    )
    return replace(apply_update(context, purchase, cart_request, now), created=True)
