"""Payment velocity: refuse attempts after too many declines, and ask for 3-D Secure in a drop under attack.

A refusal comes before anything is held. The capture worker counts a decline when an attempt ends without money, so a
successful purchase costs no write here.
"""

from __future__ import annotations

from typing import Final

from chalicelib.ids import log_reference
from chalicelib.instants import Instant
from chalicelib.payments import Declined, reusable_instrument
from chalicelib.purchase import CheckoutContext, Destination, Message, Purchase
from chalicelib.risk import VelocityKey, VelocityKind, velocity_key
from chalicelib.telemetry import count

MAX_DROPS: Final = 5
"""The first drops of a purchase: its declines count for these, and their step-up applies to it."""
_REFUSAL_METRICS: Final = {
    VelocityKind.INSTRUMENT: "attempts_refused_instrument",
    VelocityKind.EMAIL: "attempts_refused_email",
    VelocityKind.ADDRESS: "attempts_refused_address",
}
_NOT_COUNTED_CODES: Final = frozenset({"voided", "attempt_expired", "amount_too_small", "amount_too_large"})


def velocity_keys_of(context: CheckoutContext, purchase: Purchase, token: str) -> tuple[VelocityKey, ...]:
    """Return the keys that a decline would count for: instrument, e-mail and address, where the shop limits them."""
    texts = {
        VelocityKind.INSTRUMENT: reusable_instrument(context.gateway.name, token),
        VelocityKind.EMAIL: (purchase.email or "").strip().casefold(),
        VelocityKind.ADDRESS: _normalised_address(purchase.destination),
    }
    limits = context.risk.rules.limits
    return tuple(
        velocity_key(context.id_key, kind, text) for kind, text in texts.items() if text and limits.limit_of(kind)
    )


def _normalised_address(destination: Destination | None) -> str | None:
    """Return street, post code (or town) and country, reduced to letters and digits.

    The flat is left out: anybody can invent one.
    """
    if destination is None or not destination.street_address:
        return None
    town = destination.postal_code or destination.address_locality
    parts = (destination.street_address, town, destination.address_country)
    return "\0".join("".join(filter(str.isalnum, (part or "").casefold())) for part in parts)


def velocity_refusal(context: CheckoutContext, velocity_keys: tuple[VelocityKey, ...], now: Instant) -> Message | None:
    """Return why no further attempt is allowed yet; None when one is. One eventually consistent read."""
    exceeded = context.risk.check_velocity(velocity_keys, now, strong=False)
    if exceeded is None:
        return None
    count(_REFUSAL_METRICS[exceeded.kind])
    content = "Too many payments were declined. Nothing was charged. Try again later."
    extra = {"retry_after_ms": exceeded.retry_after}
    return Message("too_many_attempts", content, path="$.payment.instruments[0]", extra=extra)


def exceeds_velocity_limit(context: CheckoutContext, purchase: Purchase, now: Instant) -> bool:
    """Return whether declines that other workers counted meanwhile forbid this attempt. One consistent read.

    An attempt that the provider knows already is never stopped: the worker brings it to its end.
    """
    payment = purchase.payment
    if payment is None:
        return False
    attempt = _attempt_reference(purchase)
    exceeded = context.risk.check_velocity(payment.velocity_keys, now, strong=True, attempt=attempt)
    if exceeded is None:
        return False
    if context.gateway.find(purchase.id, purchase.attempt, now=now, provider_id=payment.provider_id) is not None:
        return False
    count(_REFUSAL_METRICS[exceeded.kind])
    return True


def is_by_provider(declined: Declined) -> bool:
    """Return whether the provider declined the buyer's payment.

    The provider also answers *declined* to an attempt that we voided or sent too late, and to an amount outside its
    bounds. It also refuses requests for the shop's own faults. Those do not count.
    """
    return not declined.refused and declined.code not in _NOT_COUNTED_CODES


def record_decline(context: CheckoutContext, purchase: Purchase, now: Instant) -> None:
    """Count a decline for instrument, e-mail and address, before the attempt is ended. Repeatable."""
    if purchase.payment is not None:
        context.risk.note_decline(purchase.payment.velocity_keys, _attempt_reference(purchase), now)


def record_decline_of_drops(context: CheckoutContext, purchase: Purchase, now: Instant) -> None:
    """Count a decline for its drops, after the attempt was ended. A crash in between counts nothing."""
    for line in purchase.lines[:MAX_DROPS]:
        context.risk.note_decline_of_drop(line.drop_id, _attempt_reference(purchase), line.quantity, now)


def step_up_for(context: CheckoutContext, purchase: Purchase, now: Instant) -> bool:
    """Return whether the buyer must authenticate because a drop is under attack. At most one second old."""
    return any(context.risk.requires_step_up(line.drop_id, now) for line in purchase.lines[:MAX_DROPS])


def _attempt_reference(purchase: Purchase) -> str:
    return f"{log_reference(purchase.id)}.{purchase.attempt}"
