"""Payment instruments: which card a token is, what the card does, and how often the token works.

``pm_card_visa`` and its like work for ever, as in Stripe's test mode. A suffix makes an instrument of its own,
``pm_card_visa_7``, that works once (X2). Each ``ctoken_visa`` or ``ctoken_visa_7`` works once and expires (X3).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from tests.doubles.stripe.answers import refusal
from tests.doubles.stripe.clock import SECOND
from tests.doubles.stripe.state import Record, State


@dataclass(frozen=True)
class Card:
    """A card, by how the bank and the networks treat it."""

    name: str
    brand: str = "visa"
    decline: str | None = None
    """The row of the table with which a confirmation is declined."""
    challenge: Literal["when asked", "always", "unsupported"] = "when asked"
    """Whether the buyer is asked to authenticate. Unsupported: a request for it is passed over (P12, D)."""
    proof: str | None = None
    """The outcome in the charge of a card that is not asked although the shop requested it (P12, D)."""
    soft_decline: bool = False
    """Whether the bank declines what is not authenticated (E2, D)."""
    review: bool = False
    dispute: Literal["chargeback", "inquiry"] | None = None
    """The dispute that the buyer opens a day after the capture."""
    early_warning: bool = False
    refund: Literal["as usual", "fails", "fails later", "stays pending", "requires action"] = "as usual"
    capture: Literal["succeeds", "declined", "processing", "fails later"] = "succeeds"


_PROOFS: Final = {
    "Authenticated": "authenticated",
    "Acknowledged": "attempt_acknowledged",
    "Exempted": "exempted",
    "Failed": "failed",
    "NotSupported": "not_supported",
    "Broken": "processing_error",
}
"""Every outcome of 3-D Secure that Stripe documents, by the end of the card's name."""

CARDS: Final = {
    card.name: card
    for card in (
        Card("visa"),
        Card("mastercard", "mastercard"),
        Card("amex", "amex"),
        Card("chargeDeclined", decline="generic_decline"),
        Card("chargeDeclinedInsufficientFunds", decline="insufficient_funds"),
        Card("chargeDeclinedLostCard", decline="lost_card"),
        Card("chargeDeclinedStolenCard", decline="stolen_card"),
        Card("chargeDeclinedExpiredCard", decline="expired_card"),
        Card("chargeDeclinedIncorrectCvc", decline="incorrect_cvc"),
        Card("chargeDeclinedIncorrectNumber", decline="incorrect_number"),
        Card("chargeDeclinedIncorrectZip", decline="incorrect_zip"),
        Card("chargeDeclinedInvalidCvc", decline="invalid_cvc"),
        Card("chargeDeclinedProcessingError", decline="processing_error"),
        Card("chargeDeclinedVelocityLimitExceeded", decline="card_velocity_exceeded"),
        Card("chargeDeclinedDoNotHonor", decline="do_not_honor"),
        Card("chargeDeclinedIssuerNotAvailable", decline="issuer_not_available"),
        Card("chargeDeclinedRateLimit", decline="card_decline_rate_limit_exceeded"),
        Card("radarBlock", decline="fraudulent"),
        Card("authenticationRequired", challenge="always"),
        Card("authenticationNotSupported", challenge="unsupported"),
        *(Card(f"proof{name}", challenge="unsupported", proof=proof) for name, proof in _PROOFS.items()),
        Card("softDecline", soft_decline=True),
        Card("review", review=True),
        Card("createDispute", dispute="chargeback"),
        Card("createDisputeInquiry", dispute="inquiry"),
        Card("earlyFraudWarning", early_warning=True),
        Card("refundFail", refund="fails later"),
        Card("refundFailAtOnce", refund="fails"),
        Card("pendingRefund", refund="stays pending"),
        Card("refundRequiresAction", refund="requires action"),
        Card("captureDeclined", capture="declined"),
        Card("captureProcessing", capture="processing"),
        Card("captureFailsLater", capture="fails later"),
    )
}
"""Cards by the middle of their tokens. Stripe has tokens of most of these names; the rest are the double's own."""
_TOKEN = re.compile(r"(?:pm_card|ctoken|tok)_([A-Za-z]+)(_[\w-]+)?")
_PARAMETERS: Final = ("payment_method", "confirmation_token")


@dataclass(frozen=True)
class Instrument:
    """A card by which a request pays, its token, and the payment method in the intent."""

    card: Card
    token: Record
    """The payment method or the confirmation token."""
    payment_method: str


def resolve(state: State, sent: Mapping[str, Any], intent: Mapping[str, Any]) -> Instrument | None:
    """Return the instrument in a request, or the intent's own; None when there is none.

    ``intent`` holds what the payment is to be: amount, currency, capture method and payment method types.
    """
    sent = _with_wallet_token(sent)
    given = [name for name in _PARAMETERS if sent.get(name)]
    if len(given) > 1:
        raise refusal("parameters_exclusive", message="You may only specify one of these parameters.")
    name = str(sent[given[0]]) if given else intent.get("payment_method")
    if not name:
        return None
    token = find_token(state, name)
    if token is None:
        is_method = given != ["confirmation_token"]
        raise refusal("unknown_payment_method" if is_method else "unknown_token", message=f"No such token: '{name}'")
    if (token["object"] == "confirmation_token") != (given == ["confirmation_token"]):
        raise refusal("unknown_payment_method" if token["object"] != "payment_method" else "unknown_token")
    if given:
        _check_usable(state, token, intent)
    return Instrument(CARDS[token["_card"]], token, token.get("_payment_method") or token["id"])


def _with_wallet_token(sent: Mapping[str, Any]) -> Mapping[str, Any]:
    """Read the token of Google Pay or Apple Pay, which is no payment method but makes one (X5, O)."""
    if str(sent.get("payment_method", "")).startswith("tok_"):
        raise refusal("unknown_payment_method", message=f"No such PaymentMethod: '{sent['payment_method']}'")
    token = sent.get("payment_method_data", {}).get("card", {}).get("token")
    return {**sent, "payment_method": token} if token and token.startswith("tok_") else sent


def find_token(state: State, name: str) -> Record | None:
    """Return a token, and make it at its first mention; None for a token of no card."""
    known = state.find(name)
    if known is not None and known["object"] in _PARAMETERS:
        return known
    found = _TOKEN.fullmatch(name)
    if found is None or found[1] not in CARDS:
        return None
    if name.startswith("tok_"):
        return make_payment_method(state, found[1])
    if name.startswith("ctoken_"):
        return make_confirmation_token(state, found[1], name=name)
    return make_payment_method(state, found[1], name=name, reusable=found[2] is None)


def make_payment_method(
    state: State, card: str, *, name: str | None = None, reusable: bool = False, customer: str | None = None
) -> Record:
    """Make a payment method. It works once, unless it is attached to a customer (X2, D)."""
    record = {
        "id": name or state.new_id("payment_method"),
        "object": "payment_method",
        "created": state.seconds,
        "customer": customer,
        "livemode": state.behaviour.livemode,
        "metadata": {},
        "type": "card",
        "billing_details": {"address": None, "email": None, "name": None, "phone": None},
        "card": _card_details(CARDS[card]),
        "_card": card,
        "_reusable": reusable or customer is not None,
        "_used_by": None,
    }
    return state.put(record)


def make_confirmation_token(state: State, card: str, *, name: str | None = None, **mounted: Any) -> Record:
    """Make a confirmation token. ``mounted``: what the payment element was mounted with (X4, E9, O)."""
    method = make_payment_method(state, card)
    record = {
        "id": name or state.new_id("confirmation_token"),
        "object": "confirmation_token",
        "created": state.seconds,
        "expires_at": (state.now + state.behaviour.token_expires) // SECOND,
        "livemode": state.behaviour.livemode,
        "mandate_data": None,
        "metadata": None,
        "payment_intent": None,
        "payment_method_options": None,
        "payment_method_preview": {"type": "card", "card": method["card"], "billing_details": {}, "customer": None},
        "return_url": mounted.pop("return_url", None),
        "setup_future_usage": None,
        "setup_intent": None,
        "shipping": None,
        "use_stripe_sdk": mounted.pop("use_stripe_sdk", True),
        "_card": card,
        "_payment_method": method["id"],
        "_mounted": mounted,
        "_reusable": False,
        "_used_by": None,
    }
    return state.put(record)


def use(state: State, instrument: Instrument, intent: str, *, declined: bool) -> None:
    """Note that an instrument was used for an intent."""
    token = state.get(instrument.token["id"])
    if token["object"] == "confirmation_token":
        state.change(token, payment_intent=intent, _used_by=intent)
    elif not declined or state.behaviour.declined_payment_method_is_used:
        state.change(token, _used_by=intent)


def _check_usable(state: State, token: Record, intent: Mapping[str, Any]) -> None:
    one_time = state.behaviour.one_time_tokens and not token["_reusable"]
    if token["object"] == "payment_method":
        if token["customer"] != intent.get("customer") and token["customer"] is not None:
            raise refusal("used_payment_method", message="The payment method belongs to another customer.")
        if one_time and token["_used_by"]:
            raise refusal("used_payment_method", message=_USED_BEFORE[state.behaviour.used_payment_method_message])
        return
    if one_time and token["_used_by"]:
        message = f"This ConfirmationToken was already used with PaymentIntent {token['_used_by']}."
        raise refusal("used_token", message=message, param=state.behaviour.used_token_param)
    if one_time and token["expires_at"] <= state.seconds:
        raise refusal("expired_token", message="This ConfirmationToken has expired.")
    for name, value in token["_mounted"].items():
        if intent.get(name) != value:
            message = f"The `{name}` of the ConfirmationToken does not match the PaymentIntent."
            raise refusal("token_mismatch", message=message, param=name)


_USED_BEFORE: Final = {
    "2023": "The provided PaymentMethod was previously used with a PaymentIntent without Customer attachment, shared"
    " with a connected account without Customer attachment, or was detached from a Customer.",
    "2026": "This PaymentMethod was used before without a Customer and may not be used again.",
}


def _card_details(card: Card) -> dict[str, Any]:
    return {
        "brand": card.brand,
        "country": "GB",
        "exp_month": 12,
        "exp_year": 2034,
        "fingerprint": f"fp_{card.name}",
        "funding": "credit",
        "last4": "4242",
        "three_d_secure_usage": {"supported": card.challenge != "unsupported"},
        "wallet": None,
    }
