"""Cancel a purchase that is not placed."""

from __future__ import annotations

from chalicelib.checkout.lines import release_removed_holds
from chalicelib.instants import Instant
from chalicelib.purchase import (
    NOT_FOUND,
    Caller,
    CheckoutContext,
    CheckoutResult,
    NoPurchase,
    PurchaseState,
    current_result,
    idempotency_record,
    next_version,
    not_open_result,
    replace_or_replay,
    with_idempotency_key,
)


def cancel_purchase(
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
