"""Runs of a comparison that overlap, or that follow each other while the shop sells: one state counts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from chalicelib.instants import HOUR, MINUTE, Instant
from chalicelib.payments import Movement, OutcomeUnknownError
from chalicelib.recovery import Comparison, ReconciliationReport, reconcile_payments
from chalicelib.recovery.reconciliation import ComparisonStore
from tests.builders.purchases import NOW
from tests.builders.reconciliation import reconcile
from tests.builders.shop import ShopFixture
from tests.conftest import Tables

LATER = NOW + 10 * MINUTE


def run(shop: ShopFixture, now: Instant, time_is_up: Callable[[], bool] = lambda: False) -> ReconciliationReport:
    """Run as the schedule does."""
    return reconcile_payments(shop.context, lambda *_: None, lambda: now, time_is_up)


def store_of(shop: ShopFixture) -> ComparisonStore:
    return ComparisonStore(shop.tables.dynamodb, shop.tables.commerce)


def begin(shop: ShopFixture, now: Instant) -> ComparisonStore:
    """Follow the balance and compare all; then store a comparison that has not read any order yet."""
    followed = reconcile(shop.context, now).followed
    store = store_of(shop)
    assert store.save(Comparison("sandbox", followed.since, followed.until, now + 1))
    return store


def a_shop_with_orders(shop: ShopFixture, orders: int = 3) -> ShopFixture:
    shop.put_drop("mug", stock=9)
    for number in range(orders):
        shop.pay(("mug", 1), key=f"key-{number}")
    return shop


def test_run_that_saves_after_a_rival_went_on_from_the_same_state_changes_nothing(shop: ShopFixture) -> None:
    store = begin(a_shop_with_orders(shop), LATER)
    questions, rivals = count(), list[ReconciliationReport]()

    def time_is_up() -> bool:
        """Let a rival compare all orders after this run has compared one, and stop this run."""
        if next(questions) < 2:
            return False
        rivals.append(run(shop, LATER + MINUTE // 2))
        return True

    report = run(shop, LATER, time_is_up)
    (rival,) = rivals
    assert rival.complete
    assert rival.comparison is not None
    assert (rival.comparison.purchases, rival.comparison.finished_at) == (3, LATER + MINUTE // 2)
    assert store.latest("sandbox") == report.comparison == rival.comparison
    assert report.statement is None


@pytest.fixture
def store(tables: Tables) -> ComparisonStore:
    return ComparisonStore(tables.dynamodb, tables.commerce)


def test_state_is_saved_once_from_the_state_that_it_goes_on_from(store: ComparisonStore) -> None:
    first, second = Comparison("listed", 0, 1, NOW), Comparison("listed", 0, 1, NOW, purchases=7)
    assert store.save(first)
    assert not store.save(second)
    read = store.latest("listed")
    assert read == replace(first, saves=1)
    assert read is not None
    assert store.save(replace(read, purchases=1))
    assert not store.save(replace(read, purchases=2))
    assert store.latest("listed") == replace(read, purchases=1, saves=2)


def test_comparison_that_began_later_is_saved_over_any_state_of_an_earlier_one(store: ComparisonStore) -> None:
    assert store.save(Comparison("listed", 0, 1, NOW, saves=5))
    assert store.save(Comparison("listed", 0, 1, NOW + 1))
    assert store.latest("listed") == Comparison("listed", 0, 1, NOW + 1, saves=1)


def test_earlier_comparison_with_as_many_saves_is_not_saved_over_a_later_one(store: ComparisonStore) -> None:
    earlier = Comparison("listed", 0, 1, NOW)
    assert store.save(earlier)
    assert store.save(Comparison("listed", 0, 1, NOW + 1))
    assert not store.save(replace(earlier, saves=1))
    assert store.latest("listed") == Comparison("listed", 0, 1, NOW + 1, saves=1)


def test_movement_stored_after_a_comparison_began_is_not_in_its_statement(shop: ShopFixture) -> None:
    begin(a_shop_with_orders(shop, 1), LATER)
    later = LATER + HOUR
    shop.pay(("mug", 2), key="later", now=LATER + 1)
    report = run(shop, later)
    assert report.comparison is not None
    assert (report.followed.stored, report.comparison.movements, report.comparison.finished_at) == (1, 2, later)
    assert [(row.moved, row.clearing, row.difference) for row in report.statement or []] == [
        ({"charge": 1_670, "fees": -45}, 1_625, 0)
    ]


def test_comparison_begins_only_when_every_movement_until_then_is_stored(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_shop_with_orders(shop, 1)

    def unreadable(since: Instant, until: Instant) -> list[Movement]:
        raise OutcomeUnknownError("no answer")

    with monkeypatch.context() as outage:
        outage.setattr(shop.gateway, "movements", unreadable)
        report = reconcile_payments(shop.context, lambda *_: None, lambda: LATER, lambda: False, begin=True)
    assert (report.comparison, report.complete, report.followed.provider_problem) == (None, False, "no answer")
    assert store_of(shop).latest("sandbox") is None
    report = run(shop, LATER + 1)
    assert report.comparison is not None
    assert (report.comparison.started_at, report.comparison.movements, report.complete) == (LATER + 1, 1, True)
