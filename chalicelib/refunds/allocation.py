"""Allocate a refund to lines and shipping, from what earlier refunds and losses have left of the order.

Pure arithmetic. Parts are rounded so that they add up, in any order in which units and amounts are refunded. No line
refunds more than it took, and when nothing remains every column nets to zero, the commission too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from chalicelib.currencies import step
from chalicelib.errors import BadInput, Conflict
from chalicelib.money import proportion, split_in_steps
from chalicelib.purchase import (
    Allocation,
    Line,
    Purchase,
    RefundLine,
    RefundRequest,
    accepted_refunds,
    commission_of,
    losses_of,
    restocked_but_not_refunded,
)

_NOTHING_LEFT: Final = "Nothing remains of this order to refund."


@dataclass(frozen=True, slots=True)
class RefundAllocation:
    """The parts of one refund. ``amount`` is what the buyer receives: items, shipping, and tax on top of them."""

    lines: tuple[RefundLine, ...] = ()
    shipping: int = 0
    shipping_tax: int = 0
    tax_on_top: bool = False
    step: int = 1
    """Minor units that every part of what the buyer receives is a multiple of, as in the charge."""

    @property
    def tax_step(self) -> int:
        """Return what tax is a multiple of. Contained tax is no charge of its own, so it has any minor units."""
        return self.step if self.tax_on_top else 1

    @property
    def amount(self) -> int:
        """Return the minor units that the buyer receives."""
        tax = sum(part.tax for part in self.lines) + self.shipping_tax if self.tax_on_top else 0
        return sum(part.item_amount for part in self.lines) + self.shipping + tax


def refundable_remainder(purchase: Purchase) -> RefundAllocation:
    """Return what accepted refunds and losses have left of an order, including lines of which nothing remains."""
    taken: list[Allocation] = []
    for refund in accepted_refunds(purchase):
        taken += [refund, *refund.allocated]
    for loss in losses_of(purchase):
        taken += [loss, *loss.allocated]
    parts: dict[str, list[RefundLine]] = {line.id: [] for line in purchase.lines}
    for part in (part for one in taken for part in one.lines):
        parts[part.line_id].append(part)
    totals = purchase.totals
    return RefundAllocation(
        tuple(_remainder_of_line(line, commission_of(purchase, line), parts[line.id]) for line in purchase.lines),
        totals.shipping - sum(one.shipping for one in taken),
        totals.shipping_tax - sum(one.shipping_tax for one in taken),
        totals.tax_on_top != 0,
        step(purchase.currency),
    )


def _remainder_of_line(line: Line, commission: int, taken: list[RefundLine]) -> RefundLine:
    return RefundLine(
        line_id=line.id,
        quantity=line.quantity - sum(part.quantity for part in taken),
        item_amount=line.price - sum(part.item_amount for part in taken),
        discount=line.discount - sum(part.discount for part in taken),
        tax=line.tax - sum(part.tax for part in taken),
        commission=commission - sum(part.commission or 0 for part in taken),
    )


def allocate_refund(purchase: Purchase, request: RefundRequest) -> RefundAllocation:
    """Allocate what a request asks for.

    Raises:
        BadInput: the request asks for more than remains, or for a line that the order does not have.
        Conflict: nothing remains.
    """
    remainder = refundable_remainder(purchase)
    if request.full:
        with_remainder = tuple(part for part in remainder.lines if _has_remainder(part))
        allocation = replace(remainder, lines=with_remainder)
        is_empty = not allocation.lines and not allocation.shipping
    elif request.amount is not None:
        if not remainder.amount:
            raise Conflict(_NOTHING_LEFT, code="nothing_left")
        if request.amount > remainder.amount:
            detail = f"`amount` must be at most {remainder.amount}, which is what remains of this order."
            raise BadInput(detail, field="$.amount", code="refund_exceeds_rest")
        if request.amount % remainder.step:
            detail = f"`amount` must be a multiple of {remainder.step} minor units in {purchase.currency}."
            raise BadInput(detail, field="$.amount")
        allocation = allocate_amount(remainder, request.amount)
        is_empty = False
    else:
        allocation = replace(remainder, lines=_allocate_units(remainder, request.lines))
        if not request.shipping:
            allocation = replace(allocation, shipping=0, shipping_tax=0)
        is_empty = not allocation.lines and not allocation.shipping
    if is_empty:
        raise Conflict(_NOTHING_LEFT, code="nothing_left")
    return _with_units_in_stock(purchase, allocation) if request.restock else allocation


def _has_remainder(part: RefundLine) -> bool:
    return part != RefundLine(line_id=part.line_id, commission=part.commission)


def _with_units_in_stock(purchase: Purchase, allocation: RefundAllocation) -> RefundAllocation:
    """Return the allocation with the units that are back in stock already, by refunds that failed since."""
    lines = tuple(
        part.model_copy(
            update={"already_restocked": min(part.quantity, restocked_but_not_refunded(purchase, part.line_id))}
        )
        for part in allocation.lines
    )
    return replace(allocation, lines=lines)


def _allocate_units(remainder: RefundAllocation, requested: tuple[tuple[str, int], ...]) -> tuple[RefundLine, ...]:
    left = {part.line_id: part for part in remainder.lines}
    parts = []
    for index, (line_id, quantity) in enumerate(requested):
        line = left.get(line_id)
        if line is None:
            raise BadInput("`line_item_id` must be a line of this order.", field=f"$.lines[{index}].line_item_id")
        if quantity > line.quantity:
            detail = f"`quantity` must be at most {line.quantity}, which is what remains of this line."
            raise BadInput(detail, field=f"$.lines[{index}].quantity", code="refund_exceeds_rest")
        part = RefundLine(
            line_id=line_id,
            quantity=quantity,
            item_amount=proportion(line.item_amount, quantity, line.quantity, remainder.step),
            discount=proportion(line.discount, quantity, line.quantity, 1),
            tax=proportion(line.tax, quantity, line.quantity, remainder.tax_step),
            commission=proportion(line.commission or 0, quantity, line.quantity, 1),
        )
        parts.append(part)
    return tuple(parts)


def allocate_amount(remainder: RefundAllocation, amount: int) -> RefundAllocation:
    """Spread an amount without units over lines and shipping, in proportion to what remains of each."""
    on_top = remainder.tax_on_top
    values = [part.item_amount + (part.tax if on_top else 0) for part in remainder.lines]
    value_of_shipping = remainder.shipping + (remainder.shipping_tax if on_top else 0)
    shares = split_in_steps(amount, [*values, value_of_shipping], remainder.step)
    parts = []
    for line, value, given in zip(remainder.lines, values, shares, strict=False):
        if given:
            tax = proportion(line.tax, given, value, remainder.tax_step)
            item_amount = given - tax if on_top else given
            discount = proportion(line.discount, given, value, 1)
            commission = proportion(line.commission or 0, given, value, 1)
            parts.append(
                RefundLine(
                    line_id=line.line_id, item_amount=item_amount, discount=discount, tax=tax, commission=commission
                )
            )
    given = shares[-1]
    tax = proportion(remainder.shipping_tax, given, value_of_shipping, remainder.tax_step) if given else 0
    return replace(remainder, lines=tuple(parts), shipping=given - tax if on_top else given, shipping_tax=tax)
