"""Translate a payment intent of Stripe into the gateway's results."""

from __future__ import annotations

from typing import Any

import stripe

from chalicelib.payments.gateway import OutcomeUnknownError
from chalicelib.payments.results import ActionRequired, Authorisation, Authorised, Captured, Declined


def attempt_of(intent: Any) -> int | None:
    """Return the attempt in an intent's metadata; None when another system made the intent."""
    attempt = getattr(intent.metadata, "attempt", None)
    return int(attempt) if attempt else None


def to_authorisation(intent: Any) -> Authorisation:
    """Translate an intent that was just confirmed. A header tells whether Stripe repeats an earlier answer."""
    repeated = intent.last_response.headers.get("idempotent-replayed") == "true"
    authorisation = to_uncaptured_status(intent)
    return (
        Authorised(authorisation.provider_id, already_existed=repeated)
        if isinstance(authorisation, Authorised)
        else authorisation
    )


def to_status(intent: Any) -> Authorisation | Captured:
    """Translate an intent that was read with its charge."""
    return to_captured(intent) if intent.status == "succeeded" else to_uncaptured_status(intent)


def to_uncaptured_status(intent: Any) -> Authorisation:
    """Translate an intent that is not captured.

    Raises:
        OutcomeUnknownError: Stripe is still processing it.
    """
    match intent.status:
        case "requires_capture":
            return Authorised(intent.id, already_existed=True)
        case "requires_action":
            return ActionRequired(intent.id, _challenge_url(intent))
        case "canceled":
            return Declined(intent.id, "voided")
        case "processing":
            raise OutcomeUnknownError("Stripe is still processing the payment.")
    error = intent.last_payment_error
    return Declined(intent.id, getattr(error, "decline_code", None) or getattr(error, "code", None) or "card_declined")


def _challenge_url(intent: Any) -> str | None:
    """Return the page where the buyer authenticates; None: the storefront's page does it with Stripe's script."""
    redirect = getattr(intent.next_action, "redirect_to_url", None)
    return redirect.url if redirect else None


def to_captured(intent: Any) -> Captured:
    """Translate a captured intent that was read with its charge and the charge's balance transaction."""
    charge = intent.latest_charge
    return Captured(intent.id, charge.id, charge.balance_transaction.fee if charge.balance_transaction else 0)


def intent_id_in(error: stripe.CardError) -> str | None:
    """Return the id of the intent that a card's error is about."""
    return getattr(getattr(error.error, "payment_intent", None), "id", None)


def decline_code_in(error: stripe.CardError) -> str:
    """Return why a card was declined: the issuer's reason, else Stripe's."""
    return getattr(error.error, "decline_code", None) or error.code or "card_declined"
