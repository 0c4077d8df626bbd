"""No schedule of doubled, cut and late calls gives one buyer two holds or breaks a bucket (Invariants 1a and 1c)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

import pytest

from chalicelib.instants import Instant
from chalicelib.stock import InsufficientUnits, SoldOut, Stock, Summary, TakeResult, hold_id, take
from chalicelib.stock.summaries import Summaries
from tests.simulation.rejected_protocols import RejectedProtocols
from tests.simulation.schedule_search import ScheduleSearch, parametrize_seeds
from tests.simulation.simulator import FaultRates
from tests.simulation.worlds.stock import CLOCK_JUMPS, POOL, HoldInTwoBuckets, StockWorld, TakeFunction


class _RequestCopies(NamedTuple):
    """The copies of one request, the tries of each, and the faults of its calls."""

    copies: int
    tries: int
    faults: FaultRates


SHORT_CLOCK_JUMPS = (1_100,)
"""A clock jump after which caches are stale and holds are still live."""

COPY_CLASSES = {
    "repeated and cut": _RequestCopies(1, 4, FaultRates(unanswered=0.25)),
    "doubled": _RequestCopies(3, 1, FaultRates()),
    "doubled and cut": _RequestCopies(2, 4, FaultRates(unanswered=0.25)),
    "doubled and late": _RequestCopies(2, 4, FaultRates(delayed_writes=0.15)),
    "doubled, cut and late": _RequestCopies(2, 4, FaultRates(unanswered=0.25, delayed_writes=0.1)),
}


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how processes use their notes of empty buckets that the summary calls open."""
    real, events = Summaries.may_have_units, Counter[str]()

    def counted(self: Summaries, summary: Summary, number: int, now: Instant) -> bool:
        answer = real(self, summary, number, now)
        if number in summary.open_buckets and self._empty_since.get((summary.pool_id, number), 0) > summary.as_of:
            events["notes that expired" if answer else "buckets skipped"] += 1
        return answer

    monkeypatch.setattr(Summaries, "may_have_units", counted)
    return events


NOTE_EVENTS = ("buckets skipped", "notes that expired")


def rejected_take(world: StockWorld, protocol: str) -> TakeFunction:
    """Take by a rejected protocol: ask the buckets that are believed open."""

    def take_units(stock: Stock, hold: str) -> TakeResult:
        believed = (world.random_summary() or stock.refresh(POOL, world.simulator.now)).open_buckets
        protocols = RejectedProtocols(world.simulator.client, stock, POOL)
        answer: TakeResult = getattr(protocols, protocol)(hold, believed, world.simulator.now)
        return answer

    return take_units


def run_schedule(
    seed: int, fault_class: str, rejected_protocol: str | None = None, clock_jumps: tuple[int, ...] = SHORT_CLOCK_JUMPS
) -> StockWorld:
    """Run copies of one request beside two rivals. Where the purchase decides, the check is made at rest."""
    world = StockWorld(seed)
    world.one_bucket_per_hold = rejected_protocol != "take_then_create_purchase"
    hold = hold_id(f"purchase{seed}", "d", 1, 1)
    take_units = rejected_take(world, rejected_protocol) if rejected_protocol else world.take
    copies, tries, faults = COPY_CLASSES[fault_class]
    for _ in range(copies):
        world.simulator.add_process(world.buyer_process(hold, take_units, tries), faults)
    for name in ("ada", "bob"):
        world.simulator.add_process(world.rival_process(name))
    world.simulator.run(clock_jumps)
    if len(world.buckets_holding(hold)) > 1:
        raise HoldInTwoBuckets(hold)
    world.simulator.events_seen["taken"] += len(world.buckets_holding(hold))
    return world


@parametrize_seeds(120)
@pytest.mark.parametrize("fault_class", COPY_CLASSES)
def test_no_schedule_gives_one_buyer_two_holds(
    search: ScheduleSearch, notes: Counter[str], fault_class: str, seeds: range
) -> None:
    def run(seed: int) -> Mapping[str, int]:
        notes.clear()
        return run_schedule(seed, fault_class).simulator.events_seen + notes

    search.expect_invariants_hold(f"take, {fault_class}", seeds, run, expected_events=["taken", *NOTE_EVENTS])


@parametrize_seeds(120)
def test_no_schedule_with_expired_holds_and_dead_processes_strands_a_unit(
    search: ScheduleSearch, notes: Counter[str], seeds: range
) -> None:
    def run(seed: int) -> Mapping[str, int]:
        notes.clear()
        return run_to_rest(seed) + notes

    expected = ["processes died", "late writes landed", *NOTE_EVENTS]
    search.expect_invariants_hold("take, expiries and deaths", seeds, run, expected_events=expected)


def run_to_rest(seed: int) -> Counter[str]:
    world = run_schedule(seed, list(COPY_CLASSES)[seed % len(COPY_CLASSES)], clock_jumps=CLOCK_JUMPS)
    world.assert_nothing_stranded()
    return world.simulator.events_seen


def test_the_search_catches_notes_that_never_expire(search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch) -> None:
    def believes_note(self: Summaries, summary: Summary, number: int, now: Instant) -> bool:
        return number in summary.open_buckets and (summary.pool_id, number) not in self._empty_since

    monkeypatch.setattr(Summaries, "may_have_units", believes_note)
    search.expect_control_caught("notes that never expire", 500, run_to_rest)


def test_the_search_catches_sold_out_answered_from_notes(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse_from_notes(self: take.Take, fresh: Summary) -> TakeResult:
        some = any(self._may_have_units(fresh, number) for number in fresh.open_buckets)
        return real(self, fresh) if some else SoldOut()

    real = take.Take._refuse
    monkeypatch.setattr(take.Take, "_refuse", refuse_from_notes)
    search.expect_control_caught("sold out answered from notes", 500, run_to_rest)


def run_insufficient_units_schedule(seed: int, *, id_by_quantity: bool = False) -> StockWorld:
    """Run copies of a request for three units that accepts fewer when it is offered fewer."""
    world = StockWorld(seed, sizes=(1, 2, 3))
    ids = {quantity: hold_id(f"purchase{seed}", "d", 1, quantity if id_by_quantity else 3) for quantity in (1, 2, 3)}

    def take_what_is_left(stock: Stock, _: str) -> TakeResult:
        answer, wanted = world.take(stock, ids[3], 3), 3
        while isinstance(answer, InsufficientUnits) and answer.available < wanted:
            wanted = answer.available
            answer = world.take(stock, ids[wanted], wanted)
        return answer

    def one_bucket() -> None:
        if sum(len(world.buckets_holding(hold)) for hold in set(ids.values())) > 1:
            raise HoldInTwoBuckets(ids[3])

    world.invariants.append(one_bucket)
    copies, tries, faults = list(COPY_CLASSES.values())[seed % len(COPY_CLASSES)]
    for _ in range(copies):
        world.simulator.add_process(world.buyer_process(ids[3], take_what_is_left, tries), faults)
    for name in ("ada", "bob"):
        world.simulator.add_process(world.rival_process(name))
    world.simulator.run()
    left = [bucket["h"][ids[3]]["q"] for bucket in world.buckets if bucket["h"].get(ids[3], {"q": 0})["q"]]
    world.simulator.events_seen["fewer taken"] += any(quantity < 3 for quantity in left)
    world.simulator.events_seen["all taken"] += 3 in left
    return world


@parametrize_seeds(80)
def test_no_schedule_with_insufficient_units_gives_one_buyer_two_holds(search: ScheduleSearch, seeds: range) -> None:
    def run(seed: int) -> Mapping[str, int]:
        return run_insufficient_units_schedule(seed).simulator.events_seen

    search.expect_invariants_hold("take, fewer offered", seeds, run, expected_events=["fewer taken", "all taken"])


def test_the_search_catches_an_id_for_each_quantity(search: ScheduleSearch) -> None:
    def run(seed: int) -> Mapping[str, int]:
        return run_insufficient_units_schedule(seed, id_by_quantity=True).simulator.events_seen

    search.expect_control_caught("an id for each quantity", 3_000, run)


@pytest.mark.parametrize("fault_class", COPY_CLASSES)
@pytest.mark.parametrize("protocol", ["take_in_summary_order", "take_in_fixed_order", "take_then_create_purchase"])
def test_the_search_catches_the_rejected_protocols(search: ScheduleSearch, protocol: str, fault_class: str) -> None:
    """Each protocol fails where stock-protocol.md#protocols-that-were-refused says.

    Duplicates alone do not break the protocol in which the purchase decides.
    """

    def run(seed: int) -> Mapping[str, int]:
        return run_schedule(seed, fault_class, protocol).simulator.events_seen

    if (protocol, fault_class) == ("take_then_create_purchase", "doubled"):
        assert not any(search.violates_invariant(seed, run) for seed in range(100))
    else:
        search.expect_control_caught(f"{protocol}, {fault_class}", 3_000, run)


def test_the_search_catches_a_pointer_that_moves_without_a_fence(
    search: ScheduleSearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(take.Take, "_fence_bucket", lambda self: None)
    search.expect_control_caught(
        "a pointer that moves without a fence", 3_000, lambda seed: run_schedule(seed, "doubled").simulator.events_seen
    )
