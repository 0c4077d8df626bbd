"""No schedule of takes and sales beside background jobs violates an invariant of stock (Invariants 1a to 1d).

The jobs consolidate units, adjust stock, sweep pointers, refresh summaries and restock. No order loses units, no stock
plan runs twice or in part, no unit is stranded, and "sold out" is answered only when it is true.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import pytest

from chalicelib.instants import Instant
from chalicelib.shows import Shows
from chalicelib.stock import Committed, OrderRef, SoldOut, Stock, Summary, Taken, expressions, hold_id, summary, take
from chalicelib.stock.bucket import Bucket
from chalicelib.stock.model import Pool
from chalicelib.stock.store import StockStore
from tests.builders.drops import put_drop_record
from tests.builders.shows import a_drop_record
from tests.simulation.schedule_search import ScheduleRunner, ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FAULT_CLASSES, RETRYABLE_ERRORS
from tests.simulation.worlds.stock import POOL, StockWorld

BACKGROUND_JOBS: Final = ("consolidation", "plans", "sweeps", "summaries", "restocks")
CLOCK_JUMPS = (1_000, 1_000, 4_000, 7_000)
PAUSES = (1_000, 62_000, 130_000, 130_000)
STOCK_CHANGES = {"more": 2, "less": -2, "few": -1}


class BackgroundJobsWorld(StockWorld):
    """Buyers take, release, buy, and let holds expire, beside ``background_jobs``."""

    def __init__(self, seed: int, background_jobs: tuple[str, ...]) -> None:
        super().__init__(seed, (2, 3) if "consolidation" in background_jobs else (1, 2, 2))
        self.background_jobs = background_jobs
        self.pointers: set[tuple[int, str]] = set()
        self.sold: dict[str, tuple[int, OrderRef]] = {}
        self.restocked_holds: set[str] = set()
        self.moved_units: dict[str, int] = {}
        self.invariants += [self.sold_units_stay_sold, self.count_swept_pointers]
        if "plans" in background_jobs:
            self.allowed_sizes = range(self.size - 3, self.size + 3)
            self.put_drop_record()

    def put_drop_record(self) -> None:
        drop = a_drop_record(id="d", stock=self.size, first_stock=self.size, bucket_count=3)
        put_drop_record(self.simulator.table, drop)

    def sold_units_stay_sold(self) -> None:
        for hold, (quantity, order) in self.sold.items():
            (place,) = self.buckets_holding(hold)
            assert self.buckets[place]["h"][hold] == {"q": quantity, "o": str(order)}

    def count_swept_pointers(self) -> None:
        pointers_now = {
            (n, hold) for n, bucket in enumerate(self.buckets) for hold, e in bucket["h"].items() if "f" in e
        }
        gone = [hold for number, hold in self.pointers - pointers_now if hold not in self.buckets[number]["h"]]
        self.simulator.events_seen["pointers swept"] += len(gone)
        self.pointers = pointers_now

    def random_summary(self) -> Summary | None:
        """Return the live summary, or none, as on a repeat."""
        return self.stock.summary("d") if self.random.random() < 0.5 else None

    def retry(self, step: Callable[[], Any], tries: int = 4) -> Any:
        for _ in range(tries):
            try:
                return step()
            except RETRYABLE_ERRORS:
                self.simulator.yield_to_others(self.random.randrange(4))
        return None

    def shopper_process(self, name: str, turns: int) -> Callable[[], None]:
        """Take units, then buy, release, or let the hold expire. Processes of the same name do the same steps."""
        stock = self.new_stock()

        def run() -> None:
            for turn in range(turns):
                quantity = (2, 3, 2)[turn] if "consolidation" in self.background_jobs else 1
                hold, order = hold_id(name, "d", turn, quantity), OrderRef(f"{name}-{turn}".ljust(9, "-"), 1)
                answer = self.retry(partial(self.take, stock, hold, quantity))
                self.simulator.events_seen[f"{type(answer).__name__}"] += 1
                if not isinstance(answer, Taken):
                    continue
                branch = (self.seed + turn) % 8  # the same for both processes of a name
                if branch < 4:
                    self.commit(stock, answer, order)
                if branch == 1 and "restocks" in self.background_jobs:
                    self.restock(stock, answer, order)
                if branch in {4, 5}:
                    self.retry(partial(stock.release, POOL, answer.hold))

        return run

    def commit(self, stock: Stock, taken: Taken, order: OrderRef) -> None:
        units = taken.hold.quantity
        answer = self.retry(lambda: stock.commit(POOL, taken.hold, units, order))
        if answer == Committed(units) and taken.hold.id not in self.restocked_holds:
            self.sold[taken.hold.id] = units, order

    def restock(self, stock: Stock, taken: Taken, order: OrderRef) -> None:
        """Restock a sold hold. From now on other buyers may have its units."""
        self.restocked_holds.add(taken.hold.id)
        self.sold.pop(taken.hold.id, None)
        units = taken.hold.quantity
        self.simulator.events_seen["restocked"] += bool(
            self.retry(lambda: stock.restock(POOL, taken.hold, order, units, 0))
        )

    def stock_change_process(self) -> Callable[[], None]:
        """Adjust stock until each change is answered. Two processes make the same changes."""
        shows = Shows(self.simulator.client, "commerce", self.new_stock(), 30)

        def run() -> None:
            for key in sorted(STOCK_CHANGES, key=lambda key: hold_id(key, "d", self.seed, 1)):
                self.retry(partial(self.change_stock, shows, key))

        return run

    def change_stock(self, shows: Shows, key: str) -> None:
        answer = shows.adjust_stock("d", STOCK_CHANGES[key], key, "ann", self.simulator.now)
        assert self.moved_units.setdefault(key, answer.moved) == answer.moved

    def refresh_process(self) -> Callable[[], None]:
        """Refresh the live summary again and again, as the stream handler does."""
        stock = self.new_stock()

        def run() -> None:
            for _ in range(4):
                self.simulator.events_seen["summaries"] += (
                    self.retry(lambda: stock.refresh(POOL, self.simulator.now)) is not None
                )

        return run

    def repeat_and_check(self) -> None:
        """Repeat all stock changes without faults, then check that everything adds up."""
        if "plans" in self.background_jobs:
            shows = Shows(self.simulator.client, "commerce", self.new_stock(), 30)
            for key in STOCK_CHANGES:
                self.change_stock(shows, key)
            record = self.simulator.table.items["commerce", "DROP#d", "DROP"]
            assert "pending" not in record
            assert record["stock"] == self.size == sum(self.sizes) + sum(self.moved_units.values())
        assert self.stock.audit(POOL, self.size, self.simulator.now).mismatches == ()


def run_schedule(seed: int, background_jobs: tuple[str, ...], faults: str) -> Mapping[str, int]:
    """Run two phases. The pause between them may be long enough for pointers to be swept."""
    world = BackgroundJobsWorld(seed, background_jobs)
    for buyers in (("ada", "ada", "bob", "cy"), ("ada", "dee", "dee")):
        for name in buyers:
            world.simulator.add_process(world.shopper_process(name, 3), FAULT_CLASSES[faults])
        for _ in range(2):
            if "plans" in background_jobs:
                world.simulator.add_process(world.stock_change_process(), FAULT_CLASSES[faults])
            if "summaries" in background_jobs:
                world.simulator.add_process(world.refresh_process(), FAULT_CLASSES[faults])
        world.simulator.run(CLOCK_JUMPS)
        world.simulator.advance_clock(world.random.choice(PAUSES))
    world.repeat_and_check()
    events_seen = world.simulator.events_seen
    events_seen["consolidated"] += any(bucket.get("m") for bucket in world.buckets)
    events_seen["sold"] += len(world.sold)
    for key, moved in world.moved_units.items():
        events_seen[f"stock {key}: {moved}"] += 1
    world.assert_nothing_stranded()
    return events_seen


def schedule_runner(background_jobs: tuple[str, ...], faults: str, monkeypatch: pytest.MonkeyPatch) -> ScheduleRunner:
    """Return the runner of a fault class. For sweeps, leave room for one pointer only."""
    if "sweeps" in background_jobs:
        monkeypatch.setattr(take, "MAX_ENTRIES_FOR_POINTERS", 1)
    return lambda seed: run_schedule(seed, background_jobs, faults)


EVENTS_OF_JOB = {
    "consolidation": ["consolidated"],
    "plans": ["stock more: 2", "stock less: -2"],
    "sweeps": ["pointers swept"],
    "summaries": ["summaries"],
    "restocks": ["restocked"],
}
EVENTS_OF_ANY_JOB = ("sold", "Taken", "AllHeld", "SoldOut")
ALL_EVENTS = [*EVENTS_OF_ANY_JOB, *(one for kind in BACKGROUND_JOBS for one in EVENTS_OF_JOB[kind])]


@parametrize_seeds(24)
@pytest.mark.parametrize("kind", BACKGROUND_JOBS)
def test_no_schedule_breaks_an_invariant_beside_one_background_job(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch, kind: str, seeds: range
) -> None:
    faults = "doubled, cut and late"
    search.expect_invariants_hold(
        f"beside {kind}, {faults}",
        seeds,
        schedule_runner((kind,), faults, monkeypatch),
        expected_events=[*EVENTS_OF_ANY_JOB, *EVENTS_OF_JOB[kind]],
    )


@parametrize_seeds(48)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
def test_no_schedule_breaks_an_invariant_beside_all_background_jobs(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch, faults: str, seeds: range
) -> None:
    search.expect_invariants_hold(
        f"beside all background jobs, {faults}",
        seeds,
        schedule_runner(BACKGROUND_JOBS, faults, monkeypatch),
        expected_events=ALL_EVENTS,
    )


@pytest.mark.parametrize("kind", BACKGROUND_JOBS)
def test_the_search_catches_sold_out_answered_when_nothing_is_available(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def refuse_without_available(summary: Summary, *rest: Any) -> Any:
        return SoldOut() if summary.available == 0 else real(summary, *rest)

    real = summary.refusal
    monkeypatch.setattr("chalicelib.stock.take.refusal", refuse_without_available)
    search.expect_control_caught(
        f"sold out answered when nothing is available, {kind}", 500, schedule_runner((kind,), "doubled", monkeypatch)
    )


def test_the_search_catches_units_moved_by_two_writes(search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_by_one(self: StockStore, drop_id: str, writes: Mapping[int, expressions.Write]) -> bool:
        return all(self.write(drop_id, number, write) is None for number, write in writes.items())

    monkeypatch.setattr(StockStore, "write_together", one_by_one)
    search.expect_control_caught(
        "units moved by two writes", 500, schedule_runner(("consolidation",), "doubled", monkeypatch)
    )


def test_the_search_catches_plans_whose_number_no_bucket_checks(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expressions, "_PLAN_NOT_APPLIED", "attribute_exists(pk)")
    search.expect_control_caught(
        "plans whose number no bucket checks", 500, schedule_runner(("plans",), "doubled", monkeypatch)
    )


def test_the_search_catches_pointers_swept_without_a_fence(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sweep_without_fence(store: StockStore, pool: Pool, home: Bucket, now: Instant) -> None:
        without_units = {name: entry for name, entry in home.holds.items() if not entry.has_units}
        if without_units:
            store.write(pool.pool_id, home.number, expressions.remove_entries(without_units))

    monkeypatch.setattr(take, "sweep_pointers", sweep_without_fence)
    search.expect_control_caught(
        "pointers swept without a fence", 500, schedule_runner(("sweeps",), "doubled", monkeypatch)
    )
