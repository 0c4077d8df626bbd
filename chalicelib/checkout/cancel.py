"""Cancel a purchase that is not placed, and release its units."""

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
    Written,
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
    """Cancel an open purchase and release its units. A placed purchase stays as it is; the answer says so.

    A repeated request releases the units again, because the first one may have crashed before it did. That costs one
    write a hold, which is refused where the units are already released.
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
        answer = replace_or_replay(context, cancelled, [], (key, fingerprint))
        purchase = cancelled if isinstance(answer, Written) else answer.existing
    if purchase.state is PurchaseState.CANCELLED:
        release_removed_holds(context, purchase, ())
    elif not replayed:
        return not_open_result(purchase, now)
    return current_result(purchase, now)
