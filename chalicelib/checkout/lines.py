"""Lines of a purchase and their units: hold what a buyer asks for, and say what cannot be held."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from chalicelib.checkout.hold_expiry import extended_price_until, hold_expires_at, max_hold_until, price_until
from chalicelib.instants import SECOND, Instant, rfc3339
from chalicelib.purchase import CheckoutContext, Line, LineRequest, Message, Purchase, order_ref_of, pool_of
from chalicelib.shows import Drop, DropState, Offer, window_state
from chalicelib.stock import AllHeld, Busy, HoldRef, InsufficientUnits, Pool, SoldOut, Taken, TakeResult, hold_id

MAX_HOLDS: Final = 400
"""Holds in all lines of a purchase. A line does not grow beyond it."""
_MAX_SMALLER_TAKES: Final = 3
"""Takes of one line. After each refusal the next take asks for the quantity that the refusal reported."""
_BUSY_RETRY_MS: Final = 250
_MAX_IMAGE_URL_BYTES: Final = 512
"""A longer address is shown with the drop alone: a hundred lines have to fit into one item of 400 KB."""


@dataclass(slots=True)
class LineDraft:
    """Lines that one request puts together for one version of a purchase. ``new_holds`` are what it took."""

    purchase_id: str
    version: int
    show_id: str | None = None
    currency: str | None = None
    market: str | None = None
    lines: list[Line] = field(default_factory=list)
    new_holds: list[tuple[Pool, HoldRef]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)

    @classmethod
    def of_next_version(cls, purchase: Purchase) -> LineDraft:
        """Begin the next version of a purchase, without lines."""
        return cls(purchase.id, purchase.version + 1, purchase.show_id, purchase.currency, purchase.market)


def reserve_lines(
    context: CheckoutContext,
    draft: LineDraft,
    requested: Iterable[LineRequest],
    current: tuple[Line, ...],
    now: Instant,
) -> None:
    """Bring the draft's lines to the requested quantities. Costs one write for a line that grows; releases nothing.

    A line that cannot grow stays as it was, and a new line that gets no unit is left out. Both have a message.
    All units of a line have one price. A line does not grow after the drop's price rose; after it fell, all units of
    the line get the lower price.
    """
    current_by_drop = {line.drop_id: line for line in current}
    holds = sum(len(line.holds) for line in current)
    for index, (drop_id, quantity) in enumerate(merge_lines(requested).items()):
        line, path = current_by_drop.get(drop_id), f"$.line_items[{index}]"
        if line and quantity <= line.quantity:
            draft.lines.append(shrink_line(line, quantity))
            continue
        if line and holds + len(draft.new_holds) >= MAX_HOLDS:
            content = "This line consists of too many portions to grow. Buy further units in another purchase."
            draft.messages.append(Message("quantity_adjusted", content, path=path, type="warning"))
            draft.lines.append(line)
            continue
        grown = _grow_line(context, draft, drop_id, quantity, line, path, now)
        if grown:
            draft.lines.append(grown)


def merge_lines(requested: Iterable[LineRequest]) -> dict[str, int]:
    """Add up quantities by drop, in the order of first mention: a purchase has one line a drop."""
    quantities: dict[str, int] = {}
    for line in requested:
        quantities[line.drop_id] = quantities.get(line.drop_id, 0) + line.quantity
    return quantities


def shrink_line(line: Line, quantity: int) -> Line:
    """Return the line with fewer units: its first holds, the last one of them cut to the remaining quantity."""
    holds, remaining = [], quantity
    for hold in line.holds:
        if remaining <= 0:
            break
        units = min(hold.quantity, remaining)
        holds.append(HoldRef(hold.id, hold.bucket, units, hold.expires_at))
        remaining -= units
    return line.model_copy(update={"quantity": quantity, "holds": tuple(holds)})


def _grow_line(
    context: CheckoutContext, draft: LineDraft, drop_id: str, quantity: int, line: Line | None, path: str, now: Instant
) -> Line | None:
    offer = context.shows.offer(drop_id, now)
    if offer is None or (draft.show_id or offer.drop.show_id) != offer.drop.show_id:
        draft.messages.append(Message("item_unavailable", "This item is not on offer in this show.", path=path))
        return line
    refusal = drop_closed_refusal(offer.drop, path, now) or hold_limit_refusal(line, path, now)
    if refusal:
        draft.messages.append(refusal)
        return line
    drop, held_units = offer.drop, line.quantity if line else 0
    allowed = _allowed_quantity(draft, drop, quantity, path)
    if allowed <= held_units:
        return line
    if line and drop.unit_price > line.unit_price:
        content = "The price has risen since these units were held. Buy further units in another purchase."
        draft.messages.append(Message("price_changed", content, path=path))
        return line
    hold = hold_units(context, draft, offer, allowed - held_units, line, path, now)
    if hold is None:
        return line
    draft.show_id, draft.currency = drop.show_id, drop.currency
    draft.market = draft.market or drop.market
    return _grown_line(line, drop, hold) if line else _new_line(drop, hold, draft)


def drop_closed_refusal(drop: Drop, path: str, now: Instant) -> Message | None:
    """Return why a drop sells nothing at this instant; None while it is open."""
    match window_state(drop, now):
        case DropState.SCHEDULED:
            extra = {"opens_at": rfc3339(drop.opens_at)} if drop.opens_at else {}
            return Message("drop_not_open", "This drop has not opened yet.", path=path, extra=extra)
        case DropState.SUSPENDED:
            return Message("drop_suspended", "This drop is paused for a moment.", path=path)
        case DropState.CLOSED:
            return Message("drop_closed", "This drop is over.", path=path)
    return None


def hold_limit_refusal(line: Line | None, path: str, now: Instant) -> Message | None:
    """Return why a line may hold no further units; None while its time lasts."""
    if line is None or now < line.max_hold_until * SECOND:
        return None
    content = "These units were held for the longest time allowed. Remove the line and add it again."
    return Message("hold_lapsed", content, path=path)


def _allowed_quantity(draft: LineDraft, drop: Drop, quantity: int, path: str) -> int:
    """Return the quantity that the drop's own bounds allow, with a warning where it is less than requested."""
    if drop.limit_per_buyer is not None and quantity > drop.limit_per_buyer:
        content = f"One buyer can have at most {drop.limit_per_buyer} of this item."
        draft.messages.append(Message("limit_exceeded", content, path=path, type="warning"))
        quantity = drop.limit_per_buyer
    if drop.max_quantity is not None and quantity > drop.max_quantity:
        content = f"One purchase can have at most {drop.max_quantity} of this item."
        draft.messages.append(Message("quantity_adjusted", content, path=path, type="warning"))
        quantity = drop.max_quantity
    return quantity


def hold_units(
    context: CheckoutContext, draft: LineDraft, offer: Offer, quantity: int, line: Line | None, path: str, now: Instant
) -> HoldRef | None:
    """Hold ``quantity`` units in one bucket, or the most that one bucket has. None, with a message, when none has any.

    Costs one write as a rule. Where the offer's summary shows nothing, it costs one read: this may be a repeated
    request whose own hold the summary misses. Once the drop is sold out it costs nothing.
    """
    drop, pool, wanted = offer.drop, offer.drop.pool, quantity
    expires_at = hold_expires_at(drop, line, now)
    answer: TakeResult = Busy(_BUSY_RETRY_MS)
    name = hold_id(draft.purchase_id, drop.id, draft.version, quantity)  # the same for fewer: a repeat finds them
    for _ in range(_MAX_SMALLER_TAKES):
        answer = context.stock.take(pool, name, wanted, expires_at, offer.summary, now=now)
        if not isinstance(answer, Taken | SoldOut):
            answer = context.stock.find_hold(pool, name) or answer
        if not isinstance(answer, InsufficientUnits):
            break
        wanted = answer.available
    if not isinstance(answer, Taken):
        draft.messages.append(_refusal_message(answer, path))
        return None
    if not answer.committed:
        draft.new_holds.append((pool, answer.hold))
    if answer.hold.quantity < quantity:
        content = f"Only {answer.hold.quantity} of {quantity} units were left."
        draft.messages.append(Message("quantity_adjusted", content, path=path, type="warning"))
    return answer.hold


def _refusal_message(answer: SoldOut | AllHeld | Busy | InsufficientUnits, path: str) -> Message:
    match answer:
        case SoldOut():
            return Message("out_of_stock", "This item is sold out.", path=path)
        case AllHeld(next_lapse_at):
            content = "Other buyers hold all units. Some may become free."
            return Message("all_held", content, path=path, extra={"next_lapse_at": rfc3339(next_lapse_at * SECOND)})
        case Busy(retry_after_ms):
            content = "Many buyers want this item at this moment. Try again shortly."
            return Message("busy", content, path=path, extra={"retry_after_ms": retry_after_ms})
        case InsufficientUnits():
            content = "The last units change hands quickly. Try again shortly."
            return Message("busy", content, path=path, extra={"retry_after_ms": _BUSY_RETRY_MS})


def _grown_line(line: Line, drop: Drop, hold: HoldRef) -> Line:
    return line.model_copy(
        update={
            "unit_price": drop.unit_price,
            "quantity": line.quantity + hold.quantity,
            "holds": (*line.holds, hold),
            "price_until": extended_price_until(line, hold),
            "limit_per_buyer": drop.limit_per_buyer,
        }
    )


def _new_line(drop: Drop, hold: HoldRef, draft: LineDraft) -> Line:
    return Line(
        id=f"li_{draft.version}_{len(draft.lines) + 1}",
        drop_id=drop.id,
        sku=drop.sku,
        title=drop.title,
        unit_price=drop.unit_price,
        quantity=hold.quantity,
        bucket_count=drop.bucket_count,
        holds=(hold,),
        limit_per_buyer=drop.limit_per_buyer,
        tax_category=drop.tax_category,
        creator_id=drop.creator_id,
        commission_bps=drop.commission_bps,
        image_url=_bounded_image_url(drop.image_url),
        price_until=price_until(drop, hold),
        max_hold_until=max_hold_until(drop, hold),
    )


def _bounded_image_url(image_url: str | None) -> str | None:
    return image_url if image_url and len(image_url.encode()) <= _MAX_IMAGE_URL_BYTES else None


def release_removed_holds(context: CheckoutContext, purchase: Purchase, remaining_lines: tuple[Line, ...]) -> None:
    """Release the units that a stored version no longer names, whichever request stored it. Repeatable."""
    order = order_ref_of(purchase) if purchase.attempt else None
    for pool, hold, units in removed_holds(purchase.lines, remaining_lines):
        if units:
            context.stock.shrink(pool, hold, units)
        else:
            context.stock.release(pool, hold, order)


def removed_holds(before: tuple[Line, ...], after: Iterable[Line]) -> list[tuple[Pool, HoldRef, int]]:
    """Return the holds that lose units, each with the units that it keeps (0: release the hold)."""
    remaining = {hold.id: hold.quantity for line in after for hold in line.holds}
    return [
        (pool_of(line), hold, remaining.get(hold.id, 0))
        for line in before
        for hold in line.holds
        if remaining.get(hold.id, 0) < hold.quantity
    ]
