"""Takes and sales while crumbs are raked, stock is added and taken away, pointers are swept and summaries are made.

No schedule has a rule of buckets broken, an order's units lost, a plan carried out twice or by halves, "sold out" said
while there are units, or a unit stranded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import pytest
from botocore.exceptions import BotoCoreError

from chalicelib.aws import to_item
from chalicelib.errors import LivedropError
from chalicelib.instants import Instant
from chalicelib.shows import Shows
from chalicelib.shows.records import DropRecord
from chalicelib.stock import Committed, OrderRef, SoldOut, Stock, Summary, Taken, expressions, hold_id, summary, take
from chalicelib.stock.bucket import Bucket
from chalicelib.stock.model import Pool
from chalicelib.stock.store import StockStore
from tests.simulation.schedule_search import ScheduleRunner, ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FAULT_CLASSES
from tests.simulation.worlds.stock import LAYOUT, StockWorld

BACKGROUND_JOBS: Final = ("consolidation", "plans", "sweeps", "summaries", "restocks")
CLOCK_JUMPS = (1_000, 1_000, 4_000, 7_000)
PAUSES = (1_000, 62_000, 130_000, 130_000)
RETRYABLE_ERRORS = (BotoCoreError, LivedropError)
STOCK_CHANGES = {"more": 2, "less": -2, "few": -1}


class BackgroundJobsWorld(StockWorld):
    """Buyers take, release, sell and let lapse; beside them goes on what ``company`` names."""

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
        record = DropRecord(
            id="d",
            show_id="s",
            sku="m",
            title="Mug",
            unit_price=1_000,
            currency="GBP",
            stock=self.size,
            bucket_count=3,
            created_by="ann",
            created_at=0,
            changed_by="ann",
            changed_at=0,
            first_stock=self.size,
        )
        item = {"pk": "DROP#d", "sk": "DROP", **record.model_dump()}
        self.simulator.table.put_item(
            TableName="commerce", Item=to_item(item), ConditionExpression="attribute_not_exists(pk)"
        )

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
        """Nothing, as on a repeat, or the live summary."""
        return self.stock.summary("d") if self.random.random() < 0.5 else None

    def retry(self, step: Callable[[], Any], tries: int = 4) -> Any:
        for _ in range(tries):
            try:
                return step()
            except RETRYABLE_ERRORS:
                self.simulator.yield_to_others(self.random.randrange(4))
        return None

    def shopper_process(self, name: str, turns: int) -> Callable[[], None]:
        """Takes, then sells, gives back, or lets it lapse. Twins have one name: each step is theirs together."""
        stock = self.new_stock()

        def run() -> None:
            for turn in range(turns):
                quantity = (2, 3, 2)[turn] if "consolidation" in self.background_jobs else 1
                hold, order = hold_id(name, "d", turn, quantity), OrderRef(f"{name}-{turn}".ljust(9, "-"), 1)
                answer = self.retry(partial(self.take, stock, hold, quantity))
                self.simulator.events_seen[f"{type(answer).__name__}"] += 1
                if not isinstance(answer, Taken):
                    continue
                branch = (self.seed + turn) % 8  # the same for twins
                if branch < 4:
                    self.commit(stock, answer, order)
                if branch == 1 and "restocks" in self.background_jobs:
                    self.restock(stock, answer, order)
                if branch in {4, 5}:
                    self.retry(partial(stock.release, LAYOUT, answer.hold))

        return run

    def commit(self, stock: Stock, taken: Taken, order: OrderRef) -> None:
        units = taken.hold.quantity
        answer = self.retry(lambda: stock.commit(LAYOUT, taken.hold, units, order))
        if answer == Committed(units) and taken.hold.id not in self.restocked_holds:
            self.sold[taken.hold.id] = units, order

    def restock(self, stock: Stock, taken: Taken, order: OrderRef) -> None:
        """From here on nobody is told that it is sold; others may have its units."""
        self.restocked_holds.add(taken.hold.id)
        self.sold.pop(taken.hold.id, None)
        units = taken.hold.quantity
        self.simulator.events_seen["restocked"] += bool(
            self.retry(lambda: stock.restock(LAYOUT, taken.hold, order, units, 0))
        )

    def stock_change_process(self) -> Callable[[], None]:
        """Repeats changes of stock until each is answered; twins do the same ones."""
        shows = Shows(self.simulator.client, "commerce", self.new_stock(), 30)

        def run() -> None:
            for key in sorted(STOCK_CHANGES, key=lambda key: hold_id(key, "d", self.seed, 1)):
                self.retry(partial(self.change_stock, shows, key))

        return run

    def change_stock(self, shows: Shows, key: str) -> None:
        answer = shows.adjust_stock("d", STOCK_CHANGES[key], key, "ann", self.simulator.now)
        assert self.moved_units.setdefault(key, answer.moved) == answer.moved

    def refresh_process(self) -> Callable[[], None]:
        """The stream's function, delivered again and again."""
        stock = self.new_stock()

        def run() -> None:
            for _ in range(4):
                self.simulator.events_seen["summaries"] += (
                    self.retry(lambda: stock.refresh(LAYOUT, self.simulator.now)) is not None
                )

        return run

    def repeat_and_check(self) -> None:
        """What was not answered is repeated, with nothing failing any more; then everything adds up."""
        if "plans" in self.background_jobs:
            shows = Shows(self.simulator.client, "commerce", self.new_stock(), 30)
            for key in STOCK_CHANGES:
                self.change_stock(shows, key)
            record = self.simulator.table.items["commerce", "DROP#d", "DROP"]
            assert "pending" not in record
            assert record["stock"] == self.size == sum(self.sizes) + sum(self.moved_units.values())
        assert self.stock.audit(LAYOUT, self.size, self.simulator.now).mismatches == ()


def run_schedule(seed: int, background_jobs: tuple[str, ...], faults: str) -> Mapping[str, int]:
    """Two acts, between which perhaps so much time goes by that pointers may be swept; then all comes to rest."""
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
    """Pointers are swept only where there is room for few."""
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
        f"{kind} beside, {faults}",
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
        f"all of it beside, {faults}",
        seeds,
        schedule_runner(BACKGROUND_JOBS, faults, monkeypatch),
        expected_events=ALL_EVENTS,
    )


@pytest.mark.parametrize("kind", BACKGROUND_JOBS)
def test_the_search_catches_sold_out_told_when_nothing_is_available(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def nothing_left(told: Summary, *rest: Any) -> Any:
        return SoldOut() if told.available == 0 else real(told, *rest)

    real = summary.refusal
    monkeypatch.setattr("chalicelib.stock.take.refusal", nothing_left)
    search.expect_control_caught(
        f"sold out told when nothing is available, {kind}", 500, schedule_runner((kind,), "doubled", monkeypatch)
    )


def test_the_search_catches_units_moved_by_two_writes(search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    def one_by_one(self: StockStore, drop_id: str, writes: Mapping[int, expressions.Write]) -> bool:
        return all(self.write(drop_id, number, write) is None for number, write in writes.items())

    monkeypatch.setattr(StockStore, "write_together", one_by_one)
    search.expect_control_caught(
        "units moved by two writes", 500, schedule_runner(("consolidation",), "doubled", monkeypatch)
    )


def test_the_search_catches_plans_whose_number_no_bucket_asks_for(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(expressions, "_PLAN_NOT_APPLIED", "attribute_exists(pk)")
    search.expect_control_caught(
        "plans whose number no bucket asks for", 500, schedule_runner(("plans",), "doubled", monkeypatch)
    )


def test_the_search_catches_pointers_swept_without_a_fence(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def clear_away(store: StockStore, pool: Pool, home: Bucket, now: Instant) -> None:
        over = {name: entry for name, entry in home.holds.items() if not entry.has_units}
        if over:
            store.write(pool.pool_id, home.number, expressions.remove_entries(over))

    monkeypatch.setattr(take, "sweep_pointers", clear_away)
    search.expect_control_caught(
        "pointers swept without a fence", 500, schedule_runner(("sweeps",), "doubled", monkeypatch)
    )
