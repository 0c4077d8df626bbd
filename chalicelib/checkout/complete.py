"""Complete a purchase: place the order in one write, then commit its stock.

From that write on only the capture worker changes the purchase.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chalicelib import aws
from chalicelib.checkout.discount_budgets import BudgetsHeld, DiscountUnavailable, hold_budgets
from chalicelib.checkout.lines import LineDraft
from chalicelib.checkout.payment_velocity import step_up_for, velocity_keys_of, velocity_refusal
from chalicelib.checkout.purchase_limits import count_against_limit
from chalicelib.checkout.rehold import restore_lines
from chalicelib.errors import BadInput, LivedropError
from chalicelib.ids import log_reference
from chalicelib.instants import Instant
from chalicelib.purchase import (
    NOT_FOUND,
    TOO_MANY_CHANGES,
    CheckoutContext,
    CheckoutResult,
    CompleteRequest,
    IdempotencyRecord,
    Message,
    NoPurchase,
    Payment,
    Purchase,
    PurchaseState,
    Written,
    abandon_request,
    budget_holds_of,
    check_transition,
    current_result,
    has_room_for_change,
    holds_of,
    idempotency_record,
    missing_fields,
    next_version,
    not_open_result,
    order_ref_of,
    release_unreferenced,
    replace_or_replay,
    reprice_keeping_rejections,
    result_with,
    with_idempotency_key,
)
from chalicelib.risk import VelocityKey
from chalicelib.telemetry import logger

MAX_ATTEMPTS: Final = 20
"""Attempts to pay for one purchase. Its epoch rises with each attempt, and in between, and has three digits."""

_HOLD_ENDED: Final = Message(
    "hold_lapsed", "The hold ended and the units could not be held again. Nothing was charged."
)
_TOO_MANY_ATTEMPTS: Final = Message(
    "payment_failed",
    "The payment failed too often. Nothing was charged. Create a new purchase to try again.",
    severity="unrecoverable",
)
_TOTALS_CHANGED: Final = Message(
    "totals_changed",
    "The total has changed since it was last shown. Nothing was placed. Complete with a new key to accept it.",
    path="$.totals",
)


def complete_purchase(
    context: CheckoutContext, purchase_id: str, request: CompleteRequest, now: Instant
) -> CheckoutResult | NoPurchase:
    """Place the order: one conditional write decides, then one write a hold commits its stock.

    Before that write, one write counts each line that has a limit per buyer, and one write holds a unit of each
    discount budget. A changed total, or a discount that cannot be had, places nothing and shows the new total.
    A repeated request is answered with the present state of its attempt.

    Raises:
        BadInput: the placed purchase would be too large.
        Conflict: another request changed the purchase meanwhile, or the key was used with another body.
    """
    purchase = context.purchases.read(purchase_id)
    if purchase is None:
        return NOT_FOUND
    result = _replayed_or_closed(purchase, request, now)
    if result:
        return result
    if missing_fields(purchase):
        return current_result(purchase, now)
    velocity_keys = velocity_keys_of(context, purchase, request.token)
    refusal = _attempt_refusal(context, purchase, velocity_keys, now)
    if refusal:
        return refusal
    draft = LineDraft.of_next_version(purchase)
    match _prepare(context, purchase, draft, now):
        case UnitsGone(messages):
            existing = abandon_request(context, purchase, draft.new_holds, now)
            return _replayed_or_closed(existing, request, now) or result_with(existing, *messages)
        case NotCounted(message):
            existing = abandon_request(context, purchase, draft.new_holds, now)
            return _replayed_or_closed(existing, request, now) or current_result(existing, now, message)
        case TotalsChanged() if not has_room_for_change(purchase):
            existing = abandon_request(context, purchase, draft.new_holds, now)
            return _replayed_or_closed(existing, request, now) or result_with(existing, TOO_MANY_CHANGES)
        case TotalsChanged(repriced):
            change = _with_new_totals(repriced, request)
        case ReadyToPlace(priced):
            change = _placed_version(context, purchase, priced, request, velocity_keys, now)
    return _store(context, purchase, change, draft, request, now)


@dataclass(frozen=True, slots=True)
class ReadyToPlace:
    """Every unit is held, every limit counted and every budget held, at the total that the buyer was shown."""

    priced: Purchase


@dataclass(frozen=True, slots=True)
class TotalsChanged:
    """The buyer was shown another total."""

    repriced: Purchase


@dataclass(frozen=True, slots=True)
class UnitsGone:
    """Units of an ended hold could not be held again."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class NotCounted:
    """A limit per buyer is reached, or a discount budget is busy."""

    message: Message


def _replayed_or_closed(purchase: Purchase, request: CompleteRequest, now: Instant) -> CheckoutResult | None:
    """Answer a repeated request, or one for a purchase that is not open. None for a new request to an open purchase."""
    replayed = _replayed(purchase, request, now)
    return replayed or (None if purchase.state is PurchaseState.OPEN else not_open_result(purchase, now))


def _replayed(purchase: Purchase, request: CompleteRequest, now: Instant) -> CheckoutResult | None:
    record = idempotency_record(purchase, request.key, request.fingerprint)
    return _result_of_repeat(purchase, record, now) if record else None


def _result_of_repeat(purchase: Purchase, record: IdempotencyRecord, now: Instant) -> CheckoutResult:
    placed_nothing = record.repriced and purchase.state is PurchaseState.OPEN
    return current_result(purchase, now, *((_TOTALS_CHANGED,) if placed_nothing else ()))


def _attempt_refusal(
    context: CheckoutContext, purchase: Purchase, velocity_keys: tuple[VelocityKey, ...], now: Instant
) -> CheckoutResult | None:
    """Refuse an attempt before anything is held or written.

    The reason is too many attempts, too many declines, or a total that the provider cannot charge.
    """
    if purchase.attempt >= MAX_ATTEMPTS:
        return result_with(purchase, _TOO_MANY_ATTEMPTS)
    total = purchase.totals.total
    problem = context.gateway.amount_problem(total, purchase.currency) if total else None
    if problem is not None:
        content = f"The payment provider cannot charge this total, so nothing was placed. {problem}"
        return current_result(purchase, now, Message("total_not_chargeable", content, path="$.totals"))
    refusal = velocity_refusal(context, velocity_keys, now)
    return current_result(purchase, now, refusal) if refusal else None


def _prepare(
    context: CheckoutContext, purchase: Purchase, draft: LineDraft, now: Instant
) -> ReadyToPlace | TotalsChanged | UnitsGone | NotCounted:
    """Hold missing units, price the purchase again, count limits and hold budgets."""
    if not restore_lines(context, purchase, draft, now):
        return UnitsGone((*draft.messages, _HOLD_ENDED))
    markets = context.markets_at(now)
    priced = reprice_keeping_rejections(context, next_version(purchase, now, lines=tuple(draft.lines)), markets)
    if (priced.totals, priced.shipping_option) != (purchase.totals, purchase.shipping_option):
        return TotalsChanged(priced)
    match _count_limits_and_budgets(context, purchase, priced, draft, now):
        case BudgetsHeld(discounts):
            return ReadyToPlace(priced.model_copy(update={"discounts": discounts}))
        case DiscountUnavailable(code, reason):
            rejected = {**priced.rejected_codes, code: reason.value}
            priced = priced.model_copy(update={"rejected_codes": rejected})
            return TotalsChanged(reprice_keeping_rejections(context, priced, markets))
        case Message() as message:
            return NotCounted(message)


def _count_limits_and_budgets(
    context: CheckoutContext, purchase: Purchase, priced: Purchase, draft: LineDraft, now: Instant
) -> BudgetsHeld | DiscountUnavailable | Message:
    try:
        return count_against_limit(context, priced, now) or hold_budgets(context, priced, draft, now)
    except LivedropError:
        abandon_request(context, purchase, draft.new_holds, now)
        raise


def _with_new_totals(repriced: Purchase, request: CompleteRequest) -> Purchase:
    """Return the version that shows the new total. Its key is recorded: only a new key says that the buyer agrees."""
    records = with_idempotency_key(repriced.idempotency_records, request.key, request.fingerprint, repriced=True)
    return repriced.model_copy(update={"idempotency_records": records})


def _placed_version(
    context: CheckoutContext,
    purchase: Purchase,
    priced: Purchase,
    request: CompleteRequest,
    velocity_keys: tuple[VelocityKey, ...],
    now: Instant,
) -> Purchase:
    """Return the version that places the order. Each attempt has a payment of its own at the provider."""
    attempt = purchase.attempt + 1
    payment = Payment(
        handler_id=request.handler_id,
        instrument_id=request.instrument_id,
        instrument_type=request.instrument_type,
        token=request.token,
        provider=context.gateway.name,
        velocity_keys=velocity_keys,
        step_up=step_up_for(context, purchase, now),
    )
    changes = {
        "state": PurchaseState.PLACED,
        "is_cart": False,
        "attempt": attempt,
        "epoch": purchase.epoch + 1,
        "placed_at": now,
        "payment": payment,
        "idempotency_records": with_idempotency_key(
            purchase.idempotency_records, request.key, request.fingerprint, attempt
        ),
    }
    placed = priced.model_copy(update=changes)
    check_transition(purchase, placed)
    return placed


def _store(
    context: CheckoutContext,
    purchase: Purchase,
    change: Purchase,
    draft: LineDraft,
    request: CompleteRequest,
    now: Instant,
) -> CheckoutResult:
    """Store the version that places the order, or the one that shows its new total and places nothing."""
    try:
        answer = replace_or_replay(context, change, draft.new_holds, (request.key, request.fingerprint))
    except BadInput:
        abandon_request(context, purchase, draft.new_holds, now)
        raise
    if not isinstance(answer, Written):
        return _result_of_repeat(answer.existing, answer.record, now)
    if change.state is PurchaseState.PLACED:
        _commit_stock(context, change)
        return current_result(change, now)
    release_unreferenced(context.stock, draft.new_holds, change)
    return current_result(change, now, _TOTALS_CHANGED)


def _commit_stock(context: CheckoutContext, placed: Purchase) -> None:
    """Commit every hold, as far as possible. The capture worker commits the rest, and it alone ends an attempt."""
    try:
        for pool, hold in [*holds_of(placed), *budget_holds_of(placed)]:
            context.stock.commit(pool, hold, hold.quantity, order_ref_of(placed))
    except aws.AWS_ERRORS:
        logger.warning("stock not committed at placing", extra={"purchase": log_reference(placed.id)})
