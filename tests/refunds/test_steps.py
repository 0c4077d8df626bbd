"""Every amount that a buyer pays or gets back is one that the provider can express, in every currency it charges."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.currencies import step
from chalicelib.discounts import ActiveDiscount, Discount, PricingInput, apply_discounts
from chalicelib.errors import BadInput
from chalicelib.payments.stripe.currencies import from_provider_amount, to_provider_amount
from chalicelib.pricing import Market, ShippingOption
from chalicelib.purchase import Line, Purchase, RefundRequest
from chalicelib.purchase.totals import totals_of, with_tax
from chalicelib.refunds.allocation import allocate_refund, refundable_remainder
from tests.builders.paid_orders import a_paid_line, a_paid_order
from tests.refunds.test_refund_allocation import a_request, with_refund

CURRENCIES = ["KWD", "MGA", "ISK", "JPY", "GBP"]


@st.composite
def orders(draw: st.DrawFn) -> Purchase:
    """Draw an order as checkout prices it: lines, a percentage and an amount off, tax on top or contained, shipping."""
    currency = draw(st.sampled_from(CURRENCIES))
    unit = step(currency)
    lines = [
        a_paid_line(
            id=f"li_{number}",
            drop_id=f"d{number}",
            unit_price=draw(st.integers(1, 5_000)) * unit,
            quantity=draw(st.integers(1, 7)),
        )
        for number in range(draw(st.integers(1, 4)))
    ]
    codes = {
        "P": Discount(code="P", title="P", combinable=True, percent_bps=draw(st.integers(1, 9_999))),
        "A": Discount(code="A", title="A", combinable=True, amount=draw(st.integers(1, 900)) * unit, currency=currency),
    }
    pricing = PricingInput("s", currency, [(line.drop_id, line.gross) for line in lines], {})
    applied, _ = apply_discounts(pricing, {code: ActiveDiscount(one) for code, one in codes.items()}, (), 0)
    market = Market(
        id="XX",
        tax_included=draw(st.booleans()),
        standard_rate_bps=draw(st.integers(0, 3_000)),
        shipping=(ShippingOption(id="post", title="Post", price={currency: draw(st.integers(0, 99)) * unit}),),
    )
    taxed = [_taxed(line, sum(one.parts[i] for one in applied), market, currency) for i, line in enumerate(lines)]
    totals = totals_of(taxed, market, market.shipping[0], currency)
    return a_paid_order(lines=tuple(taxed), totals=totals, currency=currency)


def _taxed(line: Line, discount: int, market: Market, currency: str) -> Line:
    return with_tax(line.model_copy(update={"discount": discount}), market, currency)


def expressible(amount: int, currency: str) -> bool:
    return from_provider_amount(to_provider_amount(amount, currency), currency) == amount


@given(orders())
def test_total_after_discounts_and_tax_is_one_that_the_provider_can_express(order: Purchase) -> None:
    assert expressible(order.totals.total, order.currency)
    assert all(expressible(line.price, order.currency) for line in order.lines)


@given(orders(), st.data())
def test_every_refund_is_one_that_the_provider_can_express_and_all_add_up(order: Purchase, data: st.DataObject) -> None:
    refunded = 0
    for _ in range(data.draw(st.integers(0, 4))):
        left = refundable_remainder(order)
        units = [part for part in left.lines if part.quantity]
        request: RefundRequest | None = None
        by_units: bool = data.draw(st.booleans())
        if units and by_units:
            part = data.draw(st.sampled_from(units))
            request = a_request(lines=((part.line_id, data.draw(st.integers(1, part.quantity))),))
        elif left.amount:
            steps = data.draw(st.integers(1, left.amount // step(order.currency)))
            request = a_request(amount=steps * step(order.currency))
        if request is None:
            break
        refund = allocate_refund(order, request)
        assert expressible(refund.amount, order.currency)
        refunded += refund.amount
        order = with_refund(order, refund)
    rest = refundable_remainder(order).amount
    assert refunded + rest == order.totals.total
    assert expressible(rest, order.currency)


@pytest.mark.parametrize(("currency", "amount", "good"), [("KWD", 1_005, 1_010), ("MGA", 150, 200)])
def test_refund_between_two_steps_is_refused_with_its_field(currency: str, amount: int, good: int) -> None:
    fields: dict[str, Any] = {"currency": currency}
    order = a_paid_order(**fields)
    assert allocate_refund(order, a_request(amount=good)).amount == good
    with pytest.raises(BadInput, match="must be a multiple of") as refusal:
        allocate_refund(order, a_request(amount=amount))
    assert refusal.value.field == "$.amount"
