"""Limits per buyer across purchases: count units and uses of codes before an order is placed, in one write each.

An entry is removed only when it no longer counts, and only where the limit would leave no room otherwise.
No removal can take an entry from a completion that relies on it:

- A recent entry of a purchase that can still be placed counts, whatever the purchase looks like.
- A completion that finds its own older entry writes it again, so that it is recent.
- A removal compares the whole usage before it writes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from chalicelib import discounts
from chalicelib.discounts import Discount, limit_key
from chalicelib.errors import WriteConflict
from chalicelib.ids import buyer_hash
from chalicelib.instants import CLOCK_SKEW_SECONDS, SECOND, Instant, UnixSeconds
from chalicelib.purchase import (
    SETTLE_PERIOD,
    CheckoutContext,
    LimitEntry,
    LimitUsage,
    Line,
    Message,
    Purchase,
    PurchaseState,
    Refused,
    Written,
    changed_meanwhile,
    restocked_units,
)

_TRIES: Final = 10
"""Writes to try: each refusal means that another write for the same buyer landed."""


@dataclass(frozen=True, slots=True)
class MayStillHave:
    """The limit leaves fewer units than were to be counted."""

    units: int


def count_against_limit(context: CheckoutContext, placed: Purchase, now: Instant) -> Message | None:
    """Count every limited line for the buyer, before the purchase is placed. Return a message where one exceeds.

    Costs 1 WCU a limited line; 2 WCU where the buyer has other purchases of the drop, or retries after a decline.
    Where the limit leaves no room, 1 RCU for each of those purchases. A crash afterwards leaves an entry, which counts
    until its request is over.
    """
    for index, line in enumerate(placed.lines):
        if line.limit_per_buyer is None:
            continue
        answer = _count(context, placed, line.drop_id, line.quantity, line.limit_per_buyer, now // SECOND)
        if isinstance(answer, MayStillHave):
            left = answer.units
            content = f"At most {line.limit_per_buyer} of this a buyer, all orders together; {left} may still be had."
            extra = {"limit_per_buyer": line.limit_per_buyer, "may_still_have": left}
            return Message("limit_exceeded", content, path=f"$.line_items[{index}].quantity", extra=extra)
    return None


def count_discount_use(context: CheckoutContext, placed: Purchase, discount: Discount, now: Instant) -> bool:
    """Count one use of a discount for the buyer, as one unit of a limited line. False when the limit is reached."""
    limit = discount.limit_per_buyer
    if limit is None:
        return True
    return isinstance(_count(context, placed, limit_key(discount.code), 1, limit, now // SECOND), Written)


def _count(
    context: CheckoutContext, placed: Purchase, limit_key: str, units: int, limit: int, now: UnixSeconds
) -> Written | MayStillHave:
    """Count units of a drop, or a use of a discount, for the buyer of ``placed``."""
    buyer = buyer_hash(context.id_key, placed.email or "")
    entry = LimitEntry(units, placed.version, now)
    usage: LimitUsage = {}
    for _ in range(_TRIES):
        answer = _count_once(context, (buyer, limit_key), placed.id, usage, entry, limit)
        if not isinstance(answer, Refused):
            return answer
        usage = answer.existing
    raise WriteConflict("Many orders of this buyer are being placed at once. Try again.")


def _count_once(
    context: CheckoutContext,
    key: tuple[str, str],
    purchase_id: str,
    usage: LimitUsage,
    entry: LimitEntry,
    limit: int,
) -> Written | MayStillHave | Refused[LimitUsage]:
    """Count ``entry`` over ``usage``, which is what the last refused write found. The first try expects nothing."""
    if not usage:
        return context.limits.create(*key, purchase_id, entry)
    own_entry, now = usage.get(purchase_id), entry.counted_at
    if own_entry is not None and own_entry.version > entry.version:
        raise changed_meanwhile()
    if own_entry is not None and own_entry.version == entry.version and _is_recent(own_entry, now):
        return Written()
    others = {purchase: counted for purchase, counted in usage.items() if purchase != purchase_id}
    if entry.units <= limit - _counted_units(others):
        return context.limits.put_entry(*key, purchase_id, entry, own_entry, limit)
    live = _live_entries(context, *key, others, now)
    left = limit - _counted_units(live)
    if entry.units > left:
        return MayStillHave(max(left, 0))
    return context.limits.compare_and_set(*key, usage, {**live, purchase_id: entry}, now)


def _is_recent(entry: LimitEntry, now: UnixSeconds) -> bool:
    return now <= entry.counted_at + SETTLE_PERIOD // SECOND


def _counted_units(usage: LimitUsage) -> int:
    return sum(entry.units for entry in usage.values())


def _live_entries(
    context: CheckoutContext, buyer: str, limit_key: str, usage: LimitUsage, now: UnixSeconds
) -> LimitUsage:
    """Return the entries that still count, each with the units that still count. Reads their purchases."""
    purchases = context.purchases.read_all(usage)
    live = {}
    for purchase_id, entry in usage.items():
        purchase = purchases.get(purchase_id)
        units = (
            entry.units if purchase is None else _units_still_counted(context, purchase, buyer, limit_key, entry, now)
        )
        if units:
            live[purchase_id] = replace(entry, units=units)
    return live


def _units_still_counted(
    context: CheckoutContext, purchase: Purchase, buyer: str, limit_key: str, entry: LimitEntry, now: UnixSeconds
) -> int:
    """Return the units of an entry that its purchase has, or that a pending request may still place it with."""
    if purchase.state is PurchaseState.CANCELLED:
        return 0
    request_is_over = entry.counted_at + 2 * SETTLE_PERIOD // SECOND + CLOCK_SKEW_SECONDS < now
    if not request_is_over and purchase.state is not PurchaseState.PAID:
        return entry.units
    if purchase.email is not None and buyer_hash(context.id_key, purchase.email) != buyer:
        return 0
    if any(discounts.limit_key(applied.code) == limit_key for applied in purchase.discounts):
        return 0 if purchase.state is PurchaseState.OPEN else entry.units
    line = next((line for line in purchase.lines if line.drop_id == limit_key), None)
    if line is None or (purchase.state is PurchaseState.OPEN and _holds_have_expired(line, now)):
        return 0
    return min(entry.units, line.quantity - restocked_units(purchase, line.id))


def _holds_have_expired(line: Line, now: UnixSeconds) -> bool:
    return all(hold.expires_at + CLOCK_SKEW_SECONDS < now for hold in line.holds)
