"""No schedule breaks the promise of a verb on a hold (infra/docs/stock-protocol.md#verbs-on-a-hold; Invariant 1c).

- Commit and revert to hold: nothing is committed at an ended epoch, and no epoch decreases.
- Shrink and restock: units return once, however often the call is repeated.
- Tombstone: a tombstoned hold never has units again, although a take of it may still be late.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib.errors import WriteConflict
from chalicelib.stock import (
    Committed,
    HoldGone,
    HoldRef,
    OrderRef,
    RevertedToHold,
    StaleEpoch,
    Stock,
    Taken,
    expressions,
    hold_id,
    holds,
)
from chalicelib.stock.bucket import BucketEntry
from chalicelib.stock.layout import home_of
from tests.simulation.schedule_search import ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FAULT_CLASSES
from tests.simulation.worlds.stock import CLOCK_JUMPS, HOLD_SECONDS, POOL, StockWorld

ORDER = "order-abc"


class OwnedHoldWorld(StockWorld):
    """One hold of an order, in its home bucket or away from it, and processes that work on it."""

    def __init__(self, seed: int, quantity: int = 1) -> None:
        super().__init__(seed, (quantity, quantity, quantity + 1))
        self.ref = self.take_hold(seed, quantity)
        self.hold = self.ref.id
        self.invariants.append(self.check_promise)

    def take_hold(self, seed: int, quantity: int) -> HoldRef:
        hold = hold_id(f"purchase{seed}", "d", 1, quantity)
        others = self.summary_with_open(n for n in range(POOL.bucket_count) if n != home_of(hold, POOL))
        summary, expires_at = others if seed % 4 < 2 else None, self.seconds + HOLD_SECONDS
        answer = self.stock.take(POOL, hold, quantity, expires_at, summary, now=self.simulator.now)
        assert isinstance(answer, Taken)
        return answer.hold

    def entry(self) -> dict[str, Any]:
        """Return the stored entry of the hold, or one without units."""
        entries = [self.buckets[number]["h"][self.hold] for number in self.buckets_holding(self.hold)]
        return dict(entries[0]) if entries else {"q": 0}

    def check_promise(self) -> None:
        raise NotImplementedError

    def retry_process(self, step: Callable[[Stock], bool], tries: int = 4) -> Callable[[], None]:
        """Repeat a step until it reports its end. A call without an answer is repeated."""
        stock = self.new_stock()

        def run() -> None:
            for _ in range(tries):
                try:
                    if step(stock):
                        return
                except (ReadTimeoutError, WriteConflict):
                    self.simulator.yield_to_others(self.random.randrange(4))

        return run

    def run_steps(self, faults: str, steps: list[Callable[[Stock], bool]], clock_jumps: tuple[int, ...]) -> None:
        for step in steps:
            self.simulator.add_process(self.retry_process(step), FAULT_CLASSES[faults])
        for name in ("ada", "bob"):
            self.simulator.add_process(self.rival_process(name))
        self.simulator.run(clock_jumps)


class EpochWorld(OwnedHoldWorld):
    """Attempts commit, revert to hold, and perhaps release."""

    ended_orders: set[str]
    latest_order = ""

    def check_promise(self) -> None:
        entry = self.entry()
        assert "u" in entry or entry.get("o") not in self.ended_orders, "committed at an ended epoch"
        if entry["q"]:
            assert entry.get("o", "") >= self.latest_order, "an epoch decreased"
            self.latest_order = entry.get("o", "")

    def attempt(self, order: OrderRef) -> Callable[[Stock], bool]:
        def step(stock: Stock) -> bool:
            answer = stock.commit(POOL, self.ref, 1, order)
            self.simulator.events_seen[f"commit: {type(answer).__name__}"] += 1
            if answer == Committed(1) and self.random.random() < 0.4:
                return True
            reverted = stock.revert_to_hold(POOL, self.ref, order, self.seconds + HOLD_SECONDS)
            if isinstance(reverted, RevertedToHold):
                self.ended_orders.add(str(order))
            over = isinstance(reverted, HoldGone) or self.random.random() < 0.5
            return over or stock.release(POOL, self.ref, order)

        return step


def run_epoch_schedule(seed: int, faults: str) -> Mapping[str, int]:
    """Run attempts of three epochs. No take is late here: workers tombstone a hold whose take may still be late."""
    world = EpochWorld(seed)
    world.ended_orders = set()
    world.run_steps(faults, [world.attempt(OrderRef(ORDER, epoch)) for epoch in (1, 1, 2)], CLOCK_JUMPS)
    world.assert_nothing_stranded()
    return world.simulator.events_seen


class RestockWorld(OwnedHoldWorld):
    """Two units: shrunk to one while held, or sold and restocked in one or two steps. Two processes do each step."""

    min_units = max_units = 2
    refund_steps: tuple[tuple[int, int], ...] = ()
    """Units before and after each refund, as the purchase stores them."""

    def check_promise(self) -> None:
        units = self.entry()["q"]
        assert self.min_units <= units <= self.max_units, f"{units} units, not {self.min_units} to {self.max_units}"
        self.max_units = units  # restocked units never return to the order

    def lower_min_units(self, left: int) -> None:
        """Store the refund in the purchase: the order may have this many units from now on."""
        self.min_units = min(self.min_units, left)

    def shrink(self, stock: Stock) -> bool:
        self.lower_min_units(1)
        return stock.shrink(POOL, self.ref, 1)

    def restock(self, stock: Stock) -> bool:
        order = OrderRef(ORDER, 1)
        for expected, left in self.refund_steps:
            self.lower_min_units(left)
            if not stock.restock(POOL, self.ref, order, expected, left):
                return True  # the other process is ahead
        return True


def run_restock_schedule(seed: int, faults: str) -> Mapping[str, int]:
    """Run two processes without clock jumps, so that the hold does not expire. One repeat completes every step."""
    world = RestockWorld(seed, quantity=2)
    world.refund_steps = ((2, 1), (1, 0))[: seed // 2 % 3]
    if world.refund_steps:
        assert world.stock.commit(POOL, world.ref, 2, OrderRef(ORDER, 1)) == Committed(2)
    step = world.restock if world.refund_steps else world.shrink
    world.run_steps(faults, [step, step], ())
    step(world.stock)
    assert world.entry()["q"] == world.min_units == (0 if len(world.refund_steps) == 2 else 1)
    world.assert_nothing_stranded()
    return world.simulator.events_seen


class TombstoneWorld(OwnedHoldWorld):
    """A hold that was taken and released, then tombstoned while repeats of its take are still late."""

    tombstoned = False

    def check_promise(self) -> None:
        assert not (self.tombstoned and self.buckets_holding(self.hold)), "a tombstoned hold has units"

    def take_again(self, stock: Stock) -> bool:
        return isinstance(self.take(stock, self.hold), Taken) and self.random.random() < 0.5

    def tombstone(self, stock: Stock) -> bool:
        """Tombstone the hold as a worker does that finds it gone. Release the units of a take that won first."""
        if self.buckets_holding(self.hold):
            stock.release(POOL, self.ref)
        if not stock.tombstone(POOL, self.hold):
            return False
        self.simulator.events_seen[
            "tombstoned at home" if len(self.tombstone_buckets()) == 1 else "tombstoned at home and away"
        ] += 1
        self.tombstoned = True
        return True

    def tombstone_buckets(self) -> list[int]:
        return [number for number, bucket in enumerate(self.buckets) if bucket["h"].get(self.hold) == {"q": 0}]


def run_tombstone_schedule(seed: int, faults: str) -> Mapping[str, int]:
    world = TombstoneWorld(seed)
    world.run_steps(faults, [world.take_again, world.take_again, world.tombstone, world.tombstone], CLOCK_JUMPS)
    world.assert_nothing_stranded()
    return world.simulator.events_seen


RUNNERS = {
    "commit and revert to hold": run_epoch_schedule,
    "shrink and restock": run_restock_schedule,
    "tombstone": run_tombstone_schedule,
}
EXPECTED_EVENTS = {
    "commit and revert to hold": [f"commit: {answer.__name__}" for answer in (Committed, HoldGone, StaleEpoch)],
    "shrink and restock": [],
    "tombstone": ["tombstoned at home", "tombstoned at home and away"],
}


@parametrize_seeds(40)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
@pytest.mark.parametrize("verb", RUNNERS)
def test_no_schedule_breaks_what_a_verb_promises(search: ScheduleSearch, verb: str, faults: str, seeds: range) -> None:
    search.expect_invariants_hold(
        f"{verb}, {faults}", seeds, lambda seed: RUNNERS[verb](seed, faults), expected_events=EXPECTED_EVENTS[verb]
    )


def test_the_search_catches_a_commit_that_checks_no_epoch(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holds, "_commit_result", lambda entry, keep, order: None)
    search.expect_control_caught("a commit that checks no epoch", 500, lambda seed: run_epoch_schedule(seed, "doubled"))


def test_the_search_catches_a_restock_without_a_target(search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    def restock_anything(hold: str, order: OrderRef, expected: int, left: int) -> expressions.Write:
        write = real(hold, order, expected, left)
        update = "SET a = a + :back, h.#h.q = h.#h.q - :back"
        values = {":back": expected - left, ":order": str(order), ":zero": 0}
        return expressions.Write(update, "h.#h.o = :order AND h.#h.q > :zero", values, write.names)

    real = expressions.restock
    monkeypatch.setattr(expressions, "restock", restock_anything)
    search.expect_control_caught("a restock without a target", 500, lambda seed: run_restock_schedule(seed, "doubled"))


def test_the_search_catches_a_tombstone_at_home_alone(search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_home(self: Any, pool: Any, hold: str) -> bool:
        store, home = self._store, home_of(hold, pool)
        for _ in count():
            own = store.read_bucket("d", home, strong=True).holds.get(hold)
            if own is not None and own.has_units:
                return False
            if store.write("d", home, expressions.compare_and_set(hold, own, BucketEntry(0))) is None:
                return True
        raise AssertionError

    monkeypatch.setattr(holds.HoldVerbs, "tombstone", at_home)
    search.expect_control_caught(
        "a tombstone at home alone", 2_000, lambda seed: run_tombstone_schedule(seed, "doubled")
    )
