"""At rest the live summary is true, however many processes refreshed it meanwhile (Invariant 6a)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib.aws import to_item
from chalicelib.stock import OrderRef, Stock, Taken, hold_id, summaries
from chalicelib.stock.store import StockStore
from tests.simulation.schedule_search import ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FAULT_CLASSES, SimulatedProcess
from tests.simulation.worlds.stock import POOL, StockWorld


class SummaryWorld(StockWorld):
    """One buyer, and refreshes as the stream handler makes them: each is repeated until it succeeds."""

    def take_and_buy(self) -> None:
        """Take units, then release or buy them: a refresh's sums are soon stale, and may soon be true again."""
        for turn in range(3):
            answer = self.stock.take(
                POOL, hold_id("eve", "d", turn, 1), 1, self.seconds + 5, None, now=self.simulator.now
            )
            if isinstance(answer, Taken):
                self.simulator.events_seen["taken"] += 1
                if self.random.random() < 0.7:
                    self.stock.release(POOL, answer.hold)
                else:
                    self.stock.commit(POOL, answer.hold, 1, OrderRef(f"order-{turn:03d}", 1))

    def refresh_process(self, buyer: SimulatedProcess, *, afterwards: bool) -> Callable[[], None]:
        stock = self.new_stock()

        def run() -> None:
            while afterwards and not buyer.done:
                self.simulator.yield_to_others()
            while True:
                try:
                    stock.refresh(POOL, self.simulator.now)
                except ReadTimeoutError:
                    continue
                if buyer.done:
                    return

        return run

    def assert_summary_true(self) -> None:
        summary = self.stock.summary("d")
        assert summary is not None
        held = sum(entry["q"] for bucket in self.buckets for entry in bucket["h"].values() if "u" in entry)
        true = (self.size, self.unsold_units() - held, held, self.size - self.unsold_units())
        assert (summary.size, summary.available, summary.held, summary.sold) == true, "the live summary is not true"


class SegmentedSummaryWorld(SummaryWorld):
    """Every bucket is a segment. The stream delivers each change at least once, to one of several readers."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.undelivered_changes: list[dict[int, int]] = []
        self.invariants.append(self.record_changes)
        self.buckets_before = self.buckets

    def record_changes(self) -> None:
        """Put the changes of the last write on the stream."""
        before, self.buckets_before = self.buckets_before, self.buckets
        self.undelivered_changes += [
            {n: self.simulator.now} for n, bucket in enumerate(self.buckets) if bucket != before[n]
        ]

    def run_and_check(self, faults: str, rivals: Iterable[int]) -> Mapping[str, int]:
        for home in rivals:
            self.simulator.add_process(self.refused_buyer_process(home), FAULT_CLASSES[faults])
        self.simulator.run()
        assert not self.undelivered_changes
        self.assert_summary_true()
        return self.simulator.events_seen

    def stream_reader_process(self, buyer: SimulatedProcess | None) -> Callable[[], None]:
        stock = self.new_stock()

        def run() -> None:
            while self.undelivered_changes or not (buyer is None or buyer.done):
                if not self.undelivered_changes:
                    self.simulator.yield_to_others()
                    continue
                changes = self.undelivered_changes.pop(0)
                while True:
                    try:
                        stock.refresh(POOL, self.simulator.now, changes)
                    except ReadTimeoutError:
                        continue
                    self.simulator.events_seen["change delivered"] += 1
                    break

        return run

    def refused_buyer_process(self, home: int) -> Callable[[], None]:
        """Refresh after a refusal: read the segment of the buyer's home, and take other segments from the cache."""
        stock = self.new_stock()

        def run() -> None:
            with suppress(ReadTimeoutError):
                stock.refresh(POOL, self.simulator.now, {home: self.simulator.now})

        return run


def run_segments_schedule(seed: int, faults: str) -> Mapping[str, int]:
    """Run readers of the stream beside a buyer and beside refreshes after refusals."""
    world = SegmentedSummaryWorld(seed)
    buyer = world.simulator.add_process(world.take_and_buy)
    for _ in range(3):
        world.simulator.add_process(world.stream_reader_process(buyer), FAULT_CLASSES[faults])
    return world.run_and_check(faults, rivals=[world.random.randrange(POOL.bucket_count) for _ in range(4)])


def run_one_change_schedule(seed: int, faults: str) -> Mapping[str, int]:
    """Deliver the change of one hold to one reader, while two others refresh from other segments."""
    world = SegmentedSummaryWorld(seed)
    hold = hold_id(f"eve{seed}", "d", 1, 1)
    answer = world.stock.take(POOL, hold, 1, world.seconds + 300, None, now=world.simulator.now)
    assert isinstance(answer, Taken)
    world.record_changes()
    world.simulator.add_process(world.stream_reader_process(None), FAULT_CLASSES[faults])
    return world.run_and_check(faults, rivals=[n for n in range(POOL.bucket_count) if n != answer.hold.bucket])


def run_schedule(seed: int, faults: str) -> Mapping[str, int]:
    """Run two refreshes beside a buyer, and one after the buyer's last write."""
    world = SummaryWorld(seed)
    buyer = world.simulator.add_process(world.take_and_buy)
    for afterwards in (False, False, True):
        world.simulator.add_process(world.refresh_process(buyer, afterwards=afterwards), FAULT_CLASSES[faults])
    world.simulator.run()
    world.assert_summary_true()
    return world.simulator.events_seen


@parametrize_seeds(60)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
def test_live_summary_is_true_at_rest(search: ScheduleSearch, faults: str, seeds: range) -> None:
    search.expect_invariants_hold(
        f"summaries at rest, {faults}", seeds, lambda seed: run_schedule(seed, faults), expected_events=["taken"]
    )


@pytest.fixture
def segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "MAX_BUCKETS_UNSEGMENTED", 0)
    monkeypatch.setattr(summaries, "BUCKETS_PER_SEGMENT", 1)


@parametrize_seeds(60)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
@pytest.mark.usefixtures("segments")
def test_summary_of_segments_is_true_at_rest(search: ScheduleSearch, faults: str, seeds: range) -> None:
    fault_class = f"summaries of segments at rest, {faults}"
    runners = (run_segments_schedule, run_one_change_schedule)
    expected = ["taken", "change delivered"]
    search.expect_invariants_hold(
        fault_class, seeds, lambda seed: runners[seed // 2 % 2](seed, faults), expected_events=expected
    )


@pytest.mark.usefixtures("segments")
def test_the_search_catches_a_summary_left_to_the_second_winner(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries, "TRIES", 2)
    search.expect_control_caught(
        "a summary left to the second winner", 2_000, lambda seed: run_one_change_schedule(seed, "doubled")
    )


def test_the_search_catches_summaries_that_overwrite_newer_ones(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def put_unconditionally(
        self: StockStore, table: str, item: Mapping[str, Any], condition: str, values: Any = None
    ) -> bool:
        self._dynamodb.put_item(TableName=table, Item=to_item(item), ConditionExpression="attribute_not_exists(no)")
        return True

    monkeypatch.setattr(StockStore, "_put", put_unconditionally)
    search.expect_control_caught(
        "summaries that overwrite newer ones", 1_000, lambda seed: run_schedule(seed, "doubled"), times=10
    )


class _InterruptedClient:
    """A client that calls ``meanwhile`` right before each put."""

    def __init__(self, client: Any, meanwhile: Callable[[], object]) -> None:
        self._client, self._meanwhile = client, meanwhile

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)

    def put_item(self, **call: Any) -> Any:
        self._meanwhile()
        return self._client.put_item(**call)


def test_slow_refresh_does_not_overwrite_the_sums_of_a_later_one() -> None:
    world = SummaryWorld(0)

    def meanwhile() -> None:
        assert isinstance(taken, Taken)
        world.stock.release(POOL, taken.hold)
        assert world.stock.refresh(POOL, world.simulator.now).held == 0

    taken = world.stock.take(POOL, hold_id("ada", "d", 1, 1), 1, world.seconds + 300, None, now=world.simulator.now)
    slow: Any = _InterruptedClient(world.simulator.client, meanwhile)
    Stock(slow, "stock", "commerce").refresh(POOL, world.simulator.now)
    world.assert_summary_true()
