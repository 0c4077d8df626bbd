"""Choose the discounts of a purchase and split each over the lines: pure arithmetic in minor units."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chalicelib.currencies import step
from chalicelib.discounts.model import (
    PERMANENT_REJECTIONS,
    ActiveDiscount,
    AppliedDiscount,
    Discount,
    RejectionReason,
    normalise_code,
)
from chalicelib.instants import Instant
from chalicelib.money import share_in_steps, split_in_steps

MAX_DISCOUNTS_PER_PURCHASE: Final = 10
"""Discounts of one purchase. The purchase's item stores them."""


@dataclass(frozen=True, slots=True)
class PricingInput:
    """The show and currency of a purchase, and the drop and price of each line.

    ``rejected_codes`` are earlier rejections: the reason by code.
    """

    show_id: str | None
    currency: str
    lines: Sequence[tuple[str, int]]
    rejected_codes: Mapping[str, str]


def apply_discounts(
    pricing: PricingInput, codes: Mapping[str, ActiveDiscount | None], automatic: Sequence[ActiveDiscount], now: Instant
) -> tuple[tuple[AppliedDiscount, ...], dict[str, str]]:
    """Return the discounts that apply, and the reason for each code that does not.

    Discounts apply by priority, and codes before automatic discounts of the same priority. Each takes off what the
    ones before it have left. A discount that is not combinable applies alone, or not at all. No line falls below 0.
    """
    permanent = {code: reason for code, reason in pricing.rejected_codes.items() if reason in PERMANENT_REJECTIONS}
    rejected = dict(permanent)
    for text, active in codes.items():
        if active is None:
            rejected[normalise_code(text) or text] = RejectionReason.UNKNOWN
    remaining, chosen, results = [price for _, price in pricing.lines], list[Discount](), list[AppliedDiscount]()
    for discount in _in_order((*codes.values(), *automatic)):
        if discount.code in permanent:
            continue
        reason = _rejection_of(discount, pricing, now) or _combination_rejection(discount, chosen)
        if reason is not None:
            if not discount.automatic:
                rejected[discount.code] = reason
            continue
        parts = _split_over_lines(discount, pricing, remaining)
        if not any(parts):
            rejected |= {} if discount.automatic else {discount.code: RejectionReason.OTHER_ITEMS}
            continue
        remaining = [price - part for price, part in zip(remaining, parts, strict=True)]
        chosen.append(discount)
        results.append(
            AppliedDiscount(
                code=discount.code,
                title=discount.title,
                parts=tuple(parts),
                automatic=discount.automatic,
                priority=discount.priority,
            )
        )
    return tuple(results), rejected


def _in_order(discounts: Iterable[ActiveDiscount | None]) -> list[Discount]:
    by_code = {active.discount.code: active.discount for active in discounts if active is not None}
    return sorted(by_code.values(), key=lambda discount: (discount.priority, discount.automatic, discount.code))


def _rejection_of(discount: Discount, pricing: PricingInput, now: Instant) -> RejectionReason | None:
    if discount.starts_at is not None and now < discount.starts_at:
        return RejectionReason.NOT_STARTED
    if discount.ends_at is not None and now >= discount.ends_at:
        return RejectionReason.ENDED
    is_for_others = discount.show_id not in (None, pricing.show_id) or discount.currency not in (None, pricing.currency)
    eligible = [price for drop_id, price in pricing.lines if _applies_to(discount, drop_id)]
    if is_for_others or not eligible:
        return RejectionReason.OTHER_ITEMS
    if discount.minimum_subtotal is not None and sum(eligible) < discount.minimum_subtotal:
        return RejectionReason.BELOW_MINIMUM
    return None


def _combination_rejection(discount: Discount, chosen: Sequence[Discount]) -> RejectionReason | None:
    combinable = all(each.combinable for each in (discount, *chosen)) and len(chosen) < MAX_DISCOUNTS_PER_PURCHASE
    return None if not chosen or combinable else RejectionReason.NOT_COMBINABLE


def _applies_to(discount: Discount, drop_id: str) -> bool:
    return not discount.drop_ids or drop_id in discount.drop_ids


def _split_over_lines(discount: Discount, pricing: PricingInput, remaining: Sequence[int]) -> list[int]:
    """Return what a discount takes off each line. A percentage is rounded once, then split by largest remainder.

    Each part is a multiple of the currency's step, so that what is left can be charged.
    """
    weights = [
        price if _applies_to(discount, drop_id) else 0
        for (drop_id, _), price in zip(pricing.lines, remaining, strict=True)
    ]
    unit = step(pricing.currency)
    if discount.percent_bps is not None:
        amount = share_in_steps(sum(weights), discount.percent_bps, unit)
        amount = amount if discount.max_amount is None else min(amount, discount.max_amount)
    else:
        amount = min(discount.amount or 0, sum(weights))
    return split_in_steps(amount, weights, unit)
