"""Complete: freeze the purchase, then sell its units. From the freeze on only the capture worker moves it."""

from __future__ import annotations

from chalicelib import aws
from chalicelib.checkout.discount_budgets import hold_budgets
from chalicelib.checkout.lines import LineDraft, drop_closed_refusal, hold_limit_refusal, hold_units
from chalicelib.checkout.payment_velocity import step_up_for, velocity_keys_of, velocity_refusal
from chalicelib.checkout.purchase_limits import count_against_limit
from chalicelib.discounts import AppliedDiscount
from chalicelib.errors import Conflict, LivedropError
from chalicelib.ids import log_reference
from chalicelib.instants import Instant
from chalicelib.purchase import (
    NOT_FOUND,
    CheckoutContext,
    CheckoutResult,
    CompleteRequest,
    Line,
    Message,
    NoPurchase,
    Payment,
    Purchase,
    PurchaseState,
    Refused,
    abandon_request,
    budget_holds_of,
    check_transition,
    current_result,
    holds_of,
    idempotency_record,
    missing_fields,
    next_version,
    not_open_result,
    order_ref_of,
    release_unreferenced,
    with_idempotency_key,
)
from chalicelib.risk import VelocityKey
from chalicelib.stock import HoldRef, HoldStatus
from chalicelib.telemetry import logger

MAX_ATTEMPTS = 20
"""Attempts to pay that a purchase gets. Its epoch, which rises with each and sometimes in between, has three digits."""


def complete_purchase(
    context: CheckoutContext, purchase_id: str, request: CompleteRequest, now: Instant
) -> CheckoutResult | NoPurchase:
    """Place the order: one write decides (the freeze), then one write a hold sells the units.

    Before the freeze, one write for each line with a limit per buyer counts its units; ``limit_exceeded`` else. Then
    the budgets of discounts are reserved; where one cannot be had, the new total is shown and nothing is placed.
    A repeat of this request is told how its attempt stands. Units whose holds were reclaimed are taken anew where that
    is possible, else ``hold_lapsed``; when that changes the total, the new one is shown and nothing is placed.
    Who was declined too often of late is told ``too_many_attempts``, and when to come again: nothing is changed.
    After ``MAX_ATTEMPTS`` an unrecoverable ``payment_failed``, before anything is taken or written.
    A line that has held units for as long as it may takes none anew, and after a decline is not tried again.
    ``Conflict`` when another change came in between, or the key was used with another body.
    """
    purchase = context.purchases.read(purchase_id)
    if purchase is None:
        return NOT_FOUND
    early_result = _replayed_or_closed(purchase, request, now)
    if early_result:
        return early_result
    if missing_fields(purchase):
        return current_result(purchase, now)
    velocity_keys = velocity_keys_of(context, purchase, request.token)
    refusal = _attempt_refusal(context, purchase, velocity_keys, now)
    if refusal:
        return refusal
    draft = LineDraft(purchase.id, purchase.version + 1, purchase.show_id, purchase.currency, purchase.market)
    if not _restore_lines(context, purchase, draft, now):
        purchase = abandon_request(context, purchase, draft.new_holds, now)
        return _replayed_or_closed(purchase, request, now) or CheckoutResult(purchase, (*draft.messages, _HOLD_LAPSED))
    placed = context.reprice(next_version(purchase, now, lines=tuple(draft.lines)))
    if (placed.totals, placed.shipping_option) != (purchase.totals, purchase.shipping_option):
        return _totals_changed_result(context, placed, draft, request, now)
    budgets = _count_limits_and_budgets(context, purchase, placed, draft, now)
    if isinstance(budgets, Message):
        purchase = abandon_request(context, purchase, draft.new_holds, now)
        return _replayed_or_closed(purchase, request, now) or current_result(purchase, now, budgets)
    if isinstance(budgets, dict):
        repriced = context.reprice(placed.model_copy(update={"rejected_codes": {**placed.rejected_codes, **budgets}}))
        return _totals_changed_result(context, repriced, draft, request, now)
    placed = placed.model_copy(
        update={
            "state": PurchaseState.PLACED,
            "is_cart": False,
            "attempt": purchase.attempt + 1,
            "epoch": purchase.epoch + 1,
            "placed_at": now,
            "discounts": budgets,
            "payment": _new_payment(
                request,
                context.gateway.name,
                purchase.payment,
                velocity_keys,
                step_up=step_up_for(context, purchase, now),
            ),
            "idempotency_records": with_idempotency_key(
                purchase.idempotency_records, request.key, request.fingerprint, purchase.attempt + 1
            ),
        }
    )
    check_transition(purchase, placed)
    answer = context.purchases.replace(placed)
    if isinstance(answer, Refused):
        return _lost_race(context, answer.existing, draft, request, now)
    _commit_stock(context, placed)
    return current_result(placed, now)


_HOLD_LAPSED = Message("hold_lapsed", "The hold ended and the units could not be taken anew; nothing was charged.")
_TOO_MANY_ATTEMPTS = Message(
    "payment_failed",
    "The payment failed too often; nothing was charged. Begin a new purchase to try again.",
    severity="unrecoverable",
)
_TOTALS_CHANGED = Message(
    "totals_changed",
    "The total has changed since it was last shown; nothing was placed. To accept it, complete under a new key.",
    path="$.totals",
)


def _attempt_refusal(
    context: CheckoutContext, purchase: Purchase, velocity_keys: tuple[VelocityKey, ...], now: Instant
) -> CheckoutResult | None:
    """Why there is no further attempt: the purchase has had its number, or who tries was declined too often."""
    if purchase.attempt >= MAX_ATTEMPTS:
        return CheckoutResult(purchase, (_TOO_MANY_ATTEMPTS,))
    refusal = velocity_refusal(context, velocity_keys, now)
    return current_result(purchase, now, refusal) if refusal else None


def _count_limits_and_budgets(
    context: CheckoutContext, purchase: Purchase, placed: Purchase, draft: LineDraft, now: Instant
) -> Message | dict[str, str] | tuple[AppliedDiscount, ...]:
    """Limits counted, and budgets reserved; or which limit is exceeded, or which discounts cannot be had."""
    try:
        return count_against_limit(context, placed, now) or hold_budgets(context, placed, draft, now)
    except LivedropError:
        abandon_request(context, purchase, draft.new_holds, now)
        raise


def _replayed_or_closed(purchase: Purchase, request: CompleteRequest, now: Instant) -> CheckoutResult | None:
    """What a repeat or a late request is told; None for a new one that finds the purchase open."""
    replayed = _replayed(purchase, request, now)
    return replayed or (None if purchase.state is PurchaseState.OPEN else not_open_result(purchase, now))


def _replayed(purchase: Purchase, request: CompleteRequest, now: Instant) -> CheckoutResult | None:
    record = idempotency_record(purchase, request.key, request.fingerprint)
    if record is None:
        return None
    placed_nothing = record.repriced and purchase.state is PurchaseState.OPEN
    return current_result(purchase, now, *((_TOTALS_CHANGED,) if placed_nothing else ()))


def _lost_race(
    context: CheckoutContext, existing: Purchase, draft: LineDraft, request: CompleteRequest, now: Instant
) -> CheckoutResult:
    """After a refused write: a twin's result, when a twin won. ``Conflict`` when another change did."""
    release_unreferenced(context.stock, draft.new_holds, existing)
    replayed = _replayed(existing, request, now)
    if replayed:
        return replayed
    raise Conflict("The purchase was changed by another request meanwhile; read it and try again.", code="changed")


def _new_payment(
    request: CompleteRequest,
    provider: str,
    earlier: Payment | None,
    velocity_keys: tuple[VelocityKey, ...],
    *,
    step_up: bool,
) -> Payment:
    """A new attempt's; an earlier attempt's payment is handed to the provider again."""
    return Payment(
        handler_id=request.handler_id,
        instrument_id=request.instrument_id,
        instrument_type=request.instrument_type,
        token=request.token,
        provider=provider,
        provider_id=earlier.provider_id if earlier and earlier.provider == provider else None,
        velocity_keys=velocity_keys,
        step_up=step_up,
    )


def _commit_stock(context: CheckoutContext, placed: Purchase) -> None:
    """Sell every hold, at best: what is not sold here, the worker sells, and it alone ends an attempt."""
    try:
        for pool, hold in [*holds_of(placed), *budget_holds_of(placed)]:
            context.stock.commit(pool, hold, hold.quantity, order_ref_of(placed))
    except aws.AWS_ERRORS:
        logger.warning("units are left for the worker to sell", extra={"purchase": log_reference(placed.id)})


def _restore_lines(context: CheckoutContext, purchase: Purchase, draft: LineDraft, now: Instant) -> bool:
    """Fill the basket with the purchase's lines, their units taken anew where holds are gone. False: not all could be.

    Holds that have not ended are trusted (no read); one that ended still buys while nobody took it.
    """
    statuses = _statuses_of_expired_holds(context, purchase, now)
    all_restored = True
    for index, line in enumerate(purchase.lines):
        path = f"$.line_items[{index}]"
        kept = line.model_copy(update={"holds": tuple(h for h in line.holds if _is_still_held(statuses, h))})
        restored = _rehold_line(context, draft, kept, path, now, attempted_before=purchase.attempt > 0)
        draft.lines.append(restored or line)
        all_restored = all_restored and restored is not None
    return all_restored


def _statuses_of_expired_holds(
    context: CheckoutContext, purchase: Purchase, now: Instant
) -> dict[str, HoldStatus | None]:
    expired = [(pool, hold) for pool, hold in holds_of(purchase) if hold.expires_at * 1000 <= now]
    return (
        dict(zip((hold.id for _, hold in expired), context.stock.get_hold_statuses(expired), strict=True))
        if expired
        else {}
    )


def _is_still_held(statuses: dict[str, HoldStatus | None], hold: HoldRef) -> bool:
    if hold.id not in statuses:
        return True
    status = statuses[hold.id]
    return status is not None and status.quantity >= hold.quantity


def _rehold_line(
    context: CheckoutContext, draft: LineDraft, line: Line, path: str, now: Instant, *, attempted_before: bool
) -> Line | None:
    """The line whole again, at its price while that is honoured, else at the drop's present one. None: not possible.

    ``tried``: an attempt to pay has ended without money. Else trying again and again would keep its units from others.
    """
    missing_units = line.quantity - sum(hold.quantity for hold in line.holds)
    refusal = hold_limit_refusal(line, path, now)
    if refusal and (missing_units or attempted_before):
        draft.messages.append(refusal)
        return None
    if not missing_units and now <= line.price_until:
        return line
    offer = context.shows.offer(line.drop_id, now)
    if offer is None or drop_closed_refusal(offer.drop, path, now):
        return None
    drop = offer.drop
    if now > line.price_until:
        price_until = now + 2 * drop.hold_seconds * 1000
        line = line.model_copy(update={"unit_price": drop.unit_price, "price_until": price_until})
    if not missing_units:
        return line
    hold = hold_units(context, draft, offer, missing_units, line, path, now)
    if hold is None or hold.quantity < missing_units:
        return None
    return line.model_copy(update={"holds": (*line.holds, hold)})


def _totals_changed_result(
    context: CheckoutContext, repriced: Purchase, draft: LineDraft, request: CompleteRequest, now: Instant
) -> CheckoutResult:
    """Show the new total and place nothing. The key is remembered: only a new one says that the buyer agrees."""
    records = with_idempotency_key(repriced.idempotency_records, request.key, request.fingerprint, repriced=True)
    repriced = repriced.model_copy(update={"idempotency_records": records})
    answer = context.purchases.replace(repriced)
    if isinstance(answer, Refused):
        return _lost_race(context, answer.existing, draft, request, now)
    release_unreferenced(context.stock, draft.new_holds, repriced)
    return current_result(repriced, now, _TOTALS_CHANGED)
