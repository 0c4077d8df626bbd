"""Create, update and cancel a purchase that is still open: units first, then the one write that names them."""

from __future__ import annotations

from chalicelib.checkout.lines import LineDraft, release_removed_holds, reserve_lines
from chalicelib.errors import BadInput
from chalicelib.instants import Instant
from chalicelib.purchase import (
    NOT_FOUND,
    CheckoutContext,
    CheckoutResult,
    NoPurchase,
    Purchase,
    PurchaseRequest,
    PurchaseState,
    abandon_request,
    check_shipping_option,
    current_result,
    idempotency_record,
    next_version,
    not_open_result,
    replace_or_replay,
    with_idempotency_key,
)


def update_purchase(
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
