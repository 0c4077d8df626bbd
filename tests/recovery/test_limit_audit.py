"""The audit of limits reports each fault, repairs those with a clear right count, and finds nothing in a sale."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.aws import to_attribute
from chalicelib.capture import process_attempt
from chalicelib.checkout import cancel_purchase, complete_purchase, update_purchase
from chalicelib.ids import buyer_hash, log_reference
from chalicelib.instants import DAY, MINUTE, SECOND
from chalicelib.refunds import cancel_paid_order, refund_order
from tests.builders.purchases import BUYER, NOW, a_complete_request, a_purchase_request, a_refund_request
from tests.builders.shop import ShopFixture
from tests.checkout.actions import die_before_placing, limit_item, may_still_have
from tests.recovery.corruption import LATER, MUCH_LATER, audit_after_refresh, is_clean, repaired


@pytest.fixture(autouse=True)
def _mug_drop(shop: ShopFixture) -> None:
    shop.put_drop("mug", stock=9, now=NOW - 5 * MINUTE, limit_per_buyer=3)


def corrupt_limit(shop: ShopFixture, **changes: Any) -> None:
    """Set attributes of the buyer's limit record."""
    names = {f"#{name}": name for name in changes}
    shop.tables.dynamodb.update_item(
        TableName=shop.tables.commerce,
        Key={"pk": {"S": f"LIMIT#{buyer_hash(b'k' * 32, BUYER.email or '')}"}, "sk": {"S": "DROP#mug"}},
        UpdateExpression="SET " + ", ".join(f"{short} = :{name}" for short, name in names.items()),
        ExpressionAttributeNames=names,
        ExpressionAttributeValues={f":{name}": to_attribute(value) for name, value in changes.items()},
    )


def a_limit_entry(units: int, version: int = 2, at: int = NOW) -> dict[str, int]:
    return {"q": units, "v": version, "t": at // SECOND}


def reasons(shop: ShopFixture, now: int = LATER) -> list[str]:
    return [one.fault.value for one in audit_after_refresh(shop, now).limit_discrepancies]


def test_sales_refunds_cancellations_and_crashes_are_no_discrepancy(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = shop.pay(("mug", 2), key="a")
    assert is_clean(shop, MUCH_LATER)
    refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1), restock=True), NOW)
    assert is_clean(shop, MUCH_LATER)
    dying = shop.open_purchase(("mug", 1), key="b")
    die_before_placing(shop, dying, monkeypatch)
    declined = shop.place(("mug", 1), token="declined", key="c", now=MUCH_LATER)
    process_attempt(shop.context, declined.id, 1, MUCH_LATER)
    for now in (LATER, MUCH_LATER, NOW + 30 * MINUTE):
        assert reasons(shop, now) == []
    found = audit_after_refresh(shop, MUCH_LATER)
    assert (found.buyers, found.purchases) == (1, 3)


def test_an_order_counts_for_the_buyer_of_its_last_attempt(shop: ShopFixture) -> None:
    """Ada's declined attempt at one unit still counts for her when Bob pays for three."""
    shared = shop.place(("mug", 1), token="declined", key="a")
    process_attempt(shop.context, shared.id, 1, NOW)
    bob = BUYER.model_copy(update={"email": "bob@example.com"})
    update_purchase(shop.context, shared.id, a_purchase_request(("mug", 3), key="bob", buyer=bob), NOW)
    complete_purchase(shop.context, shared.id, a_complete_request("ok", "again"), NOW)
    process_attempt(shop.context, shared.id, 2, NOW)
    assert (limit_item(shop)["units"], limit_item(shop, email="bob@example.com")["units"]) == (1, 3)
    assert (reasons(shop), audit_after_refresh(shop).buyers, is_clean(shop)) == ([], 2, True)


def test_a_wrong_sum_is_reported_and_corrected(shop: ShopFixture) -> None:
    shop.pay(("mug", 2))
    corrupt_limit(shop, units=1)
    found, done, _ = repaired(shop)
    assert found.mismatches == ("1 units are counted for a buyer, in entries of 2",)
    assert (done.recounted, limit_item(shop)["units"]) == (1, 2)
    assert is_clean(shop)


def test_an_entry_of_a_purchase_that_does_not_exist_is_removed(shop: ShopFixture) -> None:
    paid = shop.pay(("mug", 1))
    corrupt_limit(shop, units=3, entries={paid.id: a_limit_entry(1), "g" * 22: a_limit_entry(2)})
    assert may_still_have(_complete_and_cancel(shop, 2, "before")) == 0
    assert reasons(shop, NOW + 2 * MINUTE) == []
    found, done, _ = repaired(shop, MUCH_LATER)
    assert found.mismatches == ("a buyer's units are counted for 1 purchases that do not exist",)
    assert (done.recounted, set(limit_item(shop)["entries"]), limit_item(shop)["units"]) == (1, {paid.id}, 1)
    assert is_clean(shop, MUCH_LATER)
    assert shop.pay(("mug", 2), key="after", now=MUCH_LATER).state.value == "paid"


def test_a_buyer_whose_last_entry_was_removed_can_buy_again(shop: ShopFixture) -> None:
    paid = shop.pay(("mug", 1))
    cancel_paid_order(shop.context, paid.id, "c", "c", "ann", NOW)
    corrupt_limit(shop, units=2, entries={"g" * 22: a_limit_entry(2)})
    assert repaired(shop, MUCH_LATER)[1].recounted == 1
    assert (limit_item(shop)["entries"], limit_item(shop)["units"]) == ({}, 0)
    assert shop.pay(("mug", 3), key="after", now=MUCH_LATER).state.value == "paid"
    assert limit_item(shop)["units"] == 3
    assert is_clean(shop, MUCH_LATER)


def _complete_and_cancel(shop: ShopFixture, quantity: int, key: str) -> Any:
    purchase = shop.open_purchase(("mug", quantity), key=key)
    answer = complete_purchase(shop.context, purchase.id, a_complete_request("ok", f"pay-{key}"), NOW)
    cancel_purchase(shop.context, purchase.id, a_complete_request().caller, f"cancel-{key}", "", NOW)
    return answer


def test_a_record_that_changes_after_it_was_read_is_left_unchanged(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = shop.pay(("mug", 1))
    corrupt_limit(shop, units=2, entries={paid.id: a_limit_entry(1)})
    store = type(shop.context.limits)
    compare_and_set = store.compare_and_set

    def after_another(self: Any, *arguments: Any) -> Any:
        corrupt_limit(shop, units=3, entries={paid.id: a_limit_entry(1), "n" * 22: a_limit_entry(2, at=LATER)})
        return compare_and_set(self, *arguments)

    monkeypatch.setattr(store, "compare_and_set", after_another)
    _, done, _ = repaired(shop)
    assert (done.recounted, done.remaining, limit_item(shop)["units"]) == (0, 1, 3)


@pytest.mark.parametrize("units", [0, 1])
def test_an_order_that_counts_for_no_buyer_or_for_less_is_reported(shop: ShopFixture, units: int) -> None:
    paid = shop.pay(("mug", 2))
    corrupt_limit(shop, units=units, entries={paid.id: a_limit_entry(units)} if units else {})
    found, done, _ = repaired(shop)
    assert found.mismatches == (f"{units} of 2 units of order {log_reference(paid.id)} count for a buyer",)
    assert (done.recounted, done.not_repaired) == (0, 1)
    assert reasons(shop, NOW + 59 * SECOND) == []
    assert reasons(shop, NOW + 90 * DAY) == []  # its record may have expired


def test_a_buyer_with_more_units_than_the_limit_is_reported(shop: ShopFixture) -> None:
    first = shop.pay(("mug", 2), key="a")
    corrupt_limit(shop, units=0, entries={})
    second = shop.pay(("mug", 3), key="b")
    corrupt_limit(shop, units=5, entries={first.id: a_limit_entry(2), second.id: a_limit_entry(3)})
    found, done, _ = repaired(shop)
    references = ", ".join(log_reference(one) for one in sorted((first.id, second.id)))
    assert found.mismatches == (f"a buyer has 5 units, at most 3 were allowed: orders {references}",)
    assert done.not_repaired == 1
