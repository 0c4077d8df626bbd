"""No buyer is answered "sold out" while a unit is unsold, however sales alternate between buckets (Invariant 1d).

At each instant one unit is unsold: a unit is restocked in one bucket before the unit of another is sold. A process that
reads the buckets one after another may see each of them sold. It must not answer "sold out".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import pytest

from chalicelib.stock import HoldRef, OrderRef, Stock, Taken, hold_id
from chalicelib.stock.summaries import Summaries
from tests.simulation.schedule_search import ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FAULT_CLASSES, RETRYABLE_ERRORS
from tests.simulation.worlds.stock import POOL, StockWorld


class AlternatingSalesWorld(StockWorld):
    """Three units, one in each bucket: two are sold, and the next buyer holds the third."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed, (1,))
        self.holds_placed = 0
        held = [self.hold_anywhere(self.stock) for _ in range(3)]
        self.sold = [(one, self.commit(self.stock, one)) for one in held[:2]]
        self.held = held[2]
        self.stock.refresh(POOL, self.simulator.now)
        self.invariants.append(self.one_unit_is_unsold)

    def one_unit_is_unsold(self) -> None:
        assert not self.all_sold, "the test itself sold every unit"

    def hold_anywhere(self, stock: Stock) -> HoldRef:
        """Take the free unit, however long it takes: another buyer who holds it releases it, or its hold expires."""
        self.holds_placed += 1
        hold, expires_at = hold_id(f"eve{self.seed}", "d", self.holds_placed, 1), self.seconds + 900
        while True:
            answer = stock.take(POOL, hold, 1, expires_at, None, now=self.simulator.now)
            if isinstance(answer, Taken):
                return answer.hold
            self.simulator.advance_clock(500)
            self.simulator.yield_to_others()

    def commit(self, stock: Stock, hold: HoldRef) -> OrderRef:
        order = OrderRef(f"order-{self.holds_placed:03d}", 1)
        stock.commit(POOL, hold, 1, order)
        return order

    def alternate_sales(self) -> None:
        """Restock one sold unit, then buy the held unit, then hold the restocked one."""
        stock = self.new_stock()
        for _ in range(6):
            hold, order = self.sold.pop(self.random.randrange(2))
            assert stock.restock(POOL, hold, order, 1, 0)
            self.sold.append((self.held, self.commit(stock, self.held)))
            self.held = self.hold_anywhere(stock)
            self.simulator.events_seen["sales undone"] += 1

    def asking_process(self, name: str) -> Callable[[], None]:
        """Take a unit and release it at once. A refusal rests on a reading made for this request."""
        stock = self.new_stock()

        def run() -> None:
            for turn in range(4):
                try:
                    answer = self.take(stock, hold_id(f"{name}{self.seed}", "d", turn, 1))
                    self.simulator.events_seen[type(answer).__name__] += 1
                    if isinstance(answer, Taken):
                        stock.release(POOL, answer.hold)
                except RETRYABLE_ERRORS:
                    self.simulator.yield_to_others(self.random.randrange(4))

        return run

    def refresh_repeatedly(self) -> None:
        """Refresh the live summary, as the stream handler does."""
        stock = self.new_stock()
        for _ in range(8):
            try:
                summary = stock.refresh(POOL, self.simulator.now)
            except RETRYABLE_ERRORS:
                continue
            assert not summary.sold_out, "the summary says sold out, which was never true"
            self.simulator.events_seen["summaries"] += 1


def run_schedule(seed: int, faults: str) -> Mapping[str, int]:
    world = AlternatingSalesWorld(seed)
    world.simulator.add_process(world.alternate_sales)
    for name in ("ada", "bob"):
        world.simulator.add_process(world.asking_process(name), FAULT_CLASSES[faults])
    for _ in range(2):
        world.simulator.add_process(world.refresh_repeatedly, FAULT_CLASSES[faults])
    world.simulator.run()
    return world.simulator.events_seen


@parametrize_seeds(40)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
def test_sold_out_is_never_answered_while_a_unit_is_unsold(search: ScheduleSearch, faults: str, seeds: range) -> None:
    expected = ["sales undone", "summaries", "Taken", "AllHeld"]
    search.expect_invariants_hold(
        f"sold out, sales undone, {faults}", seeds, partial(run_schedule, faults=faults), expected_events=expected
    )


def test_the_search_catches_sold_out_answered_after_one_reading(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Summaries, "_is_sold_out", lambda self, pool, now: True)
    search.expect_control_caught(
        "sold out answered after one reading", 2_000, lambda seed: run_schedule(seed, "doubled")
    )
