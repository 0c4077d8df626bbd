from __future__ import annotations

import pytest

from chalicelib.errors import BadInput, Conflict, NotFound
from chalicelib.finance import EntryType, entries_of
from chalicelib.instants import MINUTE
from chalicelib.purchase import Purchase, PurchaseState, PurchaseStore
from chalicelib.recovery import recover_lost_orders
from chalicelib.refunds import cancel_paid_order, refund_order
from chalicelib.stock import Stock
from tests.builders.purchases import NOW, a_refund_request
from tests.builders.shop import ShopFixture, once


def test_refund_without_restock_returns_the_price_and_leaves_stock_alone(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    paid = shop.pay(("mug", 3))
    after, refund = refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 2)), NOW)
    assert (refund.amount, refund.completed_at, refund.restocked) == (2 * 1_275, NOW, False)
    assert after.state is PurchaseState.PAID
    assert shop.unit_counts("mug") == (0, 0, 3)


def test_repeated_refund_refunds_once(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    paid = shop.pay(("mug", 3))
    request = a_refund_request((paid.lines[0].id, 1), restock=True)
    first = refund_order(shop.context, paid.id, request, NOW)
    again = refund_order(shop.context, paid.id, request, NOW + MINUTE)
    assert again == first
    assert shop.unit_counts("mug") == (1, 0, 2)
    with pytest.raises(Conflict) as refusal:
        refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 2), restock=True), NOW)
    assert refusal.value.code == "idempotency_conflict"


def test_restocked_units_can_be_bought_again(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=2)
    paid = shop.pay(("mug", 2))
    line = paid.lines[0].id
    refund_order(shop.context, paid.id, a_refund_request((line, 1), restock=True), NOW)
    refund_order(shop.context, paid.id, a_refund_request((line, 1), key="refund-2", restock=True), NOW)
    assert shop.unit_counts("mug") == (2, 0, 0)


def test_refund_beyond_the_order_is_refused(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=2)
    paid = shop.pay(("mug", 2))
    line = paid.lines[0].id
    refund_order(shop.context, paid.id, a_refund_request((line, 1)), NOW)
    before = shop.read(paid.id)
    with pytest.raises(BadInput) as refusal:
        refund_order(shop.context, paid.id, a_refund_request((line, 2), key="refund-2"), NOW)
    assert (refusal.value.code, refusal.value.field) == ("refund_exceeds_rest", "$.lines[0].quantity")
    assert shop.read(paid.id) == before


def test_order_refunded_in_parts_and_cancelled_nets_to_zero(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=7, unit_price={"amount": 333, "currency": "GBP"})
    paid = shop.pay(("mug", 7))
    line = paid.lines[0].id
    refund_order(shop.context, paid.id, a_refund_request((line, 3)), NOW)
    after, _ = cancel_paid_order(shop.context, paid.id, "cancel", "", "bob", NOW)
    assert sum(refund.amount for refund in after.refunds) == paid.totals.total
    taxes = sum(part.tax for refund in after.refunds for part in refund.lines)
    taxes += sum(refund.shipping_tax for refund in after.refunds)
    assert taxes == paid.totals.tax
    assert (after.cancelled_at, [refund.requested_by for refund in after.refunds]) == (NOW, ["ann", "bob"])
    assert shop.unit_counts("mug") == (4, 0, 3)
    with pytest.raises(Conflict) as refusal:
        cancel_paid_order(shop.context, paid.id, "cancel-2", "", "bob", NOW)
    assert refusal.value.code == "nothing_left"


def test_cancellation_during_a_refund_refunds_the_rest(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put_drop("mug", stock=3)
    paid = shop.pay(("mug", 3))

    def rival() -> None:
        refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW)

    once(monkeypatch, PurchaseStore, "replace", before=rival)
    after, refund = cancel_paid_order(shop.context, paid.id, "cancel", "", "bob", NOW)
    assert [part.quantity for part in refund.lines] == [2]
    assert sum(refund.amount for refund in after.refunds) == paid.totals.total
    assert (after.cancelled_at, shop.unit_counts("mug")) == (NOW, (2, 0, 1))


@pytest.mark.parametrize("later", [1, 2])
def test_refund_overtaken_by_a_later_one_finds_its_units_restocked(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch, later: int
) -> None:
    shop.put_drop("mug", stock=3)
    paid = shop.pay(("mug", 3))
    line = paid.lines[0].id

    def rival() -> None:
        refund_order(shop.context, paid.id, a_refund_request((line, later), key="refund-2", restock=True), NOW)

    once(monkeypatch, Stock, "restock", before=rival)
    after, refund = refund_order(shop.context, paid.id, a_refund_request((line, 1), restock=True), NOW)
    assert (refund.completed_at, [refund.restocked for refund in after.refunds]) == (NOW, [True, True])
    assert shop.read(paid.id) == after
    assert shop.unit_counts("mug") == (1 + later, 0, 2 - later)


def test_refund_interrupted_halfway_is_finished_by_recovery(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.put_drop("mug", stock=2)
    paid = shop.pay(("mug", 2))
    real = type(shop.stock).restock

    def die(*_: object, **__: object) -> None:
        raise SystemExit

    monkeypatch.setattr(type(shop.stock), "restock", die)
    with pytest.raises(SystemExit):
        refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 2), restock=True), NOW)
    monkeypatch.setattr(type(shop.stock), "restock", real)
    refund = shop.read(paid.id).refunds[0]
    assert (refund.completed_at, refund.restocked, shop.unit_counts("mug")) == (NOW, False, (0, 0, 2))
    later = NOW + 2 * MINUTE
    assert recover_lost_orders(shop.context, lambda *_: None, later).refunds_finished == 1
    refund = shop.read(paid.id).refunds[0]
    assert (refund.completed_at, refund.restocked) == (NOW, True)
    assert shop.unit_counts("mug") == (2, 0, 0)


def test_refund_of_an_unknown_order_or_line_is_refused(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9)
    with pytest.raises(NotFound):
        refund_order(shop.context, "B" * 22, a_refund_request(("li_1", 1)), NOW)
    purchase = shop.open_purchase(("mug", 1))
    with pytest.raises(NotFound):
        refund_order(shop.context, purchase.id, a_refund_request((purchase.lines[0].id, 1)), NOW)
    placed = shop.place(("mug", 1), key="other")
    with pytest.raises(Conflict):
        refund_order(shop.context, placed.id, a_refund_request((placed.lines[0].id, 1)), NOW)
    paid = shop.pay(("mug", 1), key="third")
    with pytest.raises(BadInput) as refusal:
        refund_order(shop.context, paid.id, a_refund_request(("li_9", 1)), NOW)
    assert refusal.value.field == "$.lines[0].line_item_id"


def refund_in_console(shop: ShopFixture, paid: Purchase, amount: int) -> None:
    shop.gateway.refund(f"sbx_{paid.id}#1", refund_id="console", amount=amount, now=NOW)


def test_refund_declined_by_the_provider_ends_and_the_next_one_completes(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=3)
    paid = shop.pay(("mug", 3))
    line, total = paid.lines[0].id, paid.totals.total
    refund_in_console(shop, paid, total - 1_275)
    with pytest.raises(Conflict) as refusal:
        refund_order(shop.context, paid.id, a_refund_request((line, 2), restock=True), NOW)
    assert refusal.value.code == "refund_refused"
    (refused,) = shop.read(paid.id).refunds
    assert (refused.failure_code, refused.completed_at, refused.provider_id) == ("amount_too_large", None, None)
    assert {row.entry_type for row in entries_of(shop.read(paid.id), "Europe/London")}.isdisjoint({EntryType.REFUND})
    assert shop.unit_counts("mug") == (0, 0, 3)
    after, second = refund_order(shop.context, paid.id, a_refund_request((line, 1), key="refund-2", restock=True), NOW)
    assert (second.amount, second.completed_at) == (1_275, NOW)
    assert shop.unit_counts("mug") == (1, 0, 2)
    with pytest.raises(Conflict):
        refund_order(shop.context, paid.id, a_refund_request((line, 2), restock=True), NOW)
    assert shop.read(paid.id) == after


def test_cancellation_declined_by_the_provider_leaves_the_order_uncancelled(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=1)
    paid = shop.pay(("mug", 1))
    refund_in_console(shop, paid, 1)
    with pytest.raises(Conflict) as refusal:
        cancel_paid_order(shop.context, paid.id, "cancel-1", "", "ann", NOW)
    assert refusal.value.code == "refund_refused"
    assert shop.read(paid.id).cancelled_at is None
    assert shop.unit_counts("mug") == (0, 0, 1)
