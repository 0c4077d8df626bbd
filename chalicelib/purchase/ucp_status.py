"""UCP status and messages of a purchase, as its buyer sees them. Derived from the purchase, never stored."""

from __future__ import annotations

from typing import Final

from chalicelib.discounts import RejectionReason, normalise_code
from chalicelib.instants import SECOND, Instant, rfc3339
from chalicelib.payments import NOT_PROVED
from chalicelib.purchase.model import Purchase, PurchaseState
from chalicelib.purchase.requests import CheckoutResult, Message

_STATUS = {
    PurchaseState.PLACED: "complete_in_progress",
    PurchaseState.AWAITING_BUYER: "requires_escalation",
    PurchaseState.ON_HOLD: "complete_in_progress",
    PurchaseState.PAID: "completed",
    PurchaseState.CANCELLED: "canceled",
}


def current_result(purchase: Purchase, now: Instant, *messages: Message, created: bool = False) -> CheckoutResult:
    """Return the purchase with messages about this request, then messages about its present status."""
    missing = missing_fields(purchase)
    return _result(purchase, missing, (*messages, *missing, *_status_messages(purchase, now)), created=created)


def result_with(purchase: Purchase, *messages: Message) -> CheckoutResult:
    """Return the purchase with messages about this request alone."""
    return _result(purchase, missing_fields(purchase), messages)


def _result(
    purchase: Purchase, missing: tuple[Message, ...], messages: tuple[Message, ...], *, created: bool = False
) -> CheckoutResult:
    status = _STATUS.get(purchase.state, "incomplete" if missing else "ready_for_complete")
    return CheckoutResult(purchase, status, _earliest_expiry(purchase), messages, created)


def _status_messages(purchase: Purchase, now: Instant) -> tuple[Message, ...]:
    """Return messages about a failed payment, ended holds and codes, or about authentication."""
    if purchase.state is not PurchaseState.OPEN:
        return _authentication_message(purchase)
    return (*_failure_message(purchase), *_hold_expired_message(purchase, now), *_rejected_code_messages(purchase))


def not_open_result(purchase: Purchase, now: Instant) -> CheckoutResult:
    """Answer a request to change a purchase that is placed or cancelled: nothing was changed, and why."""
    texts = {
        PurchaseState.PLACED: ("complete_in_progress", "The order is being placed. Nothing was changed."),
        PurchaseState.AWAITING_BUYER: ("complete_in_progress", "The payment waits for the buyer. Nothing was changed."),
        PurchaseState.ON_HOLD: ("complete_in_progress", "The order is on hold for review. Nothing was changed."),
        PurchaseState.PAID: ("already_completed", "The order is paid. Nothing was changed."),
        PurchaseState.CANCELLED: ("already_canceled", "This purchase was canceled. Nothing was changed."),
    }
    code, content = texts[purchase.state]
    return current_result(purchase, now, Message(code, content))


def _earliest_expiry(purchase: Purchase) -> Instant | None:
    if purchase.state is not PurchaseState.OPEN:
        return None
    expiries = [hold.expires_at for line in purchase.lines for hold in line.holds]
    return min(expiries) * SECOND if expiries else None


def missing_fields(purchase: Purchase) -> tuple[Message, ...]:
    """Return a message for each field that an open purchase needs before the order can be placed."""
    if purchase.state is not PurchaseState.OPEN:
        return ()

    def missing(path: str, content: str) -> Message:
        return Message("missing", content, path=path)

    found = []
    if not purchase.lines:
        found.append(missing("$.line_items", "The purchase needs at least one line."))
    if purchase.email is None:
        found.append(missing("$.buyer.email", "The buyer's e-mail address is needed for the confirmation."))
    destination, where = purchase.destination, "$.fulfillment.methods[0].destinations[0]"
    if destination is None:
        found.append(missing("$.fulfillment.methods", "A shipping destination is needed."))
    else:
        if not destination.address_country:
            found.append(missing(f"{where}.address_country", "The destination's country is needed."))
        if not destination.street_address:
            found.append(missing(f"{where}.street_address", "The destination's street address is needed."))
        if destination.address_country and purchase.shipping_option is None:
            content = f"The shop has no delivery price in {purchase.currency} to this country."
            found.append(Message("address_undeliverable", content, path=f"{where}.address_country"))
    return tuple(found)


def _authentication_message(purchase: Purchase) -> tuple[Message, ...]:
    """Ask the buyer to authenticate while the payment waits for that."""
    if (
        purchase.state is not PurchaseState.AWAITING_BUYER
        or purchase.payment is None
        or purchase.payment.deadline is None
    ):
        return ()
    content = "The buyer must confirm this payment at `continue_url`. The units are held until `answer_by`."
    extra = {"answer_by": rfc3339(purchase.payment.deadline)}
    return (Message("authentication_required", content, severity="requires_buyer_review", extra=extra),)


def _failure_message(purchase: Purchase) -> tuple[Message, ...]:
    failure = purchase.payment.failure if purchase.payment else None
    if failure is None:
        return ()
    if failure == "out_of_stock":
        content = "Units, or the budget of a discount, were gone before the order was placed. Nothing was charged."
        return (Message("out_of_stock", content),)
    content = _FAILED_PAYMENTS.get(failure, f"The payment failed ({failure}). {_NOTHING_CHARGED}")
    return (Message("payment_failed", content, path="$.payment.instruments[0]", extra={"reason": failure}),)


_NOTHING_CHARGED: Final = "Nothing was charged. Try again or pay another way."
_FAILED_PAYMENTS: Final = {
    NOT_PROVED: "The card could not confirm its holder, and nothing was charged. Use another card.",
    "payment_timed_out": "The payment provider did not confirm in time, and nothing was charged. "
    "Try again or pay another way.",
    "captured_amount_differs": "The provider took another amount than the total, and it is refunded. "
    "Try again or pay another way.",
    "return_refused": "The provider took another amount than the total and refuses to refund it. "
    "The seller must settle it.",
}
"""The sentence for the buyer, by failure. The product gives these failures; the provider gives the others."""


# UCP's codes for rejected discounts (discount extension, "Rejected Codes"). The field `reason` has our own, finer code.
_REJECTIONS = {
    RejectionReason.UNKNOWN: ("discount_code_invalid", "No discount has this code."),
    RejectionReason.NOT_STARTED: ("discount_code_invalid", "This code is not valid yet."),
    RejectionReason.ENDED: ("discount_code_expired", "This code has expired."),
    RejectionReason.USED_UP: (
        "discount_code_expired",
        "This code is used up, or its last uses are reserved for orders that are being placed.",
    ),
    RejectionReason.LIMIT: ("discount_code_user_ineligible", "This buyer has used the code as often as allowed."),
    RejectionReason.OTHER_ITEMS: ("discount_code_user_ineligible", "This code is not for these items."),
    RejectionReason.BELOW_MINIMUM: (
        "discount_code_user_ineligible",
        "The items cost less than this code requires.",
    ),
    RejectionReason.NOT_COMBINABLE: (
        "discount_code_combination_disallowed",
        "This code cannot be combined with another discount.",
    ),
}


def _rejected_code_messages(purchase: Purchase) -> tuple[Message, ...]:
    """Return a warning for each of the buyer's codes that does not apply."""
    found, before = [], set[str]()
    for index, text in enumerate(purchase.discount_codes):
        path, code = f"$.discounts.codes[{index}]", normalise_code(text) or text
        if code in before:
            content = "This code is there twice."
            found.append(Message("discount_code_already_applied", content, path=path, type="warning"))
        elif code in purchase.rejected_codes:
            message_code, content = _REJECTIONS[RejectionReason(purchase.rejected_codes[code])]
            extra = {"reason": purchase.rejected_codes[code]}
            found.append(Message(message_code, content, path=path, type="warning", extra=extra))
        before.add(code)
    return tuple(found)


def _hold_expired_message(purchase: Purchase, now: Instant) -> tuple[Message, ...]:
    expiry = _earliest_expiry(purchase)
    if expiry is None or expiry > now:
        return ()
    content = f"The hold ended at {rfc3339(expiry)}. Other buyers can take the units until the order is placed."
    return (Message("hold_lapsed", content, type="warning"),)
