"""The audit: what it tells of a drop, and that a sale, a plan or a refund under way is no mismatch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.client import BaseClient

from chalicelib.capture import process_attempt
from chalicelib.checkout import cancel_purchase, complete_purchase, update_purchase
from chalicelib.errors import NotFound, Unavailable
from chalicelib.ids import log_reference
from chalicelib.instants import MINUTE, SECOND
from chalicelib.purchase import PurchaseState
from chalicelib.recovery import audit_drop, build_audit_report, recover_lost_orders, repair_stock
from chalicelib.refunds import cancel_paid_order, refund_order
from chalicelib.shows.stock_adjustments import _with_plan
from chalicelib.stock.store import StockStore
from tests.builders.purchases import NOW, PLATFORM, a_complete_request, a_purchase_request, a_refund_request
from tests.builders.shop import ShopFixture
from tests.recovery.corruption import (
    LATER,
    audit_after_refresh,
    audited_with_stale_summary,
    bucket,
    hold_of,
    is_clean,
    orphan_hold,
    put_bucket,
    repaired,
    time_is_never_up,
    update_summary,
)


@pytest.fixture(autouse=True)
def _mug_drop(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, now=NOW - 5 * MINUTE)


def test_a_sale_at_each_of_its_steps_is_no_mismatch(shop: ShopFixture) -> None:
    assert is_clean(shop, NOW)
    purchase = shop.open_purchase(("mug", 2))
    for now in (NOW, LATER, NOW + 10 * MINUTE):
        assert is_clean(shop, now)
    complete_purchase(shop.context, purchase.id, a_complete_request("ok", "pay"), NOW)
    placed = shop.read(purchase.id)
    assert is_clean(shop, NOW)
    process_attempt(shop.context, placed.id, placed.attempt, NOW)
    for now in (NOW, LATER, NOW + 10 * MINUTE):
        assert is_clean(shop, now)
    line = placed.lines[0].id
    refund_order(shop.context, placed.id, a_refund_request((line, 1), restock=True), NOW)
    assert is_clean(shop, NOW + 10 * MINUTE)
    cancel_paid_order(shop.context, placed.id, "c", "c", "ann", NOW)
    assert is_clean(shop, NOW + 10 * MINUTE)
    assert audit_after_refresh(shop).stock.sold == 0


def test_declined_changed_and_cancelled_purchases_are_no_mismatch(shop: ShopFixture) -> None:
    declined = shop.place(("mug", 2), token="declined", key="a")
    process_attempt(shop.context, declined.id, 1, NOW)
    assert shop.read(declined.id).state is PurchaseState.OPEN
    assert is_clean(shop)
    update_purchase(shop.context, declined.id, a_purchase_request(("mug", 1), key="b"), NOW)
    assert is_clean(shop)
    cancel_purchase(shop.context, declined.id, PLATFORM, "c", "c", NOW)
    given_up = shop.open_purchase(("mug", 3), key="d")
    cancel_purchase(shop.context, given_up.id, PLATFORM, "e", "e", NOW)
    assert is_clean(shop)
    assert audit_after_refresh(shop).stock.available == 9


def test_between_take_and_purchase_and_between_freeze_and_sell_nothing_is_found(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []

    def audited_before(room: Any, verb: str) -> None:
        does = getattr(type(room), verb)

        def first_an_audit(self: Any, *arguments: Any, **named: Any) -> Any:
            found.append(is_clean(shop, NOW))
            return does(self, *arguments, **named)

        monkeypatch.setattr(type(room), verb, first_an_audit)

    audited_before(shop.context.purchases, "create")
    audited_before(shop.context.purchases, "replace")
    audited_before(shop.stock, "commit")
    shop.pay(("mug", 2))
    assert found == [True] * 5


def test_the_report_tells_each_bucket_each_hold_and_its_purchase(shop: ShopFixture) -> None:
    paid, held = shop.pay(("mug", 2), key="a"), shop.open_purchase(("mug", 1), key="b")
    update_summary(shop, NOW)
    report = build_audit_report(audit_after_refresh(shop), detail=100)
    until = "2026-11-27T19:05:00.000Z"
    holds = sorted(report.pop("holds"), key=lambda one: one["state"])
    assert holds == [
        {"hold_id": hold_of(held).id, "bucket": 0, "quantity": 1, "state": "held", "until": until, "order": None,
         "purchase": log_reference(held.id), "purchase_state": "open", "order_id": None},
        {"hold_id": hold_of(paid).id, "bucket": 0, "quantity": 2, "state": "sold", "until": None,
         "order": f"{paid.order_ref}001", "purchase": log_reference(paid.id), "purchase_state": "paid",
         "order_id": f"ord_{paid.id}"},
    ]  # fmt: skip
    assert report == {
        "drop_id": "mug", "as_of": "2026-11-27T19:02:00.000Z", "size": 9, "available": 6, "held": 1, "sold": 2,
        "lapsed_at_risk": 0, "complete": True, "mismatches": [], "sold_by_order": {paid.order_ref: 2},
        "counts": {"buckets": 1, "holds": 2, "orders": 1, "purchases": 2, "buyers": 0, "mismatches": 0,
                   "unnamed_holds": 0, "missing_holds": 0, "miscounts": 0, "by_reason": {}},
        "buckets": [{"bucket": 0, "size": 9, "available": 6, "held": 1, "sold": 2, "lapsed": 0}],
        "unnamed_holds": [], "missing_holds": [], "plan": None,
        "summary": {"size": 9, "available": 6, "held": 1, "sold": 2, "as_of": "2026-11-27T19:02:00.000Z",
                    "differs": False},
    }  # fmt: skip


def test_lists_are_bounded_and_read_on_from_a_bucket_and_counts_are_whole(shop: ShopFixture) -> None:
    shop.put_drop("big", stock=72)
    purchases = [shop.open_purchase(("big", 1), key=f"k{n}") for n in range(8)]
    found = audit_drop(shop.context, "big", NOW, time_is_never_up)
    short = build_audit_report(found, detail=2)
    assert (len(short["holds"]), len(short["buckets"])) == (2, 2)
    assert (short["counts"]["holds"], short["counts"]["buckets"], short["held"]) == (8, 3, 8)
    rest = build_audit_report(found, detail=100, from_bucket=2)
    assert [one["bucket"] for one in rest["buckets"]] == [2]
    there = {hold_of(one).id for one in purchases if hold_of(one).bucket == 2}
    assert {one["hold_id"] for one in rest["holds"]} == there != set()


def test_an_unknown_drop_is_not_found(shop: ShopFixture) -> None:
    with pytest.raises(NotFound):
        audit_drop(shop.context, "nothing", NOW, time_is_never_up)
    with pytest.raises(NotFound):
        repair_stock(shop.context, "nothing", lambda *_: None, NOW, time_is_never_up)


def test_without_time_for_all_purchases_nothing_is_called_unnamed(shop: ShopFixture) -> None:
    orphan_hold(shop)
    cut = audit_drop(shop.context, "mug", LATER, lambda: True)
    assert (cut.complete, cut.discrepancies, cut.stock.held) == (False, [], 1)
    counted = audit_drop(shop.context, "mug", LATER, time_is_never_up, purchases=False)
    assert (counted.complete, counted.discrepancies, counted.stock.held) == (False, [], 1)


def test_a_plan_that_was_left_behind_is_told_and_carried_out(shop: ShopFixture) -> None:
    leave_plan_unfinished(shop, 6)
    assert audit_after_refresh(shop, NOW + 59 * SECOND).mismatches == ()
    found = audit_after_refresh(shop)
    assert found.mismatches == ("stock plan 1 of 6 units was not carried out",)
    found, done, _ = repaired(shop)
    assert (done.plan_finished, found.mismatches, found.stock.size) == (True, (), 15)
    assert is_clean(shop)


@pytest.mark.parametrize("quantity", [144, -48])
def test_a_plan_that_has_reached_some_buckets_is_no_mismatch(
    shop: ShopFixture, quantity: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.put_drop("mug-2", stock=144, now=NOW - 5 * MINUTE)
    for dies_at in (1, 2, 3):
        leave_plan_unfinished(shop, quantity, "mug-2", key=f"key-{dies_at}")
        with monkeypatch.context() as patch:
            patch.setattr(StockStore, "write", dies_at_write(dies_at))
            with pytest.raises(Unavailable):
                shop.shows.finish_pending_plan("mug-2", NOW)
        found = audit_drop(shop.context, "mug-2", NOW, time_is_never_up)
        assert (found.mismatches, found.plan is not None) == ((), True)
        assert repair_stock(shop.context, "mug-2", lambda *_: None, NOW, time_is_never_up)[1].plan_finished
        after = audit_drop(shop.context, "mug-2", NOW, time_is_never_up)
        assert (after.mismatches, after.plan) == ((), None)


def dies_at_write(at: int) -> Callable[..., Any]:
    """A write that the process does not live to make, after ``at - 1`` that it made."""
    left, write = [at], StockStore.write

    def first(*arguments: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise Unavailable("died")
        return write(*arguments)

    return first


def leave_plan_unfinished(shop: ShopFixture, quantity: int, drop_id: str = "mug", key: str = "key") -> None:
    """A plan that a process recorded before it died."""
    store = shop.shows._store
    record = store.drop(drop_id)
    assert record is not None
    assert store.commit(record, _with_plan(record, quantity, key, "ann", NOW), "stock planned")


def test_the_daily_repair_carries_out_plans_that_were_left_behind(shop: ShopFixture) -> None:
    leave_plan_unfinished(shop, 6)
    done = recover_lost_orders(shop.context, lambda *_: None, LATER)
    assert (done.plans_finished, done.failed) == (1, 0)
    assert audit_after_refresh(shop).stock.size == 15
    assert recover_lost_orders(shop.context, lambda *_: None, LATER).plans_finished == 0


def test_a_summary_that_stays_behind_is_told_after_a_quiet_minute_and_made_anew(shop: ShopFixture) -> None:
    shop.open_purchase(("mug", 2))
    found = audited_with_stale_summary(shop, NOW + SECOND)
    assert (found.summary_differs, found.mismatches) == (True, ())
    assert audited_with_stale_summary(shop).mismatches == (
        "the live summary is not what the buckets add up to, and nothing changed for a minute",
    )
    assert repair_stock(shop.context, "mug", lambda *_: None, LATER, time_is_never_up)[1].summary_refreshed
    after = audited_with_stale_summary(shop)
    assert (after.summary_differs, after.mismatches) == (False, ())
    assert not repair_stock(shop.context, "mug", lambda *_: None, LATER, time_is_never_up)[1].summary_refreshed


def test_a_summary_that_is_missing_is_made(shop: ShopFixture) -> None:
    shop.tables.dynamodb.delete_item(TableName=shop.tables.commerce, Key={"pk": {"S": "DROP#mug"}, "sk": {"S": "LIVE"}})
    assert len(audited_with_stale_summary(shop).mismatches) == 1
    assert repair_stock(shop.context, "mug", lambda *_: None, LATER, time_is_never_up)[1].summary_refreshed
    assert is_clean(shop)


def test_a_bucket_that_does_not_add_up_is_told_by_name(shop: ShopFixture) -> None:
    put_bucket(shop, bucket(shop) | {"a": 11})
    found, _, _ = repaired(shop)
    assert found.mismatches[0] == "Bucket 0 has 11 available units and 0 in holds, its size is 9."
    assert bucket(shop)["a"] == 11


def test_an_audit_reads_buckets_and_table_once_and_once_more_only_where_units_seem_nobodys(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.pay(("mug", 2))
    update_summary(shop, NOW)
    called: list[str] = []
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def noted(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        called.append(operation)
        return call(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", noted)
    audited_with_stale_summary(shop)
    well = ["GetItem", "GetItem", "BatchGetItem", "GetItem", "Scan"]  # record, summary, buckets, record; purchases
    assert called == well
    orphan_hold(shop)
    update_summary(shop, NOW)
    called.clear()
    assert len(audited_with_stale_summary(shop).discrepancies) == 1
    assert called == [*well, "BatchGetItem", "Scan"]
    called.clear()
    audit_drop(shop.context, "mug", LATER, time_is_never_up, purchases=False)
    assert called == well[:-1]
