"""The audit reports each fault of a drop, and nothing of a sale, a plan or a refund under way."""

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
    abandoned = shop.open_purchase(("mug", 3), key="d")
    cancel_purchase(shop.context, abandoned.id, PLATFORM, "e", "e", NOW)
    assert is_clean(shop)
    assert audit_after_refresh(shop).stock.available == 9


def test_an_audit_between_take_and_write_or_between_placing_and_commit_finds_nothing(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[bool] = []

    def audit_before(room: Any, verb: str) -> None:
        original = getattr(type(room), verb)

        def audit_first(self: Any, *arguments: Any, **named: Any) -> Any:
            found.append(is_clean(shop, NOW))
            return original(self, *arguments, **named)

        monkeypatch.setattr(type(room), verb, audit_first)

    audit_before(shop.context.purchases, "create")
    audit_before(shop.context.purchases, "replace")
    audit_before(shop.stock, "commit")
    shop.pay(("mug", 2))
    assert found == [True] * 4


def test_the_report_lists_each_bucket_and_each_hold_with_its_purchase(shop: ShopFixture) -> None:
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


def test_lists_are_bounded_and_continue_at_a_bucket_and_counts_are_complete(shop: ShopFixture) -> None:
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


def test_an_audit_without_time_for_all_purchases_calls_no_hold_unnamed(shop: ShopFixture) -> None:
    orphan_hold(shop)
    cut = audit_drop(shop.context, "mug", LATER, lambda: True)
    assert (cut.complete, cut.discrepancies, cut.stock.held) == (False, [], 1)
    counted = audit_drop(shop.context, "mug", LATER, time_is_never_up, purchases=False)
    assert (counted.complete, counted.discrepancies, counted.stock.held) == (False, [], 1)


def test_an_unfinished_plan_is_reported_and_finished(shop: ShopFixture) -> None:
    leave_plan_unfinished(shop, 6)
    assert audit_after_refresh(shop, NOW + 59 * SECOND).mismatches == ()
    found = audit_after_refresh(shop)
    assert found.mismatches == ("stock plan 1 of 6 units was not carried out",)
    found, done, _ = repaired(shop)
    assert (done.plan_finished, found.mismatches, found.stock.size) == (True, (), 15)
    assert is_clean(shop)


@pytest.mark.parametrize("quantity", [144, -48])
def test_a_plan_applied_to_some_buckets_is_no_mismatch(
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
    """Return a write that makes ``at - 1`` writes and then fails, as if the process had died."""
    left, write = [at], StockStore.write

    def first(*arguments: Any) -> Any:
        left[0] -= 1
        if not left[0]:
            raise Unavailable("died")
        return write(*arguments)

    return first


def leave_plan_unfinished(shop: ShopFixture, quantity: int, drop_id: str = "mug", key: str = "key") -> None:
    """Record a plan, as a process does that dies afterwards."""
    store = shop.shows._store
    record = store.drop(drop_id)
    assert record is not None
    assert store.commit(record, _with_plan(record, quantity, key, "ann", NOW), "stock planned")


def test_recovery_finishes_unfinished_plans(shop: ShopFixture) -> None:
    leave_plan_unfinished(shop, 6)
    done = recover_lost_orders(shop.context, lambda *_: None, LATER)
    assert (done.plans_finished, done.failed) == (1, 0)
    assert audit_after_refresh(shop).stock.size == 15
    assert recover_lost_orders(shop.context, lambda *_: None, LATER).plans_finished == 0


def test_a_stale_summary_is_reported_after_a_quiet_minute_and_refreshed(shop: ShopFixture) -> None:
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


def test_a_missing_summary_is_written(shop: ShopFixture) -> None:
    shop.tables.dynamodb.delete_item(TableName=shop.tables.commerce, Key={"pk": {"S": "DROP#mug"}, "sk": {"S": "LIVE"}})
    assert len(audited_with_stale_summary(shop).mismatches) == 1
    assert repair_stock(shop.context, "mug", lambda *_: None, LATER, time_is_never_up)[1].summary_refreshed
    assert is_clean(shop)


def test_a_bucket_that_does_not_add_up_is_reported_by_number(shop: ShopFixture) -> None:
    put_bucket(shop, bucket(shop) | {"a": 11})
    found, _, _ = repaired(shop)
    assert found.mismatches[0] == "Bucket 0 has 11 available units and 0 in holds, its size is 9."
    assert bucket(shop)["a"] == 11


def test_an_audit_reads_buckets_and_table_a_second_time_only_for_an_unnamed_hold(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.pay(("mug", 2))
    update_summary(shop, NOW)
    called: list[str] = []
    call = BaseClient._make_api_call  # type: ignore[attr-defined]

    def recorded(self: Any, operation: str, parameters: dict[str, Any]) -> Any:
        called.append(operation)
        return call(self, operation, parameters)

    monkeypatch.setattr(BaseClient, "_make_api_call", recorded)
    audited_with_stale_summary(shop)
    expected_calls = [
        "GetItem",
        "GetItem",
        "BatchGetItem",
        "GetItem",
        "Scan",
    ]  # record, summary, buckets, record; purchases
    assert called == expected_calls
    orphan_hold(shop)
    update_summary(shop, NOW)
    called.clear()
    assert len(audited_with_stale_summary(shop).discrepancies) == 1
    assert called == [*expected_calls, "BatchGetItem", "Scan"]
    called.clear()
    audit_drop(shop.context, "mug", LATER, time_is_never_up, purchases=False)
    assert called == expected_calls[:-1]
