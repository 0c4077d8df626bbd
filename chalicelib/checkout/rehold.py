"""Make a purchase whole before it is placed: hold units again whose holds have ended, and renew ended prices."""

from __future__ import annotations

from chalicelib.checkout.hold_expiry import renewed_price_until
from chalicelib.checkout.lines import LineDraft, drop_closed_refusal, hold_limit_refusal, hold_units
from chalicelib.instants import SECOND, Instant
from chalicelib.purchase import CheckoutContext, Line, Purchase, holds_of


def restore_lines(context: CheckoutContext, purchase: Purchase, draft: LineDraft, now: Instant) -> bool:
    """Fill the draft with the purchase's lines, their units held again where holds are gone. False: not all could be.

    A hold that has not ended is trusted without a read. A hold that has ended still counts while nobody took its units.
    """
    reclaimed = _reclaimed_holds(context, purchase, now)
    all_restored = True
    for index, line in enumerate(purchase.lines):
        path = f"$.line_items[{index}]"
        held = line.model_copy(update={"holds": tuple(hold for hold in line.holds if hold.id not in reclaimed)})
        restored = _restore_line(context, draft, held, path, now, attempted_before=purchase.attempt > 0)
        draft.lines.append(restored or line)
        all_restored = all_restored and restored is not None
    return all_restored


def _reclaimed_holds(context: CheckoutContext, purchase: Purchase, now: Instant) -> set[str]:
    """Return the ids of ended holds whose units, or some of them, somebody took. One batched read where one ended."""
    ended = [(pool, hold) for pool, hold in holds_of(purchase) if hold.expires_at * SECOND <= now]
    statuses = context.stock.get_hold_statuses(ended) if ended else []
    return {
        hold.id
        for (_, hold), status in zip(ended, statuses, strict=True)
        if status is None or status.quantity < hold.quantity
    }


def _restore_line(
    context: CheckoutContext, draft: LineDraft, line: Line, path: str, now: Instant, *, attempted_before: bool
) -> Line | None:
    """Return the line with all its units, at its own price while that is honoured, else at the drop's price.

    None when units are missing that cannot be held.
    A line whose time has ended is not restored when it lacks units, nor after an attempt without money: repeated
    attempts would otherwise keep its units from other buyers.
    """
    missing_units = line.quantity - sum(hold.quantity for hold in line.holds)
    refusal = hold_limit_refusal(line, path, now)
    if refusal and (missing_units or attempted_before):
        draft.messages.append(refusal)
        return None
    if not missing_units and now <= line.price_until:
        return line
    offer = context.shows.offer(line.drop_id, now)
    if offer is None or drop_closed_refusal(offer.drop, path, now):
        return None
    if now > line.price_until:
        renewed = {"unit_price": offer.drop.unit_price, "price_until": renewed_price_until(offer.drop, now)}
        line = line.model_copy(update=renewed)
    if not missing_units:
        return line
    hold = hold_units(context, draft, offer, missing_units, line, path, now)
    if hold is None or hold.quantity < missing_units:
        return None
    return line.model_copy(update={"holds": (*line.holds, hold)})
