"""What a refund gives back of an order: pure arithmetic on what the refunds before it have left.

Parts are rounded so that they add up: however an order is given back, by units, by amounts, or both in any order, no
line gives back more than it took, and when nothing is left every column nets to zero.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.errors import BadInput, Conflict
from chalicelib.money import split
from chalicelib.purchase import Line, Purchase, Refund, RefundLine, RefundRequest, accepted_refunds


@dataclass(frozen=True, slots=True)
class RefundAllocation:
    """What one refund gives back. ``amount`` is what the buyer gets: goods, shipping, and tax that came on top."""

    lines: tuple[RefundLine, ...] = ()
    shipping: int = 0
    shipping_tax: int = 0
    tax_on_top: bool = False

    @property
    def amount(self) -> int:
        """Minor units that go to the buyer."""
        tax = sum(part.tax for part in self.lines) + self.shipping_tax if self.tax_on_top else 0
        return sum(part.item_amount for part in self.lines) + self.shipping + tax


def refundable_remainder(purchase: Purchase) -> RefundAllocation:
    """All that refunds (by default, all that are recorded) have left of an order; lines with nothing left, too."""
    refunds = accepted_refunds(purchase)
    totals = purchase.totals
    return RefundAllocation(
        tuple(_remainder_of_line(line, refunds) for line in purchase.lines),
        totals.shipping - sum(one.shipping for one in refunds),
        totals.shipping_tax - sum(one.shipping_tax for one in refunds),
        totals.tax_on_top != 0,
    )


def _remainder_of_line(line: Line, refunds: tuple[Refund, ...]) -> RefundLine:
    parts = [part for one in refunds for part in one.lines if part.line_id == line.id]
    return RefundLine(
        line_id=line.id,
        quantity=line.quantity - sum(part.quantity for part in parts),
        item_amount=line.price - sum(part.item_amount for part in parts),
        discount=line.discount - sum(part.discount for part in parts),
        tax=line.tax - sum(part.tax for part in parts),
    )


def allocate_refund(purchase: Purchase, request: RefundRequest) -> RefundAllocation:
    """What a wish gives back. ``BadInput`` names what asks for too much and says what is left.

    ``Conflict`` when nothing is left.
    """
    remainder = refundable_remainder(purchase)
    if request.full:
        with_remainder = tuple(part for part in remainder.lines if part != RefundLine(line_id=part.line_id))
        allocation = RefundAllocation(with_remainder, remainder.shipping, remainder.shipping_tax, remainder.tax_on_top)
        is_empty = not allocation.lines and not allocation.shipping
    elif request.amount is not None:
        if request.amount > remainder.amount:
            detail = f"Only {remainder.amount} of this order can still be refunded."
            raise BadInput(detail, field="$.amount", code="refund_exceeds_rest")
        allocation = allocate_amount(remainder, request.amount)
        is_empty = False
    else:
        lines = _allocate_units(remainder, request.lines)
        shipping = (remainder.shipping, remainder.shipping_tax) if request.shipping else (0, 0)
        allocation = RefundAllocation(lines, *shipping, remainder.tax_on_top)
        is_empty = not allocation.lines and not allocation.shipping
    if is_empty:
        raise Conflict("Nothing of this order is left to refund.", code="nothing_left")
    return allocation


def _allocate_units(remainder: RefundAllocation, requested: tuple[tuple[str, int], ...]) -> tuple[RefundLine, ...]:
    left = {part.line_id: part for part in remainder.lines}
    parts = []
    for index, (line_id, quantity) in enumerate(requested):
        line = left.get(line_id)
        if line is None:
            raise BadInput("The order has no such line.", field=f"$.lines[{index}].line_item_id")
        if quantity > line.quantity:
            detail = f"Only {line.quantity} of this line can still be refunded."
            raise BadInput(detail, field=f"$.lines[{index}].quantity", code="refund_exceeds_rest")
        shares = {
            name: _proportion(getattr(line, name), quantity, line.quantity)
            for name in ("item_amount", "discount", "tax")
        }
        parts.append(RefundLine(line_id=line_id, quantity=quantity, **shares))
    return tuple(parts)


def allocate_amount(remainder: RefundAllocation, amount: int) -> RefundAllocation:
    """An amount without units, at most all that is left, spread over lines and shipping by what each has left."""
    on_top = remainder.tax_on_top
    values = [part.item_amount + (part.tax if on_top else 0) for part in remainder.lines]
    shares = split(amount, [*values, remainder.shipping + (remainder.shipping_tax if on_top else 0)])
    parts = []
    for line, value, given in zip(remainder.lines, values, shares, strict=False):
        if given:
            tax = _proportion(line.tax, given, value)
            item_amount = given - tax if on_top else given
            discount = _proportion(line.discount, given, value)
            parts.append(
                RefundLine(line_id=line.line_id, quantity=0, item_amount=item_amount, discount=discount, tax=tax)
            )
    value, given = remainder.shipping + (remainder.shipping_tax if on_top else 0), shares[-1]
    tax = _proportion(remainder.shipping_tax, given, value) if given else 0
    return RefundAllocation(tuple(parts), given - tax if on_top else given, tax, on_top)


def _proportion(whole: int, part: int, parts: int) -> int:
    """``whole`` × ``part`` / ``parts``, rounded half up: all of it when ``part`` is all."""
    return (2 * whole * part + parts) // (2 * parts)
