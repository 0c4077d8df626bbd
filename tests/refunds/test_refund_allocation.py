from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.errors import BadInput, Conflict
from chalicelib.finance.entries import entries_of
from chalicelib.money import share, tax_within
from chalicelib.purchase import Line, Purchase, Refund, RefundLine, RefundRequest, Totals
from chalicelib.refunds.allocation import RefundAllocation, allocate_refund, refundable_remainder
from tests.builders.paid_orders import PAID_AT, a_paid_line, a_paid_order

COLUMNS = ("quantity", "gross", "discount", "net", "tax", "shipping", "commission", "amount")


def an_order_of(lines: list[Line], shipping: int, *, on_top: bool) -> Purchase:
    """Return a paid order of these lines, taxed at 20 %."""
    taxed = [
        line.model_copy(update={"tax": share(line.price, 2_000) if on_top else tax_within(line.price, 2_000)})
        for line in lines
    ]
    shipping_tax = share(shipping, 2_000) if on_top else tax_within(shipping, 2_000)
    tax = sum(line.tax for line in taxed) + shipping_tax
    item_amount = sum(line.price for line in taxed)
    totals = Totals(
        subtotal=sum(line.gross for line in taxed),
        discount=sum(line.discount for line in taxed),
        shipping=shipping,
        shipping_tax=shipping_tax,
        shipping_tax_rate_bps=2_000,
        tax=tax,
        tax_on_top=tax if on_top else 0,
        total=item_amount + shipping + (tax if on_top else 0),
    )
    return a_paid_order(lines=tuple(taxed), totals=totals)


def a_request(**fields: object) -> RefundRequest:
    return RefundRequest("key", "", fields.pop("lines", ()), False, "ann", **fields)  # type: ignore[arg-type]


def with_refund(purchase: Purchase, allocation: RefundAllocation) -> Purchase:
    number = len(purchase.refunds) + 1
    refund = Refund(
        id=f"rf_{number}",
        key=str(number),
        fingerprint="",
        lines=allocation.lines,
        amount=allocation.amount,
        shipping=allocation.shipping,
        shipping_tax=allocation.shipping_tax,
        restock=False,
        requested_at=PAID_AT,
        completed_at=PAID_AT + number,
    )
    return purchase.model_copy(update={"refunds": (*purchase.refunds, refund)})


@st.composite
def orders(draw: st.DrawFn) -> Purchase:
    lines = []
    for number in range(draw(st.integers(1, 4))):
        line = a_paid_line(
            id=f"li_{number}",
            unit_price=draw(st.integers(0, 5_000)),
            quantity=draw(st.integers(1, 9)),
            commission_bps=850,
        )
        lines.append(line.model_copy(update={"discount": draw(st.integers(0, line.gross))}))
    return an_order_of(lines, draw(st.sampled_from([0, 1, 395])), on_top=draw(st.booleans()))


@given(orders(), st.data())
def test_refunds_in_any_order_add_up_and_end_at_zero(order: Purchase, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(0, 6))):
        left = refundable_remainder(order)
        kinds: list[tuple[str, RefundLine | None]] = [("shipping", None)] if left.shipping else []
        kinds += [("amount", None)] if left.amount else []
        kinds += [("units", part) for part in left.lines if part.quantity]
        if not kinds:
            break
        kind, part = data.draw(st.sampled_from(kinds))
        if kind == "units":
            assert part is not None
            request = a_request(lines=((part.line_id, data.draw(st.integers(1, part.quantity))),))
        elif kind == "amount":
            request = a_request(amount=data.draw(st.integers(1, left.amount)))
        else:
            request = a_request(shipping=True)
        back = allocate_refund(order, request)
        if request.amount is not None:
            assert back.amount == request.amount
            assert all(part.quantity == 0 for part in back.lines)
        order = with_refund(order, back)
        rest = refundable_remainder(order)
        assert min(rest.amount, rest.shipping, rest.shipping_tax) >= 0
        assert all(min(part.quantity, part.item_amount, part.tax, part.discount) >= 0 for part in rest.lines)
    try:
        order = with_refund(order, allocate_refund(order, a_request(full=True)))
    except Conflict:
        assert refundable_remainder(order).amount == 0
    assert sum(refund.amount for refund in order.refunds) == order.totals.total
    entries = list(entries_of(order, "Europe/London"))
    assert {column: sum(getattr(entry, column) for entry in entries) for column in COLUMNS} == dict.fromkeys(COLUMNS, 0)


def test_units_refunded_after_an_amount_get_the_rest_of_their_line() -> None:
    order = an_order_of([a_paid_line(unit_price=1_000, quantity=2)], 0, on_top=False)
    order = with_refund(order, allocate_refund(order, a_request(amount=500)))
    (line,) = allocate_refund(order, a_request(lines=(("li_1", 1),))).lines
    assert (line.quantity, line.item_amount) == (1, 750)


def test_amount_is_spread_in_proportion_to_the_remainder() -> None:
    order = an_order_of(
        [a_paid_line(id="a", unit_price=300, quantity=1), a_paid_line(id="b", unit_price=100, quantity=1)],
        100,
        on_top=False,
    )
    back = allocate_refund(order, a_request(amount=50))
    assert [(part.line_id, part.item_amount) for part in back.lines] == [("a", 30), ("b", 10)]
    assert (back.shipping, back.amount) == (10, 50)


@pytest.mark.parametrize(
    ("refund_request", "field"),
    [
        (a_request(amount=10_000_000), "$.amount"),
        (a_request(lines=(("li_9", 1),)), "$.lines[0].line_item_id"),
        (a_request(lines=(("li_1", 99),)), "$.lines[0].quantity"),
    ],
)
def test_request_beyond_the_remainder_is_refused_and_named(refund_request: RefundRequest, field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        allocate_refund(a_paid_order(), refund_request)
    assert refusal.value.field == field


def test_refund_of_a_fully_refunded_order_is_a_conflict() -> None:
    order = a_paid_order()
    order = with_refund(order, allocate_refund(order, a_request(full=True)))
    for request in (a_request(full=True), a_request(shipping=True), a_request(amount=1)):
        with pytest.raises(Conflict) as refusal:
            allocate_refund(order, request)
        assert refusal.value.code == "nothing_left"
