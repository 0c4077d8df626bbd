"""Update a purchase that is open: hold further units, store the new version, then release units."""

from __future__ import annotations

from chalicelib.checkout.lines import LineDraft, release_removed_holds, reserve_lines
from chalicelib.errors import BadInput
from chalicelib.instants import Instant
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
    abandon_request,
    check_shipping_option,
    current_result,
    has_room_for_change,
    idempotency_record,
    next_version,
    not_open_result,
    replace_or_replay,
    reprice_purchase,
    result_with,
    with_idempotency_key,
)


def update_purchase(
    context: CheckoutContext, purchase_id: str, request: PurchaseRequest, now: Instant
) -> CheckoutResult | NoPurchase:
    """Replace what the request mentions. Growing lines take units before the write, shrinking lines release them after.

    A crash after the write leaves surplus units held: a commit corrects them, or they expire.

    Raises:
        BadInput: the market has no such shipping option, or the purchase is too large.
        Conflict: another request changed the purchase meanwhile (this one changed nothing), or the key was used with
            another body.
    """
    purchase = context.purchases.read(purchase_id)
    if purchase is None:
        return NOT_FOUND
    if idempotency_record(purchase, request.key, request.fingerprint):
        return current_result(purchase, now)
    if purchase.state is not PurchaseState.OPEN:
        return not_open_result(purchase, now)
    if not has_room_for_change(purchase):
        return result_with(purchase, TOO_MANY_CHANGES)
    return apply_update(context, purchase, request, now)


def apply_update(
    context: CheckoutContext, purchase: Purchase, request: PurchaseRequest, now: Instant
) -> CheckoutResult:
    """Apply a request to an open purchase that has not carried it out before."""
    markets = context.markets_at(now)
    destination = request.destination or purchase.destination
    check_shipping_option(markets, request.shipping_option, destination, purchase.market, purchase.currency)
    draft = LineDraft.of_next_version(purchase)
    if request.lines is None:
        draft.lines = list(purchase.lines)
    else:
        reserve_lines(context, draft, request.lines, purchase.lines, now)
    updated = reprice_purchase(context, _updated_version(purchase, request, draft, now), markets)
    try:
        answer = replace_or_replay(context, updated, draft.new_holds, (request.key, request.fingerprint))
    except BadInput:
        abandon_request(context, purchase, draft.new_holds, now)
        raise
    if isinstance(answer, Written):
        release_removed_holds(context, purchase, updated.lines)
        return current_result(updated, now, *draft.messages)
    release_removed_holds(context, purchase, answer.existing.lines)
    return current_result(answer.existing, now)


def _updated_version(purchase: Purchase, request: PurchaseRequest, draft: LineDraft, now: Instant) -> Purchase:
    given_fields = {
        name: value
        for name in ("buyer", "destination", "shipping_option", "attribution", "discount_codes")
        if (value := getattr(request, name)) is not None
    }
    return next_version(
        purchase,
        now,
        lines=tuple(draft.lines),
        is_cart=purchase.is_cart and request.as_cart,
        idempotency_records=with_idempotency_key(purchase.idempotency_records, request.key, request.fingerprint),
        **given_fields,
    )
