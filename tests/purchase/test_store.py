from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from chalicelib.discounts import AppliedDiscount, BudgetHold
from chalicelib.purchase import (
    Dispute,
    DisputeLoss,
    IdempotencyRecord,
    Payment,
    PurchaseState,
    PurchaseStore,
    Refund,
    RefundLine,
    Refused,
    Totals,
    Written,
)
from chalicelib.purchase.short_names import LONG, SHORT
from chalicelib.purchase.store import purchase_from_item
from chalicelib.stock import HoldRef
from tests.builders.purchases import BUYER, NOW, a_line, a_purchase
from tests.conftest import Tables
from tests.purchase.item_size import read_item, size_of

PAID = a_purchase(
    version=3,
    state=PurchaseState.PAID,
    show_id="black-friday-2026",
    channel="tiktok",
    lines=(
        a_line(
            drop_id="black-friday-2026-22423-1275",
            holds=(HoldRef("Q2hyaXN0bWF", 3, 1, NOW // 1000 + 300),),
            tax=213,
            tax_rate_bps=2_000,
            creator_id="creator-1",
            commission_bps=1_000,
            limit_per_buyer=2,
        ),
    ),
    totals=Totals(subtotal=1_275, shipping=395, shipping_tax=66, shipping_tax_rate_bps=2_000, tax=279, total=1_670),
    buyer=BUYER.model_copy(update={"phone_number": "+447700900123"}),
    idempotency_records=(
        IdempotencyRecord(key="A" * 11, fingerprint="B" * 11),
        IdempotencyRecord(key="C" * 11, fingerprint="D" * 11, attempt=1),
    ),
    attempt=1,
    epoch=1,
    placed_at=NOW,
    paid_at=NOW,
    payment=Payment(
        handler_id="sandbox",
        instrument_id="instrument_1",
        provider_id="pi_3MtwBwLkdIwHu7ix28a3tqPa",
        charge_id="ch_3MmlLrLkdIwHu7ix0snN0B15",
        fee=45,
    ),
    attribution={"channel": "tiktok", "creator": "creator-1"},
)


def test_paid_purchase_of_one_line_fits_one_write_unit(tables: Tables) -> None:
    PurchaseStore(tables.dynamodb, tables.commerce).create(PAID)
    assert sum(len(name) + size_of(value) for name, value in read_item(tables, PAID).items()) < 1_024


def test_paid_purchase_with_a_discount_and_its_budget_fits_one_write_unit(tables: Tables) -> None:
    share = BudgetHold(budget="uses:42", hold=HoldRef("Q2hyaXN0bWF", 3, 1, NOW // 1000 + 300))
    discount = AppliedDiscount(code="WELCOME10", title="A tenth off", parts=(128,), budget_holds=(share,))
    changes = {
        "lines": (PAID.lines[0].model_copy(update={"discount": 128}),),
        "totals": PAID.totals.model_copy(update={"discount": 128}),
        "discount_codes": ("WELCOME10",),
        "discounts": (discount,),
    }
    purchase, store = PAID.model_copy(update=changes), PurchaseStore(tables.dynamodb, tables.commerce)
    store.create(purchase)
    assert sum(len(name) + size_of(value) for name, value in read_item(tables, purchase).items()) < 1_024
    assert store.read(purchase.id) == purchase


def test_stored_purchase_is_read_unchanged(tables: Tables) -> None:
    part = RefundLine(line_id="li_1_1", quantity=1, item_amount=1_275, tax=213)
    refund = Refund(id="rf_1", key="k", fingerprint="f", lines=(part,), amount=1_275, restock=True, requested_at=NOW)
    newer = refund.model_copy(
        update={"id": "rf_2", "lines": (part.model_copy(update={"commission": 0, "already_restocked": 1}),)}
    )
    failed = refund.model_copy(update={"id": "rf_3", "completed_at": NOW, "failure_code": "declined", "failed_at": NOW})
    loss = DisputeLoss(amount=5, lines=(part,), lost_at=NOW, restored_at=NOW)
    dispute = Dispute(id="dp_1", status="won", amount=5, currency="GBP", opened_at=NOW, losses=(loss,))
    changes = {"refunds": (refund, newer, failed), "disputes": (dispute,)}
    purchase = PAID.model_copy(update=changes | {"attribution": {"total": "a", "k": "b", "q": "c"}})
    store = PurchaseStore(tables.dynamodb, tables.commerce)
    assert store.create(purchase) == Written()
    assert store.read(purchase.id) == purchase
    assert list(store.scan()) == [purchase]
    assert purchase_from_item(read_item(tables, purchase)) == purchase


def test_short_names_are_distinct() -> None:
    assert len(LONG) == len(SHORT)
    assert not set(LONG) & set(SHORT)


def test_second_create_is_refused(tables: Tables) -> None:
    store = PurchaseStore(tables.dynamodb, tables.commerce)
    store.create(PAID)
    assert store.create(PAID.model_copy(update={"version": 9})) == Refused(PAID)
    assert store.read(PAID.id) == PAID


def test_version_is_replaced_by_the_next_version_alone(tables: Tables) -> None:
    store = PurchaseStore(tables.dynamodb, tables.commerce)
    store.create(PAID)
    skipped = PAID.model_copy(update={"version": 5})
    assert store.replace(skipped) == Refused(PAID)
    following = PAID.model_copy(update={"version": 4})
    assert store.replace(following) == Written()
    assert store.replace(following) == Refused(following)


BROKEN: dict[str, dict[str, Any]] = {
    "a buyer that is no map": {"buyer": {"S": "ada@example.com"}},
    "a name that is a number": {"buyer": {"M": {"email": {"S": "ada@example.com"}, "first_name": {"N": "7"}}}},
    "an address in a list": {"destination": {"L": [{"S": "12 St James's Square"}, {"S": "London"}]}},
    "an attribute nobody knows": {"note": {"S": "ring at Byron's"}},
    "a state nobody knows": {"state": {"S": "London"}},
}


@pytest.mark.parametrize("fault", BROKEN)
def test_error_about_a_broken_item_contains_no_personal_data(tables: Tables, fault: str) -> None:
    PurchaseStore(tables.dynamodb, tables.commerce).create(a_purchase())
    item = read_item(tables, a_purchase()) | BROKEN[fault]
    with pytest.raises(ValidationError) as error:
        purchase_from_item(item)
    text = str(error.value)
    assert "validation error for Purchase" in text
    assert [word for word in ("ada@", "Byron", "James", "London", "SW1Y") if word in text] == []
