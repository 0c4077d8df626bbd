"""What a refund gives back of an order: pure arithmetic on what the refunds before it have left.

Parts are rounded so that they add up: however an order is given back, by units, by amounts, or both in any order, no
line gives back more than it took, and when nothing is left every column nets to zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.checkout.exchange import RefundRequest
from chalicelib.checkout.model import Line, Purchase, Refund, RefundLine
from chalicelib.errors import BadInput, Conflict
from chalicelib.money import split


@dataclass(frozen=True, slots=True)
class Back:
    """What one refund gives back. ``amount`` is what the buyer gets: goods, shipping, and tax that came on top."""

    lines: tuple[RefundLine, ...] = ()
    shipping: int = 0
    shipping_tax: int = 0
    tax_on_top: bool = False

    @property
    def amount(self) -> int:
        """Minor units that go to the buyer."""
        tax = sum(part.tax for part in self.lines) + self.shipping_tax if self.tax_on_top else 0
        return sum(part.goods for part in self.lines) + self.shipping + tax


def rest_of(purchase: Purchase, before: tuple[Refund, ...] | None = None) -> Back:
    """All that refunds (by default, all that are recorded) have left of an order; lines with nothing left, too."""
    refunds = tuple(one for one in (purchase.refunds if before is None else before) if one.refused is None)
    totals = purchase.totals
    return Back(
        tuple(_left(line, refunds) for line in purchase.lines),
        totals.shipping - sum(one.shipping for one in refunds),
        totals.shipping_tax - sum(one.shipping_tax for one in refunds),
        totals.tax_on_top != 0,
    )


def _left(line: Line, refunds: tuple[Refund, ...]) -> RefundLine:
    parts = [part for one in refunds for part in one.lines if part.line_id == line.id]
    return RefundLine(
        line_id=line.id,
        quantity=line.quantity - sum(part.quantity for part in parts),
        goods=line.price - sum(part.goods for part in parts),
        discount=line.discount - sum(part.discount for part in parts),
        tax=line.tax - sum(part.tax for part in parts),
    )


def back_of(purchase: Purchase, request: RefundRequest) -> Back:
    """What a wish gives back. ``BadInput`` names what asks for too much and says what is left.

    ``Conflict`` when nothing is left.
    """
    rest = rest_of(purchase)
    if request.full:
        kept = tuple(part for part in rest.lines if part != RefundLine(line_id=part.line_id))
        back = Back(kept, rest.shipping, rest.shipping_tax, rest.tax_on_top)
        nothing = not back.lines and not back.shipping
    elif request.amount is not None:
        if request.amount > rest.amount:
            detail = f"Only {rest.amount} of this order can still be refunded."
            raise BadInput(detail, field="$.amount", code="refund_exceeds_rest")
        back = amount_of(rest, request.amount)
        nothing = False
    else:
        lines = _units(rest, request.lines)
        shipping = (rest.shipping, rest.shipping_tax) if request.shipping else (0, 0)
        back = Back(lines, *shipping, rest.tax_on_top)
        nothing = not back.lines and not back.shipping
    if nothing:
        raise Conflict("Nothing of this order is left to refund.", code="nothing_left")
    return back


def _units(rest: Back, wanted: tuple[tuple[str, int], ...]) -> tuple[RefundLine, ...]:
    left = {part.line_id: part for part in rest.lines}
    parts = []
    for index, (line_id, quantity) in enumerate(wanted):
        line = left.get(line_id)
        if line is None:
            raise BadInput("The order has no such line.", field=f"$.lines[{index}].line_item_id")
        if quantity > line.quantity:
            detail = f"Only {line.quantity} of this line can still be refunded."
            raise BadInput(detail, field=f"$.lines[{index}].quantity", code="refund_exceeds_rest")
        shares = {name: _part(getattr(line, name), quantity, line.quantity) for name in ("goods", "discount", "tax")}
        parts.append(RefundLine(line_id=line_id, quantity=quantity, **shares))
    return tuple(parts)


def amount_of(rest: Back, amount: int) -> Back:
    """An amount without units, at most all that is left, spread over lines and shipping by what each has left."""
    on_top = rest.tax_on_top
    worth = [part.goods + (part.tax if on_top else 0) for part in rest.lines]
    shares = split(amount, [*worth, rest.shipping + (rest.shipping_tax if on_top else 0)])
    parts = []
    for line, value, given in zip(rest.lines, worth, shares, strict=False):
        if given:
            tax = _part(line.tax, given, value)
            goods = given - tax if on_top else given
            discount = _part(line.discount, given, value)
            parts.append(RefundLine(line_id=line.line_id, quantity=0, goods=goods, discount=discount, tax=tax))
    value, given = rest.shipping + (rest.shipping_tax if on_top else 0), shares[-1]
    tax = _part(rest.shipping_tax, given, value) if given else 0
    return Back(tuple(parts), given - tax if on_top else given, tax, on_top)


def _part(whole: int, part: int, parts: int) -> int:
    """``whole`` × ``part`` / ``parts``, rounded half up: all of it when ``part`` is all."""
    return (2 * whole * part + parts) // (2 * parts)
