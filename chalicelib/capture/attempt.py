"""One attempt to pay for a purchase: its possible outcomes, and what all of its steps share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from chalicelib.errors import InvariantBroken, WriteConflict
from chalicelib.instants import DAY, SECOND, Instant
from chalicelib.payments import Authorisation, Captured
from chalicelib.purchase import SETTLE_PERIOD, CheckoutContext, Payment, Purchase, Refused, next_version


@dataclass(frozen=True, slots=True)
class Paid:
    """The order has its stock, and its whole total is captured."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The attempt ended without money and the purchase is open again. ``code`` is the reason."""

    code: str


@dataclass(frozen=True, slots=True)
class PutOnHold:
    """The order is on hold; nothing is captured until an operator releases it."""


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The order's time on hold ended, so the worker cancelled it."""


@dataclass(frozen=True, slots=True)
class AwaitingAuthentication:
    """The buyer has to authenticate first. The worker asks the provider again in ``retry_in_seconds``."""

    retry_in_seconds: int


@dataclass(frozen=True, slots=True)
class Superseded:
    """The attempt is no longer the one to pay: it ended before, or there is no such purchase."""


AttemptOutcome = Paid | Failed | PutOnHold | Cancelled | AwaitingAuthentication | Superseded
"""How one run of the capture worker left an attempt."""

MAX_ORDER_HOLD: Final[Instant] = 6 * DAY
"""How long an order may be on hold. A card's authorisation expires at the provider after seven days."""


def payment_of(purchase: Purchase) -> Payment:
    """Return the payment that placing an order has recorded.

    Raises:
        InvariantBroken: the purchase has none.
    """
    if purchase.payment is None:
        raise InvariantBroken("A placed purchase has no payment.")
    return purchase.payment


def save_next_version(context: CheckoutContext, purchase: Purchase, now: Instant, **changes: object) -> Purchase:
    """Write the purchase's next version with these changes, and return it. One write.

    Raises:
        WriteConflict: another worker wrote a version first.
    """
    changed = next_version(purchase, now, **changes)
    if isinstance(context.purchases.replace(changed), Refused):
        raise WriteConflict("Another worker has changed this purchase.")
    return changed


def payment_on_hold(purchase: Purchase, held_by: str, now: Instant) -> Payment:
    """Return the payment of an order on hold: its deadline is shortly before the authorisation expires."""
    deadline = (purchase.placed_at or now) + MAX_ORDER_HOLD
    changes = {"held_by": held_by, "released_by": None, "released_at": None, "deadline": deadline, "failure": None}
    return payment_of(purchase).model_copy(update=changes)


def look_up(
    context: CheckoutContext, purchase: Purchase, provider_id: str | None, now: Instant, since: Instant | None = None
) -> Authorisation | Captured | None:
    """Ask the provider what it has of the purchase's attempt. ``since`` as in :meth:`Gateway.find`.

    Raises:
        OutcomeUnknownError: the provider does not say for certain yet.
        ProviderBusyError: the provider has to be asked later.
    """
    return context.gateway.find(
        purchase.id, purchase.attempt, now=now, provider_id=provider_id, since=since, began_at=purchase.placed_at
    )


def visible_since(purchase: Purchase) -> Instant:
    """Return the instant from which every reader is certain to see this version.

    A write can land up to one settle period after ``updated_at``.
    """
    return purchase.updated_at + SETTLE_PERIOD


def seconds_until(instant: Instant, now: Instant) -> int:
    """Return the whole seconds from ``now`` to an instant, rounded up."""
    return (instant - now + SECOND - 1) // SECOND
