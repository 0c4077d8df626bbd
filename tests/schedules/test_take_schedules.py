"""No interleaving, cut, doubled or late write gives one buyer two holds, or breaks a bucket.

``LIVEDROP_SCHEDULES`` is the number of schedules a fault class (300 by default; the long form uses 20,000).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from botocore.exceptions import ReadTimeoutError

from chalicelib.stock import (
    Busy,
    Gone,
    HeldAgain,
    HoldRef,
    Layout,
    OrderRef,
    Sold,
    Stock,
    Summary,
    TakeAnswer,
    Taken,
    expressions,
    hold_id,
    take,
)
from chalicelib.stock.bucket import Entry, Ours, Room, meaning
from chalicelib.stock.store import StockStore
from tests.schedules.stage import Stage

SCHEDULES = int(os.environ.get("LIVEDROP_SCHEDULES", "300"))
FAULTS = ["serial", "doubled", "doubled_and_cut", "doubled_cut_and_late"]
LEAPS = (1_000, 4_000, 7_000, 61_000)
HOLD_SECONDS = 5
LAYOUT = Layout("d", 3)


class TwoHolds(AssertionError):
    """One hold has units in two buckets."""


class World:
    """Three small buckets on a stage, and the rules that hold after every write."""

    def __init__(self, seed: int) -> None:
        self.stage = Stage(seed, self.check)
        self.random = Random(seed)
        self.sizes = [self.random.choice([1, 1, 2]) for _ in range(LAYOUT.homes)]
        self.stock = self.process()
        self.store = StockStore(self.stage.client, "stock", "commerce")
        self.stock.lay_out("d", self.sizes, self.stage.now)
        self.rules: list[Callable[[], None]] = []

    def process(self) -> Stock:
        """What another process has: the same tables, memory of its own."""
        return Stock(self.stage.client, "stock", "commerce")

    @property
    def seconds(self) -> int:
        return self.stage.now // 1000

    def bucket(self, number: int) -> dict[str, Any]:
        return self.stage.table.items["stock", f"d#{number}"]

    def places(self, hold: str) -> list[int]:
        return [n for n in range(LAYOUT.homes) if self.bucket(n)["h"].get(hold, {"q": 0})["q"] > 0]

    def check(self) -> None:
        seen: set[str] = set()
        for number in range(LAYOUT.homes):
            bucket = self.bucket(number)
            holds = bucket["h"]
            assert bucket["a"] >= 0
            assert bucket["a"] + sum(entry["q"] for entry in holds.values()) == bucket["s"] == self.sizes[number]
            for name, entry in holds.items():
                if entry["q"] > 0:
                    if name in seen:
                        raise TwoHolds(name)
                    seen.add(name)
        for rule in self.rules:
            rule()

    def believed(self) -> Summary | None:
        """What a caller may believe: nothing, or any buckets to be open, true or not."""
        if self.random.random() < 0.4:
            return None
        opened = tuple(n for n in range(LAYOUT.homes) if self.random.random() < 0.6)
        size = sum(self.sizes)
        return Summary("d", size, len(opened), size - len(opened), 0, opened, self.seconds, None, self.stage.now)

    def take(self, stock: Stock, hold: str) -> TakeAnswer:
        until = self.seconds + HOLD_SECONDS
        return stock.take(LAYOUT, hold, 1, until, self.believed(), now=self.stage.now)

    def naive_take(self, stock: Stock, hold: str) -> TakeAnswer:
        """The control: any bucket that is believed open, in the order believed; its own hold there is a replay."""
        for number in (self.believed() or stock.refresh(LAYOUT, self.stage.now)).open_buckets:
            write = expressions.put_hold(hold, Entry(1, self.seconds + HOLD_SECONDS), Room())
            stood = self.store.write("d", number, write)
            if stood is None or isinstance(meaning(stood, hold, 1, self.seconds), Ours):
                return Taken(HoldRef(hold, number, 1, self.seconds + HOLD_SECONDS))
        return Busy(1)

    def buyer(self, hold: str, taker: Callable[[Stock, str], TakeAnswer], tries: int) -> Callable[[], None]:
        stock = self.process()

        def play() -> None:
            for _ in range(tries):
                try:
                    if isinstance(taker(stock, hold), Taken):
                        return
                except ReadTimeoutError:
                    continue

        return play

    def rival(self, name: str) -> Callable[[], None]:
        """Another buyer, who takes and gives back, or lets it lapse."""

        stock = self.process()

        def play() -> None:
            for turn in range(3):
                answer = self.take(stock, hold_id(name, "d", turn, 1))
                if isinstance(answer, Taken) and self.random.random() < 0.7:
                    stock.release(LAYOUT, answer.hold)

        return play

    def leave_nothing_stranded(self) -> None:
        """When every hold has lapsed and every fence, new buyers get every unit that is not sold."""
        self.stage.pass_time(200_000)
        self.stage.running = None
        for turn in range(4 * sum(self.sizes)):
            self.stock.take(LAYOUT, hold_id("late", "d", turn, 1), 1, self.seconds + 900, None, now=self.stage.now)
        left = self.stock.refresh(LAYOUT, self.stage.now)
        assert left.available == 0
        assert left.held + left.sold == sum(self.sizes)
        assert self.stock.audit(LAYOUT, sum(self.sizes), self.stage.now).mismatches == ()


def play_takes(seed: int, faults: str, taker: str = "take", leaps: tuple[int, ...] = ()) -> World:
    world = World(seed)
    hold = hold_id(f"purchase{seed}", "d", 1, 1)
    copies = {"serial": 1, "doubled": 3}.get(faults, 2)
    for _ in range(copies):
        world.stage.actor(
            world.buyer(hold, getattr(world, taker), tries=1 if faults == "doubled" else 4),
            cut=0.0 if faults == "doubled" else 0.25,
            late=0.1 if faults == "doubled_cut_and_late" else 0.0,
        )
    for name in ("ada", "bob"):
        world.stage.actor(world.rival(name))
    world.stage.play(leaps)
    assert len(world.places(hold)) <= 1
    return world


def doubles_in(schedules: int, play: Callable[[int], object]) -> int:
    doubles = 0
    for seed in range(schedules):
        try:
            play(seed)
        except TwoHolds:
            doubles += 1
    return doubles


@pytest.mark.parametrize("faults", FAULTS)
def test_no_schedule_gives_one_buyer_two_holds(faults: str) -> None:
    for seed in range(SCHEDULES):
        play_takes(seed, faults)


def test_no_schedule_in_which_holds_lapse_and_processes_die_strands_a_unit() -> None:
    for seed in range(SCHEDULES):
        play_takes(seed, FAULTS[seed % len(FAULTS)], leaps=LEAPS).leave_nothing_stranded()


@pytest.mark.parametrize("faults", FAULTS)
def test_the_search_catches_takes_in_the_order_of_the_summary(faults: str) -> None:
    assert doubles_in(150, lambda seed: play_takes(seed, faults, "naive_take")) >= 2


def test_the_search_catches_a_pointer_that_moves_without_a_fence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(take.Take, "_fence", lambda self: None)
    assert doubles_in(400, lambda seed: play_takes(seed, "doubled_cut_and_late")) >= 1


class Verbs:
    """One hold, taken, that several attempts of its order sell, hold again and release at once."""

    def __init__(self, seed: int) -> None:
        self.world = World(seed)
        self.hold = hold_id(f"purchase{seed}", "d", 1, 1)
        until = self.world.seconds + HOLD_SECONDS
        taken = self.world.stock.take(LAYOUT, self.hold, 1, until, None, now=self.world.stage.now)
        assert isinstance(taken, Taken)
        self.ref = taken.hold
        self.ended: set[str] = set()
        self.world.rules.append(self.never_sold_at_an_epoch_that_ended)

    def never_sold_at_an_epoch_that_ended(self) -> None:
        for number in self.world.places(self.hold):
            entry = self.world.bucket(number)["h"][self.hold]
            assert "u" in entry or entry.get("o") not in self.ended

    def attempt(self, order: OrderRef) -> Callable[[], None]:
        """Sell; perhaps end the attempt by holding again, and then perhaps release. Cut calls are made again."""
        stock = self.world.process()

        def once() -> bool:
            sold = stock.sell(LAYOUT, self.ref, 1, order) == Sold(1)
            if sold and self.world.random.random() < 0.4:
                return True
            answer = stock.hold_again(LAYOUT, self.ref, order, self.world.seconds + HOLD_SECONDS)
            if isinstance(answer, HeldAgain):
                self.ended.add(str(order))
            over = isinstance(answer, Gone) or self.world.random.random() < 0.5
            return over or stock.release(LAYOUT, self.ref, order)

        def play() -> None:
            for _ in range(4):
                try:
                    if once():
                        return
                except ReadTimeoutError:
                    continue

        return play


def play_verbs(seed: int) -> None:
    """No take of the hold is late here: one that lands after a release may be sold, so workers mark the hold dead."""
    verbs = Verbs(seed)
    for epoch in (1, 1, 2):
        verbs.world.stage.actor(verbs.attempt(OrderRef("order-abc", epoch)), cut=0.2, late=0.1)
    for name in ("ada", "bob"):
        verbs.world.stage.actor(verbs.world.rival(name))
    verbs.world.stage.play(LEAPS)
    verbs.world.leave_nothing_stranded()


def test_no_schedule_sells_at_an_epoch_that_ended_or_sells_what_was_reclaimed() -> None:
    for seed in range(SCHEDULES):
        play_verbs(seed)
