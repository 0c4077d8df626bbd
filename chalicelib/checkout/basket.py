"""Create, update and cancel a purchase that is still open: units first, then the one write that names them."""

from __future__ import annotations

from chalicelib.checkout.exchange import Caller, CheckoutResult, NoPurchase, PurchaseRequest
from chalicelib.checkout.identity import derive_purchase_id
from chalicelib.checkout.lines import LineDraft, removed_holds, reserve_lines
from chalicelib.checkout.model import Destination, Line, Purchase, PurchaseState
from chalicelib.checkout.status import current_result, not_open_result
from chalicelib.checkout.till import (
    NOT_FOUND,
    CheckoutContext,
    abandon_request,
    idempotency_record,
    next_version,
    order_ref_of,
    release_unreferenced,
    with_idempotency_key,
)
from chalicelib.errors import BadInput, Conflict
from chalicelib.instants import Instant
from chalicelib.stock import HoldRef, Pool


def create(context: CheckoutContext, request: PurchaseRequest, now: Instant) -> CheckoutResult | NoPurchase:
    """Begin a purchase: hold units for each line, then put it. A repeat meets its own holds and its own purchase.

    Costs one write a line and one for the purchase; a refusal costs no write and one read, which tells a repeat of an
    earlier success from a first try. ``Conflict`` when the key was used with another body.
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
        existing = context.purchases.create(purchase)
    except BadInput:
        _release_new_holds(context, draft)
        raise
    if existing is None:
        return current_result(purchase, now, *draft.messages, created=True)
    release_unreferenced(context.stock, draft.new_holds, existing)
    return _replayed_creation(existing, request, now)


def update(
    context: CheckoutContext, purchase_id: str, request: PurchaseRequest, now: Instant
) -> CheckoutResult | NoPurchase:
    """Replace what the change mentions. Units for growing lines first, then the write, then shrinking lines give back.

    Dying after the write leaves surplus units held: a sell corrects them, or they lapse. ``Conflict`` when another
    change came in between (nothing of this one remains) or the key was used with another body.
    """
    purchase = context.purchases.read(purchase_id)
    if purchase is None:
        return NOT_FOUND
    if idempotency_record(purchase, request.key, request.fingerprint):
        return current_result(purchase, now)
    if purchase.state is not PurchaseState.OPEN:
        return not_open_result(purchase, now)
    return apply_update(context, purchase, request, now)


def find(context: CheckoutContext, purchase_id: str, now: Instant) -> CheckoutResult | NoPurchase:
    """A purchase as it stands: one consistent read."""
    purchase = context.purchases.read(purchase_id)
    return NOT_FOUND if purchase is None else current_result(purchase, now)


def cancel(
    context: CheckoutContext, purchase_id: str, caller: Caller, key: str, fingerprint: str, now: Instant
) -> CheckoutResult | NoPurchase:
    """Give an open purchase up and its units back. A placed one answers that it is in progress.

    A repeat gives the units back again (one write a hold, refused where they are back): whoever cancelled may have died
    before it did.
    """
    purchase = context.purchases.read(purchase_id)
    if purchase is None:
        return NOT_FOUND
    replayed = idempotency_record(purchase, key, fingerprint)
    if purchase.state is PurchaseState.OPEN and not replayed:
        records = with_idempotency_key(purchase.idempotency_records, key, fingerprint)
        cancelled = next_version(
            purchase, now, state=PurchaseState.CANCELLED, cancelled_at=now, idempotency_records=records
        )
        purchase = replace_or_replay(context, cancelled, [], (key, fingerprint)) or cancelled
    if purchase.state is PurchaseState.CANCELLED:
        release_removed_holds(context, purchase, ())
    elif not replayed:
        return not_open_result(purchase, now)
    return current_result(purchase, now)


def _replayed_creation(existing: Purchase, request: PurchaseRequest, now: Instant) -> CheckoutResult:
    """What a repeat of a create is told. ``Conflict`` when the key was used with another body."""
    if not idempotency_record(existing, request.key, request.fingerprint):
        raise Conflict("This Idempotency-Key belongs to another request.", field="Idempotency-Key")
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


def apply_update(
    context: CheckoutContext, purchase: Purchase, request: PurchaseRequest, now: Instant
) -> CheckoutResult:
    draft = LineDraft(
        purchase.id, purchase.version + 1, purchase.show_id, purchase.currency, purchase.market, list(purchase.lines)
    )
    destination = request.destination or purchase.destination
    check_shipping_option(context, request.shipping_option, destination, {(purchase.market, purchase.currency)}, now)
    if request.lines is not None:
        draft.lines = []
        reserve_lines(context, draft, request.lines, purchase.lines, now)
    given_fields = {
        name: value
        for name in ("buyer", "destination", "shipping_option", "attribution", "discount_codes")
        if (value := getattr(request, name)) is not None
    }
    updated = next_version(
        purchase,
        now,
        lines=tuple(draft.lines),
        is_cart=purchase.is_cart and request.as_cart,
        idempotency_records=with_idempotency_key(purchase.idempotency_records, request.key, request.fingerprint),
        **given_fields,
    )
    updated = context.reprice(context.clear_discount_rejections(updated))
    try:
        existing = replace_or_replay(context, updated, draft.new_holds, (request.key, request.fingerprint))
    except BadInput:
        abandon_request(context, purchase, draft.new_holds, now)
        raise
    release_removed_holds(context, purchase, (existing or updated).lines)
    return current_result(existing, now) if existing else current_result(updated, now, *draft.messages)


def release_removed_holds(context: CheckoutContext, purchase: Purchase, kept: tuple[Line, ...]) -> None:
    """Give back what the purchase names beyond the lines that a written change kept, whoever wrote it. Repeatable."""
    order = order_ref_of(purchase) if purchase.attempt else None
    for pool, hold, units in removed_holds(purchase.lines, kept):
        if units:
            context.stock.shrink(pool, hold, units)
        else:
            context.stock.release(pool, hold, order)


def replace_or_replay(
    context: CheckoutContext,
    purchase: Purchase,
    new_holds: list[tuple[Pool, HoldRef]],
    key_and_fingerprint: tuple[str, str],
) -> Purchase | None:
    """Write the next version. None when written; the purchase that stands there when the same request had won."""
    existing = context.purchases.replace(purchase)
    if existing is None:
        return None
    release_unreferenced(context.stock, new_holds, existing)
    if idempotency_record(existing, *key_and_fingerprint):
        return existing
    raise Conflict("The purchase was changed by another request meanwhile; read it and try again.", code="changed")


def _markets_and_currencies(context: CheckoutContext, request: PurchaseRequest, now: Instant) -> set[tuple[str, str]]:
    """Market and currency of every drop wished for: what the purchase to be may be sold in."""
    hinted_market = context.markets_at(now).of_country(request.country_hint)
    offers = [context.shows.offer(line.drop_id, now) for line in request.lines or ()]
    return {(hinted_market.id if hinted_market else one.drop.market or "", one.drop.currency) for one in offers if one}


def check_shipping_option(
    context: CheckoutContext,
    chosen: str | None,
    destination: Destination | None,
    markets_and_currencies: set[tuple[str, str]],
    now: Instant,
) -> None:
    """``BadInput`` unless goods can go there in the chosen way. Asked before any unit is taken, so none goes back."""
    if chosen is None or destination is None or destination.address_country is None:
        return
    for market, currency in markets_and_currencies:
        if chosen not in {option.id for option in context.shipping_options(destination, market, currency, now)[1]}:
            where = "$.fulfillment.methods[0].groups[0].selected_option_id"
            raise BadInput("There is no such shipping option for this destination.", field=where)
