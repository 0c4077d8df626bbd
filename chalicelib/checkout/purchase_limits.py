"""Limits per buyer, across purchases: units, and uses of codes, are counted before the freeze, in one write each.

Only what is dead is forgotten, and only where there would be no room otherwise. An entry that a completion relies on
is never forgotten under it: a young entry of a purchase that can still be placed stands whatever the purchase looks
like, a completion makes an entry that is no longer young young again, and what is forgotten is compared whole.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from chalicelib import discounts
from chalicelib.discounts import Discount, limit_key
from chalicelib.errors import Conflict, WriteConflict
from chalicelib.ids import buyer_hash
from chalicelib.instants import SECOND, Instant, UnixSeconds
from chalicelib.purchase import CheckoutContext, LimitEntry, LimitUsage, Line, Message, Purchase, PurchaseState

REQUEST_LIFETIME_SECONDS: Final = 60
"""Longer than any function and its SDK's calls live, as a fence is: a completion that began is over by then."""

CLOCK_SKEW_SECONDS: Final = 2

_TRIES: Final = 10
"""Writes before the buyer's tally is called contended: each refusal means that another write of theirs landed."""


def count_against_limit(context: CheckoutContext, placed: Purchase, now: Instant) -> Message | None:
    """Count every limited line for the buyer before ``frozen`` is written. A refusal says how many may still be had.

    Costs 1 WCU a limited line; 2 where the buyer has other purchases of the drop, or comes again after a decline;
    where there is no room, 1 RCU for each of those. Dying afterwards leaves an entry that counts until it is dead.
    """
    for index, line in enumerate(placed.lines):
        if line.limit_per_buyer is None:
            continue
        left = _count(context, placed, line.drop_id, line.quantity, line.limit_per_buyer, now // SECOND)
        if left is not None:
            content = f"At most {line.limit_per_buyer} of this a buyer, all orders together; {left} may still be had."
            extra = {"limit_per_buyer": line.limit_per_buyer, "may_still_have": left}
            return Message("limit_exceeded", content, path=f"$.line_items[{index}].quantity", extra=extra)
    return None


def count_discount_use(context: CheckoutContext, placed: Purchase, discount: Discount, now: Instant) -> bool:
    """Count one use of a discount for the buyer, as a unit of a limited line is. False: they have had enough of it."""
    limit = discount.limit_per_buyer
    return limit is None or _count(context, placed, limit_key(discount.code), 1, limit, now // SECOND) is None


def _count(
    context: CheckoutContext, placed: Purchase, limit_key: str, units: int, limit: int, now: UnixSeconds
) -> int | None:
    """None when units of a drop, or a use of a discount, are counted; else how many this purchase could have."""
    buyer = buyer_hash(context.id_key, placed.email or "")
    entry = LimitEntry(units, placed.version, now)
    existing: LimitUsage | None = {}
    for _ in range(_TRIES):
        if not existing:
            existing = context.limits.create(buyer, limit_key, placed.id, entry)
        else:
            own_entry = existing.get(placed.id)
            if own_entry is not None and own_entry.version > entry.version:
                raise Conflict("The purchase was changed by another request meanwhile; read it.", code="changed")
            if (
                own_entry is not None
                and own_entry.version == entry.version
                and now <= own_entry.counted_at + REQUEST_LIFETIME_SECONDS
            ):
                return None
            others = {one: counted for one, counted in existing.items() if one != placed.id}
            if entry.units <= limit - _counted_units(others):
                existing = context.limits.put_entry(buyer, limit_key, placed.id, entry, own_entry, limit)
            else:
                others = _live_entries(context, buyer, limit_key, others, now)
                left = limit - _counted_units(others)
                if entry.units > left:
                    return max(left, 0)
                existing = context.limits.compare_and_set(buyer, limit_key, existing, {**others, placed.id: entry}, now)
        if existing is None:
            return None
    raise WriteConflict("Many orders of this buyer are being placed at once.")


def _counted_units(usage: LimitUsage) -> int:
    return sum(entry.units for entry in usage.values())


def _live_entries(
    context: CheckoutContext, buyer: str, limit_key: str, usage: LimitUsage, now: UnixSeconds
) -> LimitUsage:
    """The entries that still count, with the units that still do."""
    purchases = context.purchases.read_all(usage)
    live = {}
    for one, entry in usage.items():
        purchase = purchases.get(one)
        units = (
            entry.units if purchase is None else _units_still_counted(context, purchase, buyer, limit_key, entry, now)
        )
        if units:
            live[one] = replace(entry, units=units)
    return live


def _units_still_counted(
    context: CheckoutContext, purchase: Purchase, buyer: str, limit_key: str, entry: LimitEntry, now: UnixSeconds
) -> int:
    """How many of an entry's units its purchase has, or may still be placed with by a request that is under way."""
    if purchase.state is PurchaseState.CANCELLED:
        return 0
    request_is_over = entry.counted_at + 2 * REQUEST_LIFETIME_SECONDS + CLOCK_SKEW_SECONDS < now
    if not request_is_over and purchase.state is not PurchaseState.PAID:
        return entry.units
    if purchase.email is not None and buyer_hash(context.id_key, purchase.email) != buyer:
        return 0
    if any(discounts.limit_key(one.code) == limit_key for one in purchase.discounts):
        return 0 if purchase.state is PurchaseState.OPEN else entry.units
    line = next((line for line in purchase.lines if line.drop_id == limit_key), None)
    if line is None or (purchase.state is PurchaseState.OPEN and _holds_have_expired(line, now)):
        return 0
    return min(entry.units, line.quantity - _restocked_units(purchase, line))


def _holds_have_expired(line: Line, now: UnixSeconds) -> bool:
    return all(hold.expires_at + CLOCK_SKEW_SECONDS < now for hold in line.holds)


def _restocked_units(purchase: Purchase, line: Line) -> int:
    """Units that refunds have put back into stock. What was refunded without that, the buyer still has."""
    parts = [part for one in purchase.refunds if one.restocked for part in one.lines]
    return sum(part.quantity for part in parts if part.line_id == line.id)
