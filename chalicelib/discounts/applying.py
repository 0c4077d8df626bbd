"""Which discounts apply to a purchase, and what each takes off its lines: pure arithmetic in minor units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from chalicelib.discounts.model import LASTING, Applied, Discount, Offered, Reason, canonical
from chalicelib.instants import Instant
from chalicelib.money import share, split

MAX_DISCOUNTS_PER_PURCHASE: Final = 10
"""Discounts of one purchase: they stand in its item."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A purchase as discounts see it: its show, its currency, and drop and price of each of its lines.

    ``refused``: what was refused before, by code.
    """

    show_id: str | None
    currency: str
    goods: Sequence[tuple[str, int]]
    refused: Mapping[str, str]


def applied(
    asked: Asked, codes: Mapping[str, Offered | None], automatic: Sequence[Offered], now: Instant
) -> tuple[tuple[Applied, ...], dict[str, str]]:
    """The discounts that apply, and why other codes do not.

    By priority, codes before automatic offers where that is equal; each on what the ones before it have left. One that
    is not combinable applies alone, or not at all. No line comes to less than nothing.
    """
    lasting = {code: reason for code, reason in asked.refused.items() if reason in LASTING}
    refused = dict(lasting)
    for text, offered in codes.items():
        if offered is None:
            refused[canonical(text) or text] = Reason.UNKNOWN
    candidates = {one.discount.code: one.discount for one in (*codes.values(), *automatic) if one is not None}
    left, chosen, results = [price for _, price in asked.goods], list[Discount](), list[Applied]()
    for discount in sorted(candidates.values(), key=lambda one: (one.priority, one.automatic, one.code)):
        if discount.code in lasting:
            continue
        reason = _reason_against(discount, asked, now) or _alone(discount, chosen)
        if reason is not None:
            if not discount.automatic:
                refused[discount.code] = reason
            continue
        parts = _parts(discount, asked.goods, left)
        if not any(parts):
            refused |= {} if discount.automatic else {discount.code: Reason.OTHER_GOODS}
            continue
        left = [price - part for price, part in zip(left, parts, strict=True)]
        chosen.append(discount)
        about = {"automatic": discount.automatic, "priority": discount.priority}
        results.append(Applied(code=discount.code, title=discount.title, parts=tuple(parts), **about))
    return tuple(results), refused


def _reason_against(discount: Discount, asked: Asked, now: Instant) -> Reason | None:
    if discount.starts_at is not None and now < discount.starts_at:
        return Reason.NOT_STARTED
    if discount.ends_at is not None and now >= discount.ends_at:
        return Reason.ENDED
    elsewhere = discount.show_id not in (None, asked.show_id) or discount.currency not in (None, asked.currency)
    eligible = [price for drop_id, price in asked.goods if _is_for(discount, drop_id)]
    if elsewhere or not eligible:
        return Reason.OTHER_GOODS
    if discount.minimum_subtotal is not None and sum(eligible) < discount.minimum_subtotal:
        return Reason.BELOW_MINIMUM
    return None


def _alone(discount: Discount, chosen: Sequence[Discount]) -> Reason | None:
    beside = all(one.combinable for one in (discount, *chosen)) and len(chosen) < MAX_DISCOUNTS_PER_PURCHASE
    return None if not chosen or beside else Reason.NOT_COMBINABLE


def _is_for(discount: Discount, drop_id: str) -> bool:
    return not discount.drop_ids or drop_id in discount.drop_ids


def _parts(discount: Discount, goods: Sequence[tuple[str, int]], left: Sequence[int]) -> list[int]:
    """What it takes off each line: a percentage is rounded once, whatever it is split by largest remainder."""
    weights = [price if _is_for(discount, drop_id) else 0 for (drop_id, _), price in zip(goods, left, strict=True)]
    if discount.percent_bps is not None:
        amount = share(sum(weights), discount.percent_bps)
        amount = amount if discount.max_amount is None else min(amount, discount.max_amount)
    else:
        amount = min(discount.amount or 0, sum(weights))
    return split(amount, weights)
