"""Races between counting a buyer's units and placing the order; each with its control."""

from __future__ import annotations

from itertools import count
from typing import Any

import pytest

from chalicelib.checkout import purchase_limits, update_purchase
from chalicelib.errors import Conflict
from chalicelib.instants import MINUTE, SECOND
from chalicelib.purchase import PurchaseState
from chalicelib.purchase.store import LimitEntry
from tests.builders.purchases import NOW, a_purchase_request
from tests.builders.shop import ShopFixture
from tests.checkout.actions import complete_purchase


def units_placed_when_overtaken(shop: ShopFixture, monkeypatch: pytest.MonkeyPatch) -> int:
    """A completion of one unit waits before it counts; meanwhile the same purchase grows to two units and is placed."""
    shop.put_drop("mug", stock=9, limit_per_buyer=2)
    purchase = shop.open_purchase(("mug", 1), key="first")
    real = purchase_limits.count_against_limit

    def overtake(*arguments: Any) -> Any:
        monkeypatch.setattr("chalicelib.checkout.complete.count_against_limit", real)
        update_purchase(shop.context, purchase.id, a_purchase_request(("mug", 2), key="more"), NOW)
        assert complete_purchase(shop, purchase, "pay-later").purchase.state is PurchaseState.PLACED
        return real(*arguments)

    monkeypatch.setattr("chalicelib.checkout.complete.count_against_limit", overtake)
    with pytest.raises(Conflict):
        complete_purchase(shop, purchase, "pay-early")
    complete_purchase(shop, shop.open_purchase(("mug", 1), key="second"), "pay-second")
    return shop.unit_counts("mug")[2]


def test_overtaken_completion_does_not_lower_the_later_count(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert units_placed_when_overtaken(shop, monkeypatch) == 2


def test_control_without_versions_an_overtaken_completion_lowers_the_count(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer = count(1)
    monkeypatch.setattr(purchase_limits, "LimitEntry", lambda units, version, at: LimitEntry(units, next(newer), at))
    assert units_placed_when_overtaken(shop, monkeypatch) == 3


def units_placed_between_counting_and_placing(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch, *, seconds: int
) -> int:
    """A completion with an expired hold has counted; ``seconds`` later, before it places, another completes."""
    shop.put_drop("mug", stock=9, limit_per_buyer=1)
    first = shop.open_purchase(("mug", 1), key="first")
    later = NOW + 6 * MINUTE
    second = shop.open_purchase(("mug", 1), key="second", now=later)
    store = type(shop.context.purchases)
    real = store.replace

    def overtake(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(store, "replace", real)
        complete_purchase(shop, second, "pay-second", later + seconds * SECOND)
        return real(*arguments, **named)

    monkeypatch.setattr(store, "replace", overtake)
    complete_purchase(shop, first, "pay-first", later)
    return shop.unit_counts("mug", later)[2]


@pytest.mark.parametrize("seconds", [0, 1, 59, 122])
def test_entry_that_a_completion_relies_on_is_not_removed(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch, seconds: int
) -> None:
    assert units_placed_between_counting_and_placing(shop, monkeypatch, seconds=seconds) == 1


def test_control_removing_recent_entries_lets_both_be_placed(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(purchase_limits, "SETTLE_PERIOD", -SECOND)
    assert units_placed_between_counting_and_placing(shop, monkeypatch, seconds=1) == 2
