"""A repair changes no units that a purchase has or may have, and harms no process that moves them meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from chalicelib.capture import process_attempt
from chalicelib.checkout import cancel_purchase, complete_purchase
from chalicelib.ids import log_reference
from chalicelib.instants import MINUTE, SECOND
from chalicelib.purchase import Purchase, PurchaseState
from chalicelib.purchase.holds import order_ref_of
from chalicelib.recovery import HoldFault, RepairReport, build_audit_report, recover_lost_orders
from chalicelib.refunds import refund_order
from chalicelib.stock import HoldRef, hold_id
from tests.builders.purchases import NOW, PLATFORM, a_complete_request, a_refund_request
from tests.builders.shop import ShopFixture
from tests.recovery.corruption import (
    LATER,
    MUCH_LATER,
    audit_after_refresh,
    bucket,
    drop_entry,
    hold_faults,
    hold_of,
    is_clean,
    orphan_hold,
    put_entry,
    read_entry,
    repaired,
    set_attributes,
)


@pytest.fixture(autouse=True)
def _mug_drop(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, now=NOW - 5 * MINUTE)


def test_units_of_another_order_are_reported_and_left_unchanged(shop: ShopFixture) -> None:
    cancelled = shop.open_purchase(("mug", 2), key="a")
    cancel_purchase(shop.context, cancelled.id, PLATFORM, "c", "c", NOW)
    ended = shop.open_purchase(("mug", 1), key="b")
    names = (hold_of(cancelled).id, hold_of(ended).id)
    for name in names:
        put_entry(shop, name, {"q": 1, "o": "another00001"})
    late = NOW + 6 * MINUTE
    found, done, _ = repaired(shop, late)
    assert {one.hold_id: one.fault for one in found.discrepancies} == dict.fromkeys(names, HoldFault.FOREIGN)
    assert sorted(found.mismatches) == sorted(
        f"hold {name}: 1 units in bucket 0 are sold to order another00001, not to {state} purchase "
        f"{log_reference(one.id)} (foreign)"
        for name, state, one in ((names[0], "cancelled", cancelled), (names[1], "open", ended))
    )
    assert (done, [read_entry(shop, name)["q"] for name in names]) == (RepairReport(not_repaired=2), [1, 1])


def test_a_hold_that_a_purchase_of_another_show_names_is_not_released(shop: ShopFixture) -> None:
    """No use case leads to this; even so, a repair takes no units from a purchase."""
    held, sold = shop.open_purchase(("mug", 2), key="a"), shop.pay(("mug", 3), key="b")
    for one in (held, sold):
        set_attributes(shop, one, show_id="elsewhere")
    before = bucket(shop)
    found, done, _ = repaired(shop)
    assert ([one.fault for one in found.discrepancies], done, bucket(shop)) == ([], RepairReport(), before)


def test_a_hold_cut_short_by_max_hold_until_counts_as_no_older(shop: ShopFixture) -> None:
    line = shop.open_purchase(("mug", 1), key="a").lines[0]
    taken = orphan_hold(shop, 2)
    late = line.max_hold_until * SECOND - 30 * SECOND
    put_entry(shop, taken.id, {"q": 2, "u": line.max_hold_until})
    assert hold_faults(shop, late) == []
    assert hold_faults(shop, line.max_hold_until * SECOND + 59 * SECOND) == []
    assert hold_faults(shop, line.max_hold_until * SECOND + 60 * SECOND) == [HoldFault.UNNAMED]
    put_entry(shop, taken.id, {"q": 2, "u": line.max_hold_until + 1})
    assert hold_faults(shop, late) == [HoldFault.UNNAMED]


def test_an_order_with_an_unfinished_refund_is_committed_the_units_it_has_left(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = shop.pay(("mug", 3))

    def dies(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("chalicelib.refunds.restock._mark_restocked", dies)
        with pytest.raises(SystemExit):
            refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1), restock=True), NOW)
    put_entry(shop, hold_of(paid).id, {"q": 2, "o": f"{paid.order_ref}001", "u": NOW // SECOND + 300})
    found, done, _ = repaired(shop)
    assert ([one.fault for one in found.discrepancies], done.recommitted) == ([HoldFault.PAID_UNSOLD], 1)
    assert read_entry(shop, hold_of(paid).id) == {"q": 2, "o": f"{paid.order_ref}002"}
    recover_lost_orders(shop.context, lambda *_: None, LATER)
    assert (shop.read(paid.id).refunds[0].restocked, shop.unit_counts("mug", LATER)) == (True, (7, 0, 2))
    assert is_clean(shop, MUCH_LATER)


def test_no_log_line_and_no_report_has_a_purchase_id(shop: ShopFixture, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    held, paid = shop.open_purchase(("mug", 2), key="a"), shop.pay(("mug", 3), key="b")
    set_attributes(shop, held, state="cancelled")
    drop_entry(shop, hold_of(paid).id)
    found, done, _ = repaired(shop)
    report = json.dumps(build_audit_report(found, detail=100, repair=done))
    assert held.id not in report
    assert log_reference(held.id) in report
    assert f"ord_{paid.id}" in report
    logged = " ".join(str(vars(one)) for one in caplog.records if one.name == "livedrop")
    assert log_reference(paid.id) in logged
    assert not any(one.id in logged for one in (held, paid))


# Beside other processes.


ORPHAN = HoldRef(hold_id("x" * 22, "mug", 1, 2), 0, 2, NOW // SECOND + 300)
CHANGES: dict[str, Callable[[ShopFixture, Purchase], object]] = {
    "renewed": lambda shop, _: put_entry(shop, ORPHAN.id, {"q": 2, "u": ORPHAN.expires_at + 100}),
    "sold": lambda shop, _: put_entry(shop, ORPHAN.id, {"q": 2, "o": "another00001"}),
    "taken by another": lambda shop, _: drop_entry(shop, ORPHAN.id),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_hold_that_changes_after_the_audit_is_left_unchanged(shop: ShopFixture, change: str) -> None:
    assert orphan_hold(shop, 2) == ORPHAN
    purchase = shop.open_purchase(("mug", 1))
    (found,) = audit_after_refresh(shop).discrepancies
    assert found.status is not None
    CHANGES[change](shop, purchase)
    before = bucket(shop)
    assert not shop.stock.release_orphan(audit_after_refresh(shop).drop.pool, found.hold_id, found.status)
    assert bucket(shop) == before


def test_a_hold_named_between_the_two_readings_is_no_fault(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client repeats its request after the server died: it is shown its old hold, and its purchase is written."""
    purchase = shop.open_purchase(("mug", 2))
    key = {"pk": {"S": f"PURCHASE#{purchase.id}"}, "sk": {"S": "PURCHASE"}}
    item = shop.tables.dynamodb.get_item(TableName=shop.tables.commerce, Key=key)["Item"]
    shop.tables.dynamodb.delete_item(TableName=shop.tables.commerce, Key=key)
    original = type(shop.stock).get_hold_statuses

    def write_purchase_first(self: Any, refs: Any) -> Any:
        shop.tables.dynamodb.put_item(TableName=shop.tables.commerce, Item=item)
        return original(self, refs)

    assert hold_faults(shop) == [HoldFault.UNNAMED]
    monkeypatch.setattr(type(shop.stock), "get_hold_statuses", write_purchase_first)
    assert hold_faults(shop) == []


def test_a_buyer_whose_hold_was_released_before_completing_gets_out_of_stock(shop: ShopFixture) -> None:
    purchase = shop.open_purchase(("mug", 9))
    assert shop.stock.release_orphan(
        audit_after_refresh(shop).drop.pool, hold_of(purchase).id, _hold_status(shop, purchase)
    )
    rival = shop.pay(("mug", 9), key="rival")
    complete_purchase(shop.context, purchase.id, a_complete_request("ok", "pay"), LATER)
    process_attempt(shop.context, purchase.id, 1, LATER)
    after = shop.read(purchase.id)
    assert (after.state, after.payment and after.payment.failure) == (PurchaseState.OPEN, "out_of_stock")
    assert (shop.unit_counts("mug", LATER), shop.read(rival.id).state) == ((0, 0, 9), PurchaseState.PAID)


def _hold_status(shop: ShopFixture, purchase: Purchase) -> Any:
    (status,) = shop.stock.get_hold_statuses([(audit_after_refresh(shop).drop.pool, hold_of(purchase))])
    return status


def test_a_late_commit_or_take_of_a_released_hold_gets_nothing(shop: ShopFixture) -> None:
    sold = shop.place(("mug", 2))
    set_attributes(shop, sold, state="cancelled")
    repaired(shop)
    pool, order = audit_after_refresh(shop).drop.pool, order_ref_of(sold)
    assert type(shop.stock.commit(pool, hold_of(sold), 2, order)).__name__ == "HoldGone"
    late = shop.stock.take(pool, hold_of(sold).id, 2, NOW // SECOND + 300, None, now=LATER)
    assert type(late).__name__ == "Busy"
    assert shop.unit_counts("mug", LATER) == (9, 0, 0)


def test_a_second_repair_changes_nothing(shop: ShopFixture) -> None:
    orphan_hold(shop)
    put_entry(shop, hold_id("ghost", "mug", 1, 2), {"q": 2, "o": "ghost0000001"})
    assert repaired(shop)[1].released == 2
    before = bucket(shop)
    assert repaired(shop)[1] == RepairReport()
    assert bucket(shop) == before
