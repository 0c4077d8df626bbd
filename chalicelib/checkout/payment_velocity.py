"""Declines: who tried too often is refused before anything is taken, and a drop under attack asks for 3-D Secure.

Nothing is written where all goes well: declines are counted by the worker, as an attempt ends without money.
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
"""Drops of a purchase, its first ones, that its declines count for and whose step-up it heeds."""
_REFUSAL_METRICS: Final = {
    VelocityKind.INSTRUMENT: "attempts_refused_instrument",
    VelocityKind.EMAIL: "attempts_refused_email",
    VelocityKind.ADDRESS: "attempts_refused_address",
}
_NOT_COUNTED_CODES: Final = frozenset({"voided", "attempt_expired", "amount_too_small", "amount_too_large"})


def velocity_keys_of(context: CheckoutContext, purchase: Purchase, token: str) -> tuple[VelocityKey, ...]:
    """What a declined attempt would be counted by: instrument, e-mail and address, as far as the shop limits them."""
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
    """Street, post code (else town) and country, by letters and digits alone. The flat is left out: it costs nothing to
    make one up."""
    if destination is None or not destination.street_address:
        return None
    town = destination.postal_code or destination.address_locality
    parts = (destination.street_address, town, destination.address_country)
    return "\0".join("".join(filter(str.isalnum, (part or "").casefold())) for part in parts)


def velocity_refusal(context: CheckoutContext, velocity_keys: tuple[VelocityKey, ...], now: Instant) -> Message | None:
    """Why another attempt is not made yet; None when it may be. One read, no write."""
    exceeded = context.risk.check_velocity(velocity_keys, now, strong=False)
    if exceeded is None:
        return None
    count(_REFUSAL_METRICS[exceeded.kind])
    content = "Too many payments were declined; nothing was charged. Try again later."
    extra = {"retry_after_ms": exceeded.retry_after}
    return Message("too_many_attempts", content, path="$.payment.instruments[0]", extra=extra)


def exceeds_velocity_limit(context: CheckoutContext, purchase: Purchase, now: Instant) -> bool:
    """Whether an attempt that is about to be made is one too many, by what other workers have counted meanwhile.

    An attempt that the provider knows is none to be stopped: it is brought to its end. One strong read.
    """
    payment = purchase.payment
    exceeded = context.risk.check_velocity(payment.velocity_keys, now, strong=True) if payment else None
    if payment is None or exceeded is None:
        return False
    if context.gateway.find(purchase.id, purchase.attempt, now=now, provider_id=payment.provider_id) is not None:
        return False
    count(_REFUSAL_METRICS[exceeded.kind])
    return True


def is_by_provider(declined: Declined) -> bool:
    """Whether the provider declined who pays.

    One that we voided or came too late with is told as declined, too, and so is an amount that no card is charged.
    """
    return declined.code not in _NOT_COUNTED_CODES


def record_decline(context: CheckoutContext, purchase: Purchase, now: Instant) -> None:
    """Count a declined attempt for who tried. Before the attempt is ended; repeatable."""
    if purchase.payment is not None:
        context.risk.note_decline(purchase.payment.velocity_keys, _attempt_reference(purchase), now)


def record_decline_of_drops(context: CheckoutContext, purchase: Purchase, now: Instant) -> None:
    """Count a declined attempt for its drops. After it was ended, by who ended it: dying before, it is not counted."""
    for line in purchase.lines[:MAX_DROPS]:
        context.risk.note_decline_of_drop(line.drop_id, _attempt_reference(purchase), line.quantity, now)


def step_up_for(context: CheckoutContext, purchase: Purchase, now: Instant) -> bool:
    """Whether the buyer is to authenticate, as one of the drops is under attack: as it was at most a second ago."""
    return any(context.risk.requires_step_up(line.drop_id, now) for line in purchase.lines[:MAX_DROPS])


def _attempt_reference(purchase: Purchase) -> str:
    return f"{log_reference(purchase.id)}.{purchase.attempt}"
