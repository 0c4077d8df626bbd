"""The follower stores each movement of the provider's balance once, at any interruption."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

import pytest

from chalicelib.instants import DAY, HOUR, MINUTE, SECOND, Instant
from chalicelib.payments import Movement, MovementKind, MovementStore, OutcomeUnknownError, ProviderBusyError
from chalicelib.recovery import FollowReport, follow_balance
from chalicelib.recovery.reconciliation.follow_balance import (
    FIRST_LOOK_BACK,
    MAX_MOVEMENTS_IN_WINDOW,
    READ_AGAIN,
    SETTLING_TIME,
    read_again,
)
from chalicelib.refunds import refund_order
from tests.builders.purchases import NOW, a_refund_request
from tests.builders.reconciliation import reconcile
from tests.builders.shop import ShopFixture
from tests.conftest import Tables
from tests.doubles.stripe import Account, Behaviour, ManualClock
from tests.refunds.ledger_shop import a_ledger_shop

START = NOW // SECOND * SECOND - SETTLING_TIME - FIRST_LOOK_BACK


def never() -> bool:
    return False


def follow(shop: ShopFixture, now: Instant) -> FollowReport:
    return follow_balance(shop.context.movements, shop.gateway, now, never)


def a_payout(number: int, created_at: Instant) -> Movement:
    return Movement(f"txn_{number}", "listed", MovementKind.PAYOUT, "payout", -1, 0, "GBP", created_at)


@dataclass
class ListedMovements:
    """A provider with these movements. It records the windows that it was asked for."""

    listed: list[Movement]
    windows: list[tuple[Instant, Instant]] = field(default_factory=list)
    name: str = "listed"

    def balance(self, now: Instant) -> dict[str, int]:
        return {"GBP": sum(one.net for one in self.listed)}

    def movements(self, since: Instant, until: Instant) -> Iterator[Movement]:
        self.windows.append((since, until))
        return iter([one for one in reversed(self.listed) if since <= one.created_at < until])


def ids(store: MovementStore) -> list[str]:
    return sorted(movement.id for movement in store.scan())


@pytest.fixture
def store(tables: Tables) -> MovementStore:
    return MovementStore(tables.dynamodb, tables.commerce)


def test_captures_and_refunds_of_the_sandbox_are_stored_beside_their_purchase(shop: ShopFixture) -> None:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 2))
    refund_order(shop.context, paid.id, a_refund_request((paid.lines[0].id, 1)), NOW + MINUTE)
    report = follow(shop, NOW + HOUR)
    assert report == FollowReport(START + HOUR, NOW // SECOND * SECOND + HOUR - SETTLING_TIME, report.until, 2)
    charge, refund = shop.context.movements.of_purchase(paid.id)
    assert (charge.kind, charge.amount, charge.fee, charge.created_at) == (MovementKind.CHARGE, 2_945, 64, NOW)
    assert (refund.kind, refund.amount, refund.fee) == (MovementKind.REFUND, -1_275, 0)
    assert (refund.created_at, refund.charged_amount, refund.attempt) == (NOW + MINUTE, -1_275, 1)
    assert follow(shop, NOW + 2 * HOUR).stored == 0


def test_movement_of_the_last_five_minutes_waits_for_the_next_run(store: MovementStore) -> None:
    source = ListedMovements([a_payout(1, NOW - SETTLING_TIME), a_payout(2, NOW - SETTLING_TIME - SECOND)])
    assert follow_balance(store, source, NOW, never).stored == 1
    assert ids(store) == ["txn_2"]
    assert follow_balance(store, source, NOW + MINUTE, never).stored == 1
    assert max(until for _, until in source.windows) == NOW // SECOND * SECOND + MINUTE - SETTLING_TIME


def test_first_run_begins_five_days_back_and_every_instant_is_asked_for_once(store: MovementStore) -> None:
    source = ListedMovements([])
    report = follow_balance(store, source, NOW, never)
    assert report.since == START
    assert report.complete
    assert [since for since, _ in source.windows] == [START, *(until for _, until in source.windows[:-1])]
    assert source.windows[-1][1] == report.until
    assert max(until - since for since, until in source.windows) == DAY
    assert follow_balance(store, source, NOW + DAY, never).since == START


@pytest.mark.parametrize("limit", [0, 1, 7, 20, 40])
def test_run_whose_time_is_over_says_where_it_stopped_and_the_next_goes_on(store: MovementStore, limit: int) -> None:
    source = ListedMovements([a_payout(number, START + number * DAY // 8) for number in range(40)])
    calls = count()
    report = follow_balance(store, source, NOW, lambda: next(calls) >= limit)
    assert not report.complete
    stored = {movement.id for movement in store.scan()}
    assert {one.id for one in source.listed if one.created_at < report.until} <= stored
    assert (report.stored, report.target) == (len(stored), START + FIRST_LOOK_BACK)
    source.windows.clear()
    rest = follow_balance(store, source, NOW, never)
    assert source.windows[0][0] == report.until
    assert (rest.complete, rest.stored, len(ids(store))) == (True, 40 - len(stored), 40)


def test_window_with_many_movements_is_read_in_parts(store: MovementStore) -> None:
    size = 2 * MAX_MOVEMENTS_IN_WINDOW + 10
    source = ListedMovements([a_payout(number, START + number * SECOND // 4) for number in range(size)])
    report = follow_balance(store, source, START + SETTLING_TIME + HOUR, never)
    assert (report.complete, report.since) == (True, START + HOUR - FIRST_LOOK_BACK)
    assert len(ids(store)) == size
    read = [sum(since <= one.created_at < until for one in source.listed) for since, until in source.windows]
    assert min(until - since for since, until in source.windows) < HOUR
    assert max(read) > MAX_MOVEMENTS_IN_WINDOW
    assert sum(number for number in read if number <= MAX_MOVEMENTS_IN_WINDOW) == size


def test_each_movement_is_stored_before_the_next_one_is_read(store: MovementStore) -> None:
    class Streamed(ListedMovements):
        def movements(self, since: Instant, until: Instant) -> Iterator[Movement]:
            for read, movement in enumerate(super().movements(since, until)):
                assert len(ids(store)) == read
                yield movement

    source = Streamed([a_payout(number, START + number * SECOND) for number in range(30)])
    assert follow_balance(store, source, START + SETTLING_TIME + HOUR, never).stored == 30


def test_two_runs_at_once_store_each_movement_once_and_never_move_the_cursor_back(store: MovementStore) -> None:
    movements = [a_payout(number, START + number * DAY // 7) for number in range(35)]

    class WithRival(ListedMovements):
        """While the first run reads its third window, a second run does all the work."""

        def movements(self, since: Instant, until: Instant) -> Iterator[Movement]:
            if len(self.windows) == 2:
                rival = follow_balance(store, ListedMovements(movements), NOW, never)
                assert rival.complete
            return super().movements(since, until)

    source = WithRival(movements)
    report = follow_balance(store, source, NOW, never)
    assert (report.complete, report.until) == (True, START + FIRST_LOOK_BACK)
    assert len(source.windows) == 3
    assert len(ids(store)) == 35


@pytest.mark.parametrize("error", [OutcomeUnknownError("no answer"), ProviderBusyError("limit")])
def test_provider_that_does_not_answer_stops_the_run_and_loses_nothing(store: MovementStore, error: Exception) -> None:
    class Interrupted(ListedMovements):
        def movements(self, since: Instant, until: Instant) -> Iterator[Movement]:
            for one in super().movements(since, until):
                yield one
                raise error

    listed = [a_payout(number, START + DAY + number) for number in range(3)]
    report = follow_balance(store, Interrupted(listed), NOW, never)
    assert (report.provider_available, report.complete) == (False, False)
    assert report.provider_problem == str(error)
    assert report.until <= START + DAY
    assert follow_balance(store, ListedMovements(listed), NOW, never).complete
    assert ids(store) == ["txn_0", "txn_1", "txn_2"]


def test_refund_that_the_provider_lists_after_the_cursor_has_passed_is_recorded_the_next_night(
    shop: ShopFixture,
) -> None:
    stripe = a_ledger_shop(shop, Account(Behaviour.kind(automatic_payouts=False), clock=ManualClock(NOW)))
    paid = stripe.pay(("mug", 1))
    stripe.pass_time(HOUR // SECOND)
    reconcile(stripe.context, stripe.now)
    assert paid.payment is not None
    assert paid.payment.provider_id is not None
    made = stripe.account.console_refund(paid.payment.provider_id, 300)
    movement = stripe.account.get(stripe.account.get(made["id"])["balance_transaction"])
    late = (SETTLING_TIME + MINUTE) // SECOND
    stripe.account.state.change(movement["id"], created=movement["created"] - late)
    stripe.account.advance(DAY // SECOND)
    stripe.deliveries()  # its events are lost
    report = reconcile(stripe.context, stripe.now)
    assert report.comparison is not None
    assert (report.comparison.refunds_recorded, report.comparison.differences) == (1, [])
    assert [row.difference for row in report.statement or []] == [0]
    assert [refund.amount for refund in stripe.read(paid).refunds] == [300]


@pytest.mark.parametrize("limit", [1, 5, 20])
def test_second_reading_that_ends_early_says_where_to_go_on(store: MovementStore, limit: int) -> None:
    begun = NOW - READ_AGAIN
    source = ListedMovements([a_payout(number, begun + number * HOUR) for number in range(48)])
    calls = count()
    first = read_again(store, source, begun, NOW, lambda: next(calls) >= limit)
    assert not first.complete
    assert {one.id for one in source.listed if one.created_at < first.until} <= set(ids(store))
    stored = len(ids(store))
    rest = read_again(store, source, first.until, NOW, never)
    assert (rest.complete, rest.stored, len(ids(store))) == (True, 48 - stored, 48)
    assert read_again(store, source, begun, NOW, never).stored == 0
