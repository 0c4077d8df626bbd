"""Translate payment intents of Stripe into the gateway's results, and recognise those of this shop."""

from __future__ import annotations

from typing import Any, Final

from chalicelib.payments.events import MARK_KEY
from chalicelib.payments.gateway import OutcomeUnknownError
from chalicelib.payments.results import ActionRequired, Authorisation, Authorised, Captured, Declined
from chalicelib.payments.stripe.currencies import balance_amount, received_amount
from chalicelib.payments.stripe.errors import SortedError, is_replayed

WITH_CHARGE: Final[Any] = {"expand": ["latest_charge"]}

_MAX_ATTEMPT_DIGITS: Final = 9

STEP_UP: Final = "challenge"
"""The value of ``request_three_d_secure`` with which an intent is created where the shop requires a step-up."""
PROOFS: Final = {
    "authenticated": True,
    "attempt_acknowledged": False,
    "exempted": False,
    "failed": False,
    "not_supported": False,
    "processing_error": False,
}
"""Whether an outcome of 3-D Secure proves the buyer; any other outcome, or none, proves nothing.

An acknowledged attempt moves the liability to the bank, but nobody was asked. Source:
https://docs.stripe.com/api/charges/object#charge_object-payment_method_details-card-three_d_secure-result
"""


def attempt_in(metadata: Any, mark: str) -> tuple[str, int] | None:
    """Return the purchase and attempt in the metadata of an intent or charge.

    None for a payment of other software on the same account: its metadata lack the mark, and may have any other key.
    """
    if getattr(metadata, MARK_KEY, None) != mark:
        return None
    purchase_id, attempt = getattr(metadata, "purchase", None), getattr(metadata, "attempt", None)
    if not isinstance(purchase_id, str) or not isinstance(attempt, str) or not purchase_id:
        return None
    is_number = attempt.isascii() and attempt.isdecimal() and len(attempt) <= _MAX_ATTEMPT_DIGITS
    return (purchase_id, int(attempt)) if is_number else None


def requires_proof(intent: Any) -> bool:
    """Return whether the shop required a step-up when it created the intent. Nobody can change that afterwards."""
    card = getattr(intent.payment_method_options, "card", None)
    return getattr(card, "request_three_d_secure", None) == STEP_UP


def is_proved(intent: Any) -> bool:
    """Return whether the buyer authenticated, or did not have to. The intent must have been read with its charge."""
    if not requires_proof(intent):
        return True
    details = getattr(intent.latest_charge, "payment_method_details", None)
    proof = getattr(getattr(details, "card", None), "three_d_secure", None)
    return PROOFS.get(getattr(proof, "result", None) or "", False)


def was_replayed(intent: Any) -> bool:
    """Return whether an intent is Stripe's stored answer: a picture of the intent when it was made."""
    return is_replayed(intent.last_response.headers)


def to_status(intent: Any) -> Authorisation | Captured:
    """Translate an intent as it is now. It must have been read with its charge if it was captured or needs proof.

    Raises:
        OutcomeUnknownError: Stripe is still processing it.
    """
    match intent.status:
        case "succeeded":
            return to_captured(intent)
        case "requires_capture":
            return Authorised(intent.id, already_existed=True, proved=is_proved(intent))
        case "requires_action" | "requires_confirmation":
            return ActionRequired(intent.id, _challenge_url(intent))
        case "canceled":
            return Declined(intent.id, "voided")
        case "requires_payment_method":
            error = intent.last_payment_error
            code = getattr(error, "decline_code", None) or getattr(error, "code", None)
            return Declined(intent.id, code or "card_declined")
    raise OutcomeUnknownError("Stripe is still processing the payment.")


def to_captured(intent: Any) -> Captured:
    """Translate a captured intent: what was received, and what of that was refunded since.

    The charge counts a released part of the hold as refunded as well. ``refunded`` leaves that part out.
    """
    charge, currency = intent.latest_charge, intent.currency.upper()
    refunded = 0
    if not isinstance(charge, str):
        released = charge.amount - charge.amount_captured
        refunded = max(0, charge.amount_refunded - released)
    return Captured(
        intent.id,
        charge if isinstance(charge, str) else charge.id,
        amount=received_amount(intent.amount_received, currency),
        refunded=balance_amount(refunded, currency),
    )


def to_declined(answer: SortedError) -> Declined:
    """Translate a refusal of the card. The intent exists even then, and stays without money."""
    return Declined(getattr(answer.intent, "id", None), answer.code)


def _challenge_url(intent: Any) -> str | None:
    """Return the page where the buyer authenticates; None: the storefront's page does it with Stripe's script."""
    redirect = getattr(intent.next_action, "redirect_to_url", None)
    return redirect.url if redirect else None
