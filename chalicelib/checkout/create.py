"""Create a purchase: hold its units and price it."""

from __future__ import annotations

from chalicelib.checkout.lines import LineDraft, reserve_lines
from chalicelib.checkout.update import apply_update
from chalicelib.errors import BadInput, IdempotencyConflict
from chalicelib.ids import derive_purchase_id
from chalicelib.instants import Instant
from chalicelib.purchase import (
    NOT_FOUND,
    CheckoutContext,
    CheckoutResult,
    NoPurchase,
    Purchase,
    PurchaseRequest,
    PurchaseState,
    Written,
    check_shipping_option,
    current_result,
    idempotency_record,
    not_open_result,
    release_unreferenced,
    with_idempotency_key,
)


def create_purchase(context: CheckoutContext, request: PurchaseRequest, now: Instant) -> CheckoutResult | NoPurchase:
    """Begin a purchase: hold units for each line, then put it. A repeat meets its own holds and its own purchase.

    Costs one write a line and one for the purchase; a refusal costs no write and one read, which tells a repeat of an
    earlier success from a first try. ``IdempotencyConflict`` when the key was used with another body.
    """
    if request.cart_id is not None:
        return _create_from_cart(context, request, now)
    purchase_id = derive_purchase_id(context.id_key, request.caller.namespace or request.caller.platform, request.key)
    try:
        check_shipping_option(
            context, request.shipping_option, request.destination, _markets_and_currencies(context, request, now), now
        )
    except BadInput:
        existing = context.purchases.read(purchase_id)
        if existing is None:
            raise
        return _replayed_creation(existing, request, now)
    draft = LineDraft(purchase_id=purchase_id, version=1)
    reserve_lines(context, draft, request.lines or (), (), now)
    if not draft.lines or draft.currency is None:
        existing = context.purchases.read(purchase_id)
        return _replayed_creation(existing, request, now) if existing else NoPurchase(tuple(draft.messages))
    purchase = context.reprice(context.clear_discount_rejections(_new_purchase(context, request, draft, now)))
    try:
        answer = context.purchases.create(purchase)
    except BadInput:
        _release_new_holds(context, draft)
        raise
    if isinstance(answer, Written):
        return current_result(purchase, now, *draft.messages, created=True)
    release_unreferenced(context.stock, draft.new_holds, answer.existing)
    return _replayed_creation(answer.existing, request, now)


def _replayed_creation(existing: Purchase, request: PurchaseRequest, now: Instant) -> CheckoutResult:
    """What a repeat of a create is told. ``IdempotencyConflict`` when the key was used with another body."""
    if not idempotency_record(existing, request.key, request.fingerprint):
        raise IdempotencyConflict
    return current_result(existing, now, created=True)


def _release_new_holds(context: CheckoutContext, draft: LineDraft) -> None:
    """Give back what a create took that can never be written; what a twin wrote with less keeps what it names."""
    existing = context.purchases.read(draft.purchase_id)
    if existing is not None:
        release_unreferenced(context.stock, draft.new_holds, existing)
        return
    for pool, hold in draft.new_holds:
        context.stock.release(pool, hold)


def _new_purchase(context: CheckoutContext, request: PurchaseRequest, draft: LineDraft, now: Instant) -> Purchase:
    hinted_market = context.markets_at(now).of_country(request.country_hint)
    return Purchase(
        id=draft.purchase_id,
        version=1,
        state=PurchaseState.OPEN,
        platform=request.caller.platform,
        channel=(request.attribution or {}).get("channel") or request.caller.channel,
        show_id=draft.show_id,
        currency=draft.currency or "",
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
    """A cart becomes a checkout session: the same purchase, its lines, and its buyer where the cart has one."""
    purchase = context.purchases.read(request.cart_id or "")
    if purchase is None:
        return NOT_FOUND
    if idempotency_record(purchase, request.key, request.fingerprint):
        return current_result(purchase, now, created=True)
    if purchase.state is not PurchaseState.OPEN:
        return not_open_result(purchase, now)
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
    result = apply_update(context, purchase, cart_request, now)
    return CheckoutResult(result.purchase, result.messages, created=True)


def _markets_and_currencies(context: CheckoutContext, request: PurchaseRequest, now: Instant) -> set[tuple[str, str]]:
    """Market and currency of every drop wished for: what the purchase to be may be sold in."""
    hinted_market = context.markets_at(now).of_country(request.country_hint)
    offers = [context.shows.offer(line.drop_id, now) for line in request.lines or ()]
    return {(hinted_market.id if hinted_market else one.drop.market or "", one.drop.currency) for one in offers if one}
