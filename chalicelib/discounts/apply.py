"""Which discounts apply to a purchase, and what each takes off its lines: pure arithmetic in minor units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chalicelib.discounts.model import (
    PERMANENT_REJECTIONS,
    ActiveDiscount,
    AppliedDiscount,
    Discount,
    RejectionReason,
    normalise_code,
)
from chalicelib.instants import Instant
from chalicelib.money import share, split

MAX_DISCOUNTS_PER_PURCHASE: Final = 10
"""Discounts of one purchase: they stand in its item."""


@dataclass(frozen=True, slots=True)
class PricingInput:
    """A purchase as discounts see it: its show, its currency, and drop and price of each of its lines.

    ``refused``: what was refused before, by code.
    """

    show_id: str | None
    currency: str
    lines: Sequence[tuple[str, int]]
    rejected_codes: Mapping[str, str]


def apply_discounts(
    pricing: PricingInput, codes: Mapping[str, ActiveDiscount | None], automatic: Sequence[ActiveDiscount], now: Instant
) -> tuple[tuple[AppliedDiscount, ...], dict[str, str]]:
    """The discounts that apply, and why other codes do not.

    By priority, codes before automatic offers where that is equal; each on what the ones before it have left. One that
    is not combinable applies alone, or not at all. No line comes to less than nothing.
    """
    permanent = {code: reason for code, reason in pricing.rejected_codes.items() if reason in PERMANENT_REJECTIONS}
    rejected = dict(permanent)
    for text, active in codes.items():
        if active is None:
            rejected[normalise_code(text) or text] = RejectionReason.UNKNOWN
    candidates = {one.discount.code: one.discount for one in (*codes.values(), *automatic) if one is not None}
    remaining, chosen, results = [price for _, price in pricing.lines], list[Discount](), list[AppliedDiscount]()
    for discount in sorted(candidates.values(), key=lambda one: (one.priority, one.automatic, one.code)):
        if discount.code in permanent:
            continue
        reason = _rejection_of(discount, pricing, now) or _combination_rejection(discount, chosen)
        if reason is not None:
            if not discount.automatic:
                rejected[discount.code] = reason
            continue
        parts = _split_over_lines(discount, pricing.lines, remaining)
        if not any(parts):
            rejected |= {} if discount.automatic else {discount.code: RejectionReason.OTHER_GOODS}
            continue
        remaining = [price - part for price, part in zip(remaining, parts, strict=True)]
        chosen.append(discount)
        about = {"automatic": discount.automatic, "priority": discount.priority}
        results.append(AppliedDiscount(code=discount.code, title=discount.title, parts=tuple(parts), **about))
    return tuple(results), rejected


def _rejection_of(discount: Discount, pricing: PricingInput, now: Instant) -> RejectionReason | None:
    if discount.starts_at is not None and now < discount.starts_at:
        return RejectionReason.NOT_STARTED
    if discount.ends_at is not None and now >= discount.ends_at:
        return RejectionReason.ENDED
    elsewhere = discount.show_id not in (None, pricing.show_id) or discount.currency not in (None, pricing.currency)
    eligible = [price for drop_id, price in pricing.lines if _applies_to(discount, drop_id)]
    if elsewhere or not eligible:
        return RejectionReason.OTHER_GOODS
    if discount.minimum_subtotal is not None and sum(eligible) < discount.minimum_subtotal:
        return RejectionReason.BELOW_MINIMUM
    return None


def _combination_rejection(discount: Discount, chosen: Sequence[Discount]) -> RejectionReason | None:
    combinable = all(one.combinable for one in (discount, *chosen)) and len(chosen) < MAX_DISCOUNTS_PER_PURCHASE
    return None if not chosen or combinable else RejectionReason.NOT_COMBINABLE


def _applies_to(discount: Discount, drop_id: str) -> bool:
    return not discount.drop_ids or drop_id in discount.drop_ids


def _split_over_lines(discount: Discount, lines: Sequence[tuple[str, int]], remaining: Sequence[int]) -> list[int]:
    """What it takes off each line: a percentage is rounded once, whatever it is split by largest remainder."""
    weights = [
        price if _applies_to(discount, drop_id) else 0 for (drop_id, _), price in zip(lines, remaining, strict=True)
    ]
    if discount.percent_bps is not None:
        amount = share(sum(weights), discount.percent_bps)
        amount = amount if discount.max_amount is None else min(amount, discount.max_amount)
    else:
        amount = min(discount.amount or 0, sum(weights))
    return split(amount, weights)
