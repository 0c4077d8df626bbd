"""When all is quiet the live summary is true, whoever refreshed it meanwhile, and however slowly."""

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
from tests.simulation.worlds.stock import LAYOUT, StockWorld


class SummaryWorld(StockWorld):
    """One buyer, and refreshes as the stream's function makes them: each delivered again until it gets through."""

    def take_and_buy(self) -> None:
        """Takes, then gives back or buys: what one refresh saw is soon over, and may soon be so again."""
        for turn in range(3):
            answer = self.stock.take(
                LAYOUT, hold_id("eve", "d", turn, 1), 1, self.seconds + 5, None, now=self.simulator.now
            )
            if isinstance(answer, Taken):
                self.simulator.events_seen["taken"] += 1
                if self.random.random() < 0.7:
                    self.stock.release(LAYOUT, answer.hold)
                else:
                    self.stock.commit(LAYOUT, answer.hold, 1, OrderRef(f"order-{turn:03d}", 1))

    def refresh_process(self, buyer: SimulatedProcess, *, afterwards: bool) -> Callable[[], None]:
        stock = self.new_stock()

        def run() -> None:
            while afterwards and not buyer.done:
                self.simulator.yield_to_others()
            while True:
                try:
                    stock.refresh(LAYOUT, self.simulator.now)
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
    """Every bucket is a segment. The stream tells each change, once at least, to one of several readers."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.undelivered_changes: list[dict[int, int]] = []
        self.invariants.append(self.record_changes)
        self.buckets_before = self.buckets

    def record_changes(self) -> None:
        """What changed since the last write comes to the stream."""
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
                        stock.refresh(LAYOUT, self.simulator.now, changes)
                    except ReadTimeoutError:
                        continue
                    self.simulator.events_seen["change delivered"] += 1
                    break

        return run

    def refused_buyer_process(self, home: int) -> Callable[[], None]:
        """Somebody's refusal makes the summary anew from the segment of his home, and from what is known of others."""
        stock = self.new_stock()

        def run() -> None:
            with suppress(ReadTimeoutError):
                stock.refresh(LAYOUT, self.simulator.now, {home: self.simulator.now})

        return run


def run_segments_schedule(seed: int, faults: str) -> Mapping[str, int]:
    """Readers of the stream while there is a buyer, and some who make the summary for themselves."""
    world = SegmentedSummaryWorld(seed)
    buyer = world.simulator.add_process(world.take_and_buy)
    for _ in range(3):
        world.simulator.add_process(world.stream_reader_process(buyer), FAULT_CLASSES[faults])
    return world.run_and_check(faults, rivals=[world.random.randrange(LAYOUT.bucket_count) for _ in range(4)])


def run_one_change_schedule(seed: int, faults: str) -> Mapping[str, int]:
    """A hold is all there is to tell, to one reader; two others make the summary from other segments meanwhile."""
    world = SegmentedSummaryWorld(seed)
    hold = hold_id(f"eve{seed}", "d", 1, 1)
    answer = world.stock.take(LAYOUT, hold, 1, world.seconds + 300, None, now=world.simulator.now)
    assert isinstance(answer, Taken)
    world.record_changes()
    world.simulator.add_process(world.stream_reader_process(None), FAULT_CLASSES[faults])
    return world.run_and_check(faults, rivals=[n for n in range(LAYOUT.bucket_count) if n != answer.hold.bucket])


def run_schedule(seed: int, faults: str) -> Mapping[str, int]:
    """Two refreshes or more while there is a buyer, and one for what the buyer did last."""
    world = SummaryWorld(seed)
    buyer = world.simulator.add_process(world.take_and_buy)
    for afterwards in (False, False, True):
        world.simulator.add_process(world.refresh_process(buyer, afterwards=afterwards), FAULT_CLASSES[faults])
    world.simulator.run()
    world.assert_summary_true()
    return world.simulator.events_seen


@parametrize_seeds(60)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
def test_when_all_is_quiet_the_live_summary_is_true(search: ScheduleSearch, faults: str, seeds: range) -> None:
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
def test_when_all_is_quiet_a_summary_of_segments_is_true(search: ScheduleSearch, faults: str, seeds: range) -> None:
    fault_class = f"summaries of segments at rest, {faults}"
    runners = (run_segments_schedule, run_one_change_schedule)
    met = ["taken", "change delivered"]
    search.expect_invariants_hold(
        fault_class, seeds, lambda seed: runners[seed // 2 % 2](seed, faults), expected_events=met
    )


@pytest.mark.usefixtures("segments")
def test_the_search_catches_a_summary_left_to_the_second_winner(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(summaries, "TRIES", 2)
    search.expect_control_caught(
        "a summary left to the second winner", 2_000, lambda seed: run_one_change_schedule(seed, "doubled")
    )


def test_the_search_catches_summaries_that_ask_for_no_older_one(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def anyway(self: StockStore, table: str, item: Mapping[str, Any], condition: str, values: Any = None) -> bool:
        self._dynamodb.put_item(TableName=table, Item=to_item(item), ConditionExpression="attribute_not_exists(no)")
        return True

    monkeypatch.setattr(StockStore, "_put", anyway)
    search.expect_control_caught(
        "summaries that ask for no older one", 1_000, lambda seed: run_schedule(seed, "doubled"), times=10
    )


class _InterruptedClient:
    """A client for which things happen right before it puts."""

    def __init__(self, client: Any, meanwhile: Callable[[], object]) -> None:
        self._client, self._meanwhile = client, meanwhile

    def __getattr__(self, operation: str) -> Any:
        return getattr(self._client, operation)

    def put_item(self, **call: Any) -> Any:
        self._meanwhile()
        return self._client.put_item(**call)


def test_a_slow_refresh_puts_no_older_sums_over_what_a_later_one_found() -> None:
    world = SummaryWorld(0)

    def meanwhile() -> None:
        assert isinstance(taken, Taken)
        world.stock.release(LAYOUT, taken.hold)
        assert world.stock.refresh(LAYOUT, world.simulator.now).held == 0

    taken = world.stock.take(LAYOUT, hold_id("ada", "d", 1, 1), 1, world.seconds + 300, None, now=world.simulator.now)
    slow: Any = _InterruptedClient(world.simulator.client, meanwhile)
    Stock(slow, "stock", "commerce").refresh(LAYOUT, world.simulator.now)
    world.assert_summary_true()
