"""Lines and their units: what a buyer wishes, what can be taken, and what is said where it cannot."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from chalicelib.instants import Instant, rfc3339
from chalicelib.purchase import CheckoutContext, Line, LineRequest, Message, Purchase, order_ref_of, pool_of
from chalicelib.shows import Drop, DropState, Offer, window_state
from chalicelib.stock import AllHeld, Busy, HoldRef, InsufficientUnits, Pool, SoldOut, Taken, TakeResult, hold_id


def release_removed_holds(context: CheckoutContext, purchase: Purchase, kept: tuple[Line, ...]) -> None:
    """Give back what the purchase names beyond the lines that a written change kept, whoever wrote it. Repeatable."""
    order = order_ref_of(purchase) if purchase.attempt else None
    for pool, hold, units in removed_holds(purchase.lines, kept):
        if units:
            context.stock.shrink(pool, hold, units)
        else:
            context.stock.release(pool, hold, order)


_MAX_SMALLER_OFFERS = 3  # how often a take is repeated with the quantity it was offered, before it counts as busy
_BUSY_RETRY_MS = 250
_MAX_IMAGE_URL_BYTES = 512
"""Bytes of an image's address that a line keeps. A longer one is shown with the drop alone: a hundred lines have to fit
into one item of 400 KB."""

MAX_HOLDS = 400
"""Holds in all of a purchase's lines, beyond which none of them grows."""

MAX_HOLD_FACTOR = 4
"""A line may hold units for so many times its drop's ``hold_seconds`` from its first take, however it renews them."""


@dataclass(slots=True)
class LineDraft:
    """Lines being put together for one version of a purchase; ``taken`` are the holds this request took."""

    purchase_id: str
    version: int
    show_id: str | None = None
    currency: str | None = None
    market: str | None = None
    lines: list[Line] = field(default_factory=list)
    new_holds: list[tuple[Pool, HoldRef]] = field(default_factory=list)
    messages: list[Message] = field(default_factory=list)


def merge_lines(requested: Iterable[LineRequest]) -> dict[str, int]:
    """Quantity by drop: lines of one drop are one line, in the order of first mention."""
    quantities: dict[str, int] = {}
    for line in requested:
        quantities[line.drop_id] = quantities.get(line.drop_id, 0) + line.quantity
    return quantities


def shrink_line(line: Line, quantity: int) -> Line:
    """The line with fewer units: its first holds, the last of them cut to what is left."""
    holds, remaining = [], quantity
    for hold in line.holds:
        if remaining <= 0:
            break
        kept = min(hold.quantity, remaining)
        holds.append(HoldRef(hold.id, hold.bucket, kept, hold.expires_at))
        remaining -= kept
    return line.model_copy(update={"quantity": quantity, "holds": tuple(holds)})


def reserve_lines(
    context: CheckoutContext,
    draft: LineDraft,
    requested: Iterable[LineRequest],
    current: tuple[Line, ...],
    now: Instant,
) -> None:
    """Bring the basket's lines to the wished quantities. One write a line that grows; nothing is given back here.

    A line that cannot grow stays as it was; a new line that gets nothing is left out. Each such case has a message.
    A line has one price: where the drop's has risen it does not grow, where it has fallen all its units get the new.
    """
    current_by_drop = {line.drop_id: line for line in current}
    holds = sum(len(line.holds) for line in current)
    for index, (drop_id, quantity) in enumerate(merge_lines(requested).items()):
        line, path = current_by_drop.get(drop_id), f"$.line_items[{index}]"
        if line and quantity <= line.quantity:
            draft.lines.append(shrink_line(line, quantity))
            continue
        if line and holds + len(draft.new_holds) >= MAX_HOLDS:
            content = "These units were asked for in too many portions; more of them need a purchase of their own."
            draft.messages.append(Message("quantity_adjusted", content, path=path, type="warning"))
            draft.lines.append(line)
            continue
        grown = _grow_line(context, draft, drop_id, quantity, line, path, now)
        if grown:
            draft.lines.append(grown)


def _grow_line(
    context: CheckoutContext, draft: LineDraft, drop_id: str, quantity: int, line: Line | None, path: str, now: Instant
) -> Line | None:
    offer = context.shows.offer(drop_id, now)
    if offer is None or (draft.show_id or offer.drop.show_id) != offer.drop.show_id:
        draft.messages.append(Message("item_unavailable", "This item is not on offer here.", path=path))
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
        content = "The price has risen since these units were taken; more of them need a purchase of their own."
        draft.messages.append(Message("price_changed", content, path=path))
        return line
    hold = hold_units(context, draft, offer, allowed - held_units, line, path, now)
    if hold is None:
        return line
    draft.show_id, draft.currency = drop.show_id, drop.currency
    draft.market = draft.market or drop.market
    if line:
        line = line.model_copy(update={"unit_price": drop.unit_price})
    return _line_with_hold(line, drop, hold, draft)


def drop_closed_refusal(drop: Drop, path: str, now: Instant) -> Message | None:
    """Why nothing can be taken from a drop at this instant; None when it is open."""
    match window_state(drop, now):
        case DropState.SCHEDULED:
            extra = {"opens_at": rfc3339(drop.opens_at)} if drop.opens_at else {}
            return Message("drop_not_open", "This drop has not opened yet.", path=path, extra=extra)
        case DropState.SUSPENDED:
            return Message("drop_suspended", "This drop is paused for a moment.", path=path)
        case DropState.CLOSED:
            return Message("drop_closed", "This drop is over.", path=path)
    return None


def _allowed_quantity(draft: LineDraft, drop: Drop, quantity: int, path: str) -> int:
    """The quantity that the drop's own bounds leave, with a warning where that is less than asked."""
    if drop.limit_per_buyer is not None and quantity > drop.limit_per_buyer:
        content = f"At most {drop.limit_per_buyer} of this a buyer."
        draft.messages.append(Message("limit_exceeded", content, path=path, type="warning"))
        quantity = drop.limit_per_buyer
    if drop.max_quantity is not None and quantity > drop.max_quantity:
        content = f"At most {drop.max_quantity} of this at once."
        draft.messages.append(Message("quantity_adjusted", content, path=path, type="warning"))
        quantity = drop.max_quantity
    return quantity


def hold_limit_refusal(line: Line | None, path: str, now: Instant) -> Message | None:
    """Why a line takes no more units; None while it may."""
    if line is None or now < line.max_hold_until * 1000:
        return None
    content = "This was held for as long as it may be. Take it out and put it in anew."
    return Message("hold_lapsed", content, path=path)


def hold_units(
    context: CheckoutContext, draft: LineDraft, offer: Offer, quantity: int, line: Line | None, path: str, now: Instant
) -> HoldRef | None:
    """Hold units for the basket's purchase: as many as asked, or the largest that one bucket has, or none with a word.

    A hold for a line that there is ends when the line's time does.

    Costs one write in the common case, none when the offer's summary shows nothing: then one read, as this may be the
    repeat of a request that holds the very units which the summary misses. Nothing at all once the drop is sold out.
    """
    drop, wanted = offer.drop, quantity
    expires_at = now // 1000 + drop.hold_seconds
    if line:
        expires_at = min(expires_at, line.max_hold_until)
    answer: TakeResult = Busy(_BUSY_RETRY_MS)
    name = hold_id(draft.purchase_id, drop.id, draft.version, quantity)  # the same for fewer: a repeat finds them
    for _ in range(_MAX_SMALLER_OFFERS):
        answer = context.stock.take(drop.pool, name, wanted, expires_at, offer.summary, now=now)
        if not isinstance(answer, Taken | SoldOut):
            answer = context.stock.find_hold(drop.pool, name) or answer
        if not isinstance(answer, InsufficientUnits):
            break
        wanted = answer.available
    if isinstance(answer, Taken):
        if not answer.committed:
            draft.new_holds.append((drop.pool, answer.hold))
        if answer.hold.quantity < quantity:
            content = f"Only {answer.hold.quantity} of {quantity} were left."
            draft.messages.append(Message("quantity_adjusted", content, path=path, type="warning"))
        return answer.hold
    draft.messages.append(_refusal_message(answer, path))
    return None


def _refusal_message(answer: SoldOut | AllHeld | Busy | InsufficientUnits, path: str) -> Message:
    match answer:
        case SoldOut():
            return Message("out_of_stock", "Sold out.", path=path)
        case AllHeld(next_lapse_at):
            extra = {"next_lapse_at": rfc3339(next_lapse_at * 1000)}
            return Message("all_held", "All units are held by others; some may come free.", path=path, extra=extra)
        case Busy(retry_after_ms):
            extra_ms = {"retry_after_ms": retry_after_ms}
            return Message("busy", "Too many at once; try again in a moment.", path=path, extra=extra_ms)
        case InsufficientUnits():
            busy = {"retry_after_ms": _BUSY_RETRY_MS}
            return Message("busy", "What is left changes hands quickly; try again.", path=path, extra=busy)


def _line_with_hold(line: Line | None, drop: Drop, hold: HoldRef, draft: LineDraft) -> Line:
    if line:
        grown = {
            "quantity": line.quantity + hold.quantity,
            "holds": (*line.holds, hold),
            "price_until": max(line.price_until, hold.expires_at * 1000),
            "limit_per_buyer": drop.limit_per_buyer,
        }
        return line.model_copy(update=grown)
    return Line(
        id=f"li_{draft.version}_{len(draft.lines) + 1}",
        drop_id=drop.id,
        sku=drop.sku,
        title=drop.title,
        unit_price=drop.unit_price,
        quantity=hold.quantity,
        bucket_count=drop.bucket_count,
        holds=(hold,),
        price_until=(hold.expires_at + drop.hold_seconds) * 1000,
        max_hold_until=hold.expires_at + (MAX_HOLD_FACTOR - 1) * drop.hold_seconds,
        limit_per_buyer=drop.limit_per_buyer,
        tax_category=drop.tax_category,
        creator_id=drop.creator_id,
        commission_bps=drop.commission_bps,
        image_url=_bounded_image_url(drop.image_url),
    )


def _bounded_image_url(image_url: str | None) -> str | None:
    return image_url if image_url and len(image_url.encode()) <= _MAX_IMAGE_URL_BYTES else None


def removed_holds(before: tuple[Line, ...], after: Iterable[Line]) -> list[tuple[Pool, HoldRef, int]]:
    """What a written change no longer names: holds with the units of each that stay (0: the hold goes)."""
    kept = {hold.id: hold.quantity for line in after for hold in line.holds}
    return [
        (pool_of(line), hold, kept.get(hold.id, 0))
        for line in before
        for hold in line.holds
        if kept.get(hold.id, 0) < hold.quantity
    ]
