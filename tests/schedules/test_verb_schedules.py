"""No interleaving of an order's attempts, of repeated returns, or of late takes breaks what a verb promises.

Selling and holding again: nothing is ever sold at an epoch that ended, and no epoch goes back. Shrinking and returning:
units go back once, whoever repeats it. Marking dead: what is dead stays dead, whatever take is still under way.
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
    Gone,
    HoldRef,
    OrderRef,
    RevertedToHold,
    StaleEpoch,
    Stock,
    Taken,
    expressions,
    hold_id,
    verbs,
)
from chalicelib.stock.bucket import Entry
from chalicelib.stock.layout import home_of
from tests.schedules.buckets import CLOCK_JUMPS, HOLD_SECONDS, LAYOUT, StockWorld
from tests.schedules.search import ScheduleSearch, parametrize_seeds
from tests.schedules.stage import FAULT_CLASSES

ORDER = "order-abc"


class Owned(StockWorld):
    """One hold, taken at home or, in every other pair of seeds, away from it; processes of its order work on it."""

    def __init__(self, seed: int, quantity: int = 1) -> None:
        super().__init__(seed, (quantity, quantity, quantity + 1))
        self.ref = self.taken(seed, quantity)
        self.hold = self.ref.id
        self.invariants.append(self.keeps_its_word)

    def taken(self, seed: int, quantity: int) -> HoldRef:
        hold = hold_id(f"purchase{seed}", "d", 1, quantity)
        others = self.summary_with_open(n for n in range(LAYOUT.homes) if n != home_of(hold, LAYOUT))
        known, until = others if seed % 4 < 2 else None, self.seconds + HOLD_SECONDS
        answer = self.stock.take(LAYOUT, hold, quantity, until, known, now=self.simulator.now)
        assert isinstance(answer, Taken)
        return answer.hold

    def entry(self) -> dict[str, Any]:
        """The hold as it stands; nothing when it is gone."""
        entries = [self.buckets[number]["h"][self.hold] for number in self.buckets_holding(self.hold)]
        return dict(entries[0]) if entries else {"q": 0}

    def keeps_its_word(self) -> None:
        raise NotImplementedError

    def again(self, step: Callable[[Stock], bool], tries: int = 4) -> Callable[[], None]:
        """A process that does a step until it is over; calls without an answer are made again."""
        stock = self.new_stock()

        def play() -> None:
            for _ in range(tries):
                try:
                    if step(stock):
                        return
                except (ReadTimeoutError, WriteConflict):
                    self.simulator.yield_to_others(self.random.randrange(4))

        return play

    def played(self, faults: str, steps: list[Callable[[Stock], bool]], leaps: tuple[int, ...]) -> None:
        for step in steps:
            self.simulator.add_process(self.again(step), FAULT_CLASSES[faults])
        for name in ("ada", "bob"):
            self.simulator.add_process(self.rival_process(name))
        self.simulator.run(leaps)


class Epochs(Owned):
    """Attempts sell, end by holding again, and perhaps release."""

    ended: set[str]
    reached = ""

    def check_promise(self) -> None:
        entry = self.entry()
        assert "u" in entry or entry.get("o") not in self.ended, "sold at an epoch that ended"
        if entry["q"]:
            assert entry.get("o", "") >= self.reached, "an epoch went back"
            self.reached = entry.get("o", "")

    def attempt(self, order: OrderRef) -> Callable[[Stock], bool]:
        def step(stock: Stock) -> bool:
            answer = stock.commit(LAYOUT, self.ref, 1, order)
            self.simulator.events_seen[f"sell: {type(answer).__name__}"] += 1
            if answer == Committed(1) and self.random.random() < 0.4:
                return True
            again = stock.revert_to_hold(LAYOUT, self.ref, order, self.seconds + HOLD_SECONDS)
            if isinstance(again, RevertedToHold):
                self.ended.add(str(order))
            over = isinstance(again, Gone) or self.random.random() < 0.5
            return over or stock.release(LAYOUT, self.ref, order)

        return step


def play_epochs(seed: int, faults: str) -> Mapping[str, int]:
    """No take of the hold is late here: one that lands after a release may be sold, so workers mark the hold dead."""
    world = Epochs(seed)
    world.ended = set()
    world.played(faults, [world.attempt(OrderRef(ORDER, epoch)) for epoch in (1, 1, 2)], CLOCK_JUMPS)
    world.assert_nothing_stranded()
    return world.simulator.events_seen


class Returns(Owned):
    """Two units: shrunk to one while they are held, or sold and one given back, or both in turn; all by twins."""

    least = most = 2
    asked: tuple[tuple[int, int], ...] = ()
    """From how many units to how many the purchase's log says that refunds bring the order."""

    def check_promise(self) -> None:
        units = self.entry()["q"]
        assert self.least <= units <= self.most, f"{units} units, not {self.least} to {self.most}"
        self.most = units  # what went back never comes again

    def asked_for(self, left: int) -> None:
        """The purchase's log says so from here on."""
        self.least = min(self.least, left)

    def shrink(self, stock: Stock) -> bool:
        self.asked_for(1)
        return stock.shrink(LAYOUT, self.ref, 1)

    def give_back(self, stock: Stock) -> bool:
        order = OrderRef(ORDER, 1)
        for expected, left in self.asked:
            self.asked_for(left)
            if not stock.restock(LAYOUT, self.ref, order, expected, left):
                return True  # a twin has gone on
        return True


def play_returns(seed: int, faults: str) -> Mapping[str, int]:
    """Time stands still: the hold does not lapse. In the end, as when a message is delivered again, all is done."""
    world = Returns(seed, quantity=2)
    world.asked = ((2, 1), (1, 0))[: seed // 2 % 3]
    if world.asked:
        assert world.stock.commit(LAYOUT, world.ref, 2, OrderRef(ORDER, 1)) == Committed(2)
    step = world.give_back if world.asked else world.shrink
    world.played(faults, [step, step], ())
    step(world.stock)
    assert world.entry()["q"] == world.least == (0 if len(world.asked) == 2 else 1)
    world.assert_nothing_stranded()
    return world.simulator.events_seen


class Dead(Owned):
    """A hold that was taken and given back, marked dead while repeats of its take are still under way."""

    marked = False

    def check_promise(self) -> None:
        assert not (self.marked and self.buckets_holding(self.hold)), "a dead hold came back"

    def take_again(self, stock: Stock) -> bool:
        return isinstance(self.take(stock, self.hold), Taken) and self.random.random() < 0.5

    def bury(self, stock: Stock) -> bool:
        """As a worker does that finds a hold gone. Nobody sells it: a take that won is given back here first."""
        if self.buckets_holding(self.hold):
            stock.release(LAYOUT, self.ref)
        if not stock.mark_dead(LAYOUT, self.hold):
            return False
        self.simulator.events_seen["dead at home" if len(self.marks()) == 1 else "dead at home and away"] += 1
        self.marked = True
        return True

    def marks(self) -> list[int]:
        return [number for number, bucket in enumerate(self.buckets) if bucket["h"].get(self.hold) == {"q": 0}]


def play_dead(seed: int, faults: str) -> Mapping[str, int]:
    world = Dead(seed)
    world.played(faults, [world.take_again, world.take_again, world.bury, world.bury], CLOCK_JUMPS)
    world.assert_nothing_stranded()
    return world.simulator.events_seen


PLAYS = {"sell and hold again": play_epochs, "shrink and return": play_returns, "mark dead": play_dead}
MET = {
    "sell and hold again": [f"sell: {answer.__name__}" for answer in (Committed, Gone, StaleEpoch)],
    "shrink and return": [],
    "mark dead": ["dead at home", "dead at home and away"],
}


@parametrize_seeds(40)
@pytest.mark.parametrize("faults", FAULT_CLASSES)
@pytest.mark.parametrize("verb", PLAYS)
def test_no_schedule_breaks_what_a_verb_promises(search: ScheduleSearch, verb: str, faults: str, seeds: range) -> None:
    search.expect_invariants_hold(
        f"{verb}, {faults}", seeds, lambda seed: PLAYS[verb](seed, faults), expected_events=MET[verb]
    )


def test_the_search_catches_a_sell_that_asks_for_no_epoch(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verbs, "_commit_outcome", lambda seen, keep, order: None)
    search.expect_control_caught("a sell that asks for no epoch", 500, lambda seed: play_epochs(seed, "doubled"))


def test_the_search_catches_a_return_without_a_target(search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    def give_back(hold: str, order: OrderRef, expected: int, left: int) -> expressions.Write:
        write = real(hold, order, expected, left)
        update = "SET a = a + :back, h.#h.q = h.#h.q - :back"
        values = {":back": expected - left, ":order": str(order), ":zero": 0}
        return expressions.Write(update, "h.#h.o = :order AND h.#h.q > :zero", values, write.names)

    real = expressions.restock
    monkeypatch.setattr(expressions, "restock", give_back)
    search.expect_control_caught("a return without a target", 500, lambda seed: play_returns(seed, "doubled"))


def test_the_search_catches_a_dead_mark_at_home_alone(search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    def at_home(store: Any, layout: Any, hold: str) -> bool:
        home = home_of(hold, layout)
        for _ in count():
            own = store.read_bucket("d", home, strong=True).holds.get(hold)
            if own is not None and own.has_units:
                return False
            if store.write("d", home, expressions.compare_and_set(hold, own, Entry(0))) is None:
                return True
        raise AssertionError

    monkeypatch.setattr(verbs, "mark_dead", at_home)
    search.expect_control_caught("a dead mark at home alone", 2_000, lambda seed: play_dead(seed, "doubled"))
