"""A purchase is one item of at most 400 KB: bounds keep it below, and a refused purchase holds nothing."""

from __future__ import annotations

import pytest

from chalicelib.checkout import create_purchase, update_purchase
from chalicelib.checkout.complete import MAX_ATTEMPTS
from chalicelib.checkout.lines import MAX_HOLDS
from chalicelib.discounts import MAX_DISCOUNTS_PER_PURCHASE, AppliedDiscount, BudgetHold, RejectionReason
from chalicelib.errors import BadInput, Conflict
from chalicelib.purchase import (
    Buyer,
    Destination,
    IdempotencyRecord,
    Payment,
    PurchaseState,
    PurchaseStore,
    Refund,
    RefundLine,
    Written,
)
from chalicelib.purchase.idempotency import MAX_CHANGES
from chalicelib.refunds import cancel_paid_order, refund_order
from chalicelib.refunds.refund import MAX_REFUND_LINES, MAX_REFUNDS
from chalicelib.stock import HoldRef
from tests.builders.purchases import NOW, a_line, a_purchase, a_purchase_request, a_refund_request
from tests.builders.shop import ShopFixture
from tests.checkout.actions import message_codes
from tests.conftest import Tables
from tests.purchase.item_size import read_item, size_of

WIDE = "\N{GRINNING FACE}"  # a character of four bytes
LINES = 100


def a_large_part() -> RefundLine:
    large = 10**12
    return RefundLine(
        line_id="li_1000_100",
        quantity=1_000_000,
        item_amount=large,
        discount=large,
        tax=large,
        commission=large,
        already_restocked=1_000_000,
    )


def a_large_refund(number: int, parts: int) -> Refund:
    part = a_large_part()
    return Refund(
        id=f"rf_{number}",
        key="k" * 11,
        fingerprint="f" * 11,
        lines=(part,) * parts,
        amount=10**15,
        shipping=10**8,
        shipping_tax=10**8,
        restock=True,
        restocked=True,
        requested_by="b" * 128,
        requested_at=NOW,
        completed_at=NOW,
        provider_id="p" * 60,
        cancels=True,
    )


def test_largest_possible_purchase_fits_into_its_item(tables: Tables) -> None:
    hold = HoldRef("h" * 11, 100_000, 1_000_000, NOW)
    line = a_line(
        id="li_1000_100",
        drop_id="d" * 64,
        sku=WIDE * 64,
        title=WIDE * 200,
        unit_price=10**12,
        quantity=10**6,
        bucket_count=10**5,
        holds=(hold,) * ((MAX_HOLDS + LINES) // LINES),
        limit_per_buyer=10**6,
        tax_category="t" * 64,
        creator_id="c" * 64,
        commission_bps=10_000,
        image_url="i" * 512,
        discount=10**12,
        tax=10**12,
        tax_rate_bps=10_000,
    )
    texts = ("first_name", "last_name", "street_address", "extended_address", "address_locality", "address_region")
    records = [
        IdempotencyRecord(key="k" * 11, fingerprint="f" * 11, attempt=number)
        for number in range(MAX_CHANGES + MAX_ATTEMPTS + 1)
    ]
    share = BudgetHold(budget="money:100000", hold=hold)
    discount = AppliedDiscount(
        code="C" * 32,
        title=WIDE * 200,
        parts=(10**12,) * LINES,
        automatic=True,
        priority=999,
        budget_holds=(share, share),
    )
    parts = MAX_REFUND_LINES // MAX_REFUNDS
    largest = a_purchase(
        state=PurchaseState.PAID,
        lines=(line,) * LINES,
        attribution={f"{number:02}" + WIDE * 62: WIDE * 500 for number in range(30)},
        buyer=Buyer(first_name=WIDE * 200, last_name=WIDE * 200, email=WIDE * 254, phone_number=WIDE * 40),
        destination=Destination(id=WIDE * 128, phone_number=WIDE * 200, **dict.fromkeys(texts, WIDE * 200)),
        idempotency_records=tuple(records),
        payment=Payment(
            handler_id="sandbox",
            instrument_id="i" * 128,
            instrument_type="t" * 64,
            token="t" * 512,
            action_url="u" * 2_048,
        ),
        discount_codes=(WIDE * 64,) * MAX_DISCOUNTS_PER_PURCHASE,
        discounts=(discount,) * MAX_DISCOUNTS_PER_PURCHASE,
        rejected_codes={
            f"{number:02}" + WIDE * 62: RejectionReason.NOT_COMBINABLE.value
            for number in range(MAX_DISCOUNTS_PER_PURCHASE)
        },
        refunds=(*(a_large_refund(number, parts) for number in range(MAX_REFUNDS)), a_large_refund(101, LINES)),
    )
    store = PurchaseStore(tables.dynamodb, tables.commerce)
    assert store.create(largest.model_copy(update={"state": PurchaseState.PLACED, "refunds": ()})) == Written()
    assert store.replace(largest.model_copy(update={"version": 2})) == Written()
    size = sum(len(name) + size_of(value) for name, value in read_item(tables, largest).items())
    assert 300_000 < size < 400 * 1024


def test_line_keeps_no_image_url_beyond_its_bound(shop: ShopFixture) -> None:
    short, long = "https://i.example/" + "a" * 494, "https://i.example/" + "a" * 495
    shop.put_drop("mug", image_url=short)
    shop.put_drop("jug", image_url=long)
    shop.put_drop("cup", image_url="https://i.example/" + "\u00e9" * 248)
    lines = shop.open_purchase(("mug", 1), ("jug", 1), ("cup", 1)).lines
    assert [line.image_url for line in lines] == [short, None, None]


def test_purchase_with_the_maximum_of_holds_does_not_grow(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.checkout.lines.MAX_HOLDS", 3)
    shop.put_drop("mug", stock=9)
    purchase = shop.open_purchase(("mug", 1))
    answers = [
        update_purchase(shop.context, purchase.id, a_purchase_request(("mug", n), key=f"k{n}"), NOW) for n in (2, 3, 4)
    ]
    assert [message_codes(answer) for answer in answers] == [[], [], ["quantity_adjusted"]]
    assert shop.read(purchase.id).lines[0].quantity == 3
    assert shop.unit_counts("mug") == (6, 3, 0)


def test_order_with_the_maximum_of_refunds_can_still_be_cancelled(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    paid = shop.pay(("mug", 3))
    nothing = {"shipping": 0, "shipping_tax": 0}
    done = tuple(a_large_refund(number, 0).model_copy(update=nothing) for number in range(MAX_REFUNDS))
    shop.context.purchases.replace(paid.model_copy(update={"version": paid.version + 1, "refunds": done}))
    before = shop.read(paid.id)
    with pytest.raises(Conflict) as refusal:
        refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)
    assert refusal.value.code == "too_many_refunds"
    assert shop.read(paid.id) == before
    _, last = cancel_paid_order(shop.context, paid.id, "cancel-1", "body", "ann", NOW)
    assert (last.lines[0].quantity, last.restocked) == (3, True)
    assert shop.unit_counts("mug") == (3, 0, 0)


def test_purchase_too_large_for_an_item_is_refused_and_holds_nothing(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    shop.put_drop("jug", stock=3)
    too_much = {"note": "x" * 420_000}
    with pytest.raises(BadInput) as refusal:
        create_purchase(shop.context, a_purchase_request(("mug", 2), ("jug", 1), attribution=too_much), NOW)
    assert (refusal.value.code, refusal.value.field) == ("purchase_too_large", "$.line_items")
    assert (shop.unit_counts("mug"), shop.unit_counts("jug")) == ((3, 0, 0), (3, 0, 0))


def test_update_that_makes_a_purchase_too_large_is_refused_and_changes_no_unit(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    purchase = shop.open_purchase(("mug", 1))
    with pytest.raises(BadInput) as refusal:
        update_purchase(
            shop.context,
            purchase.id,
            a_purchase_request(("mug", 3), key="k2", attribution={"note": "x" * 420_000}),
            NOW,
        )
    assert refusal.value.code == "purchase_too_large"
    assert shop.unit_counts("mug") == (2, 1, 0)
    after = shop.read(purchase.id)
    assert (after.lines, after.attribution) == (purchase.lines, {})
