"""A repair finds each kind of fault by its name and removes it."""

from __future__ import annotations

import pytest

from chalicelib.capture import process_attempt
from chalicelib.checkout import complete_purchase
from chalicelib.ids import log_reference
from chalicelib.instants import MINUTE, SECOND
from chalicelib.purchase import Purchase, PurchaseState
from chalicelib.recovery import HoldFault, RepairReport, audit_drop
from chalicelib.refunds import cancel_paid_order, refund_order
from chalicelib.stock import hold_id
from tests.builders.purchases import NOW, a_complete_request, a_refund_request
from tests.builders.shop import ShopFixture
from tests.recovery.corruption import (
    LATER,
    MUCH_LATER,
    a_mug,
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
    time_is_never_up,
)


@pytest.fixture(autouse=True)
def _mug_drop(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, now=NOW - 5 * MINUTE)


def test_a_hold_that_no_purchase_names_is_released_after_a_minute(shop: ShopFixture) -> None:
    hold = orphan_hold(shop, 2)
    assert hold_faults(shop, NOW + 59 * SECOND) == []
    found, done, _ = repaired(shop, NOW + 61 * SECOND)
    assert [(one.fault, one.hold_id) for one in found.discrepancies] == [(HoldFault.UNNAMED, hold.id)]
    assert found.mismatches == ()
    assert (done.released, done.remaining, bucket(shop)["h"], bucket(shop)["a"]) == (1, 0, {}, 9)
    assert is_clean(shop)
    assert isinstance(shop.open_purchase(("mug", 9), key="all"), Purchase)


def test_no_hold_counts_as_old_within_a_minute_of_a_change_of_hold_seconds(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, now=NOW - 5 * MINUTE, hold_seconds=3_600)
    orphan_hold(shop)
    shop.shows.put_drop("mug", a_mug(hold_seconds=5), "ann", LATER)
    shop.shows.put_drop("mug", a_mug(hold_seconds=3_600), "ann", LATER)
    taken = orphan_hold(shop, 2, now=LATER)
    put_entry(shop, taken.id, {"q": 2, "u": LATER // SECOND + 5})
    assert hold_faults(shop, LATER + MINUTE) == []
    assert hold_faults(shop, LATER + MINUTE + 3 * SECOND) == [HoldFault.UNNAMED, HoldFault.UNNAMED]


def test_units_committed_to_an_order_that_does_not_exist_are_released_with_a_tombstone(shop: ShopFixture) -> None:
    name = hold_id("ghost", "mug", 1, 2)
    put_entry(shop, name, {"q": 2, "o": "ghost0000001"})
    found, done, _ = repaired(shop)
    assert found.mismatches == (
        f"hold {name}: 2 units in bucket 0 are sold to an order that does not exist (no_order)",
    )
    assert (done.released, bucket(shop)["a"], read_entry(shop, name)) == (1, 9, {"q": 0})
    assert is_clean(shop)


def test_units_of_a_cancelled_purchase_are_released(shop: ShopFixture) -> None:
    held, sold = shop.open_purchase(("mug", 2), key="a"), shop.place(("mug", 3), key="b")
    for one in (held, sold):
        set_attributes(shop, one, state="cancelled")
    found, done, _ = repaired(shop)
    assert [one.fault for one in found.discrepancies] == [HoldFault.GIVEN_UP] * 2
    assert found.mismatches == (
        (
            f"hold {hold_of(sold).id}: 3 units in bucket 0 are sold to "
            f"cancelled purchase {log_reference(sold.id)} (given_up)"
        ),
    )
    assert (done.released, bucket(shop)["a"], bucket(shop)["h"]) == (2, 9, {hold_of(sold).id: {"q": 0}})
    assert is_clean(shop)


def test_units_that_their_order_no_longer_names_are_released(shop: ShopFixture) -> None:
    paid = shop.pay(("mug", 2))
    other = hold_id(paid.id, "mug", 77, 3)
    put_entry(shop, other, {"q": 3, "o": f"{paid.order_ref}001"})
    found, done, _ = repaired(shop)
    assert [(one.fault, one.hold_id) for one in found.discrepancies] == [(HoldFault.GIVEN_UP, other)]
    assert (done.released, shop.unit_counts("mug", LATER)) == (1, (7, 0, 2))
    assert is_clean(shop)


def test_units_committed_to_an_order_that_is_open_again_are_reverted_to_a_hold(shop: ShopFixture) -> None:
    purchase = shop.place(("mug", 2), token="declined")
    process_attempt(shop.context, purchase.id, 1, NOW)
    hold = hold_of(shop.read(purchase.id))
    put_entry(shop, hold.id, {"q": 2, "o": f"{purchase.order_ref}001"})
    found, done, _ = repaired(shop)
    assert [one.fault for one in found.discrepancies] == [HoldFault.SOLD_TO_OPEN]
    assert len(found.mismatches) == 1
    assert done.reverted == 1
    assert read_entry(shop, hold.id) == {"q": 2, "o": f"{purchase.order_ref}001", "u": hold.expires_at}
    assert is_clean(shop)
    assert shop.unit_counts("mug", (hold.expires_at + 3) * SECOND) == (9, 0, 0)
    complete_purchase(shop.context, purchase.id, a_complete_request("ok", "again"), MUCH_LATER)
    process_attempt(shop.context, purchase.id, 2, MUCH_LATER)
    assert shop.read(purchase.id).state is PurchaseState.PAID


def test_surplus_units_of_a_hold_and_of_a_paid_order_are_restocked(shop: ShopFixture) -> None:
    held, sold = shop.open_purchase(("mug", 2), key="a"), shop.pay(("mug", 2), key="b")
    line = sold.lines[0].id
    refund_order(shop.context, sold.id, a_refund_request((line, 1), restock=True), NOW)
    put_entry(shop, hold_of(held).id, {"q": 4, "u": hold_of(held).expires_at})
    put_entry(shop, hold_of(sold).id, {"q": 2, "o": f"{sold.order_ref}001"})
    found, done, _ = repaired(shop)
    assert [one.fault for one in found.discrepancies] == [HoldFault.SURPLUS] * 2
    assert len(found.mismatches) == 1
    assert (done.shrunk, shop.unit_counts("mug", LATER)) == (2, (6, 2, 1))
    assert is_clean(shop)


def test_an_open_purchase_whose_hold_is_gone_is_reported_and_takes_units_again(shop: ShopFixture) -> None:
    purchase = shop.open_purchase(("mug", 2))
    drop_entry(shop, hold_of(purchase).id)
    found, done, _ = repaired(shop)
    assert [(one.fault, one.is_unreferenced) for one in found.discrepancies] == [(HoldFault.GONE, False)]
    assert (found.mismatches, done.remaining) == ((), 0)
    assert is_clean(shop, NOW + 6 * MINUTE)  # the hold has expired: nothing is missing
    answer = complete_purchase(shop.context, purchase.id, a_complete_request("ok", "late"), NOW + 6 * MINUTE)
    process_attempt(shop.context, purchase.id, 1, NOW + 6 * MINUTE)
    assert (type(answer).__name__, shop.read(purchase.id).state) == ("CheckoutResult", PurchaseState.PAID)


def test_a_placed_purchase_whose_units_are_not_committed_is_enqueued_once(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.checkout.complete._commit_stock", lambda context, frozen: None)
    placed = shop.place(("mug", 2))
    assert hold_faults(shop, NOW + 59 * SECOND) == []
    found, done, enqueued = repaired(shop)
    assert [one.fault for one in found.discrepancies] == [HoldFault.UNSOLD]
    assert (found.mismatches, done.enqueued, enqueued) == ((), 1, [(placed.id, 1)])
    process_attempt(shop.context, *enqueued[0], LATER)
    assert shop.read(placed.id).state is PurchaseState.PAID
    assert is_clean(shop, MUCH_LATER)


@pytest.mark.parametrize("order", [None, "000", "001"], ids=["held", "held at an earlier epoch", "held at its epoch"])
def test_units_of_a_paid_order_that_are_only_held_are_committed_again(shop: ShopFixture, order: str | None) -> None:
    shop.put_drop("cup", stock=5, now=NOW - 5 * MINUTE)
    paid = shop.pay(("mug", 2), ("cup", 1))
    until = NOW // SECOND + 200
    ref = {} if order is None else {"o": paid.order_ref + order}
    put_entry(shop, hold_of(paid).id, {"q": 2, "u": until, **ref})
    found, done, _ = repaired(shop)
    assert [one.fault for one in found.discrepancies] == [HoldFault.PAID_UNSOLD]
    assert found.mismatches == (
        f"hold {hold_of(paid).id}: 2 of 2 units of paid purchase {log_reference(paid.id)} (paid_unsold)",
    )
    assert (done.recommitted, done.remaining) == (1, 0)
    assert shop.unit_counts("mug", LATER) == (7, 0, 2)
    epoch = shop.read(paid.id).epoch
    assert epoch == (2 if order == "001" else 1)
    assert read_entry(shop, hold_of(paid).id) == {"q": 2, "o": f"{paid.order_ref}{epoch:03d}"}
    assert is_clean(shop, MUCH_LATER)
    assert audit_drop(shop.context, "cup", MUCH_LATER, time_is_never_up).discrepancies == []
    cancel_paid_order(shop.context, paid.id, "c", "c", "ann", MUCH_LATER)
    assert (shop.unit_counts("mug", MUCH_LATER), shop.unit_counts("cup", MUCH_LATER)) == ((9, 0, 0), (5, 0, 0))


def test_paid_units_that_are_gone_raise_an_alarm_and_are_not_repaired(
    shop: ShopFixture, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[tuple[str, int]] = []
    monkeypatch.setattr("chalicelib.recovery.audit.count", lambda *one: counted.append(one))
    paid = shop.pay(("mug", 2))
    drop_entry(shop, hold_of(paid).id)
    before = bucket(shop)
    found, done, enqueued = repaired(shop)
    assert [one.fault for one in found.discrepancies] == [HoldFault.PAID_GONE]
    assert found.mismatches == (
        f"hold {hold_of(paid).id}: 0 of 2 units of paid purchase {log_reference(paid.id)} (paid_gone)",
    )
    assert counted == [("paid_units_missing", 2)]
    assert [one.levelname for one in caplog.records if one.message == "units of a paid order are gone"] == ["ERROR"]
    assert (done, enqueued, bucket(shop)) == (RepairReport(not_repaired=1), [], before)
    assert hold_faults(shop) == [HoldFault.PAID_GONE]


def test_a_paid_order_does_not_take_units_that_another_order_has(shop: ShopFixture) -> None:
    paid = shop.pay(("mug", 2))
    put_entry(shop, hold_of(paid).id, {"q": 2, "o": "another00001"})
    found, _, _ = repaired(shop)
    assert [one.fault for one in found.discrepancies] == [HoldFault.PAID_GONE]
    assert read_entry(shop, hold_of(paid).id) == {"q": 2, "o": "another00001"}
