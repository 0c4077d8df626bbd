"""Simulate a drop of 10,000 units and a million buyers in ten seconds, under DynamoDB's and Lambda's documented limits.

The local emulator has no such limits, so a model of the take protocol runs instead. Times of the product are measured,
and times of the cloud are assumed; ``scenarios`` lists them. A comparison checks the model: at a demand that was also
counted, model and product must bill about the same.
"""

from __future__ import annotations

import random
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Generator
from dataclasses import asdict, dataclass, field
from itertools import chain, islice
from typing import Any, Final

import simpy

from chalicelib.stock import plan_sizes
from chalicelib.stock.take import MAX_PROBES
from infra.bench import limits
from infra.bench.scenarios import Scenario, Times

_TICK: Final = 0.001

Steps = Generator[simpy.Event, None, bool]


@dataclass(frozen=True, slots=True)
class _Summary:
    as_of: float
    open: tuple[int, ...]
    known: frozenset[int]

    @classmethod
    def of(cls, as_of: float, free: list[int]) -> _Summary:
        numbers = tuple(number for number, units in enumerate(free) if units)
        return cls(as_of, numbers, frozenset(numbers))


@dataclass(slots=True)
class _Container:
    summary: _Summary
    read_at: float = -1.0
    retry_tokens: int = limits.RETRY_TOKENS
    empty: set[int] = field(default_factory=set)
    """Buckets that are open in the summary and that the container found empty since."""


@dataclass(slots=True)
class _Buyer:
    number: int
    home: int
    start: int
    tries: int = 0


class _Simulation:
    """The simulation of one scenario."""

    def __init__(self, scenario: Scenario, times: Times, seed: int) -> None:
        self.scenario, self.times = scenario, times
        self.random = random.Random(seed)  # noqa: S311 - a simulation
        self.env = simpy.Environment()
        self.free = plan_sizes(scenario.units, 1)
        homes = len(self.free)
        self.partition_of = [self.random.randrange(scenario.partitions) for _ in range(homes)]
        self.writes = [limits.Capacity(limits.WRITES_PER_PARTITION) for _ in range(scenario.partitions)]
        self.reads = [limits.Capacity(limits.READS_PER_PARTITION) for _ in range(scenario.partitions)]
        self.live_reads = limits.Capacity(limits.READS_PER_PARTITION)
        self.live = _Summary.of(0.0, self.free)
        self.idle = [_Container(self.live) for _ in range(scenario.containers)]
        self.takes: list[tuple[float, int]] = []
        self.bill = {"writes": 0.0, "writes_refused": 0.0, "reads": 0.0, "summary_reads": 0.0, "summary_writes": 0.0}
        self.counts = {
            "throttled_calls": 0,
            "answered_503": 0,
            "answered_429": 0,
            "answered_busy": 0,
            "answered_none_left": 0,
        }
        self.buyers_asking = scenario.buyers
        self.released: defaultdict[int, list[_Container]] = defaultdict(list)
        self.returning: defaultdict[int, list[_Buyer]] = defaultdict(list)

    def run(self) -> None:
        """Run until every buyer has a unit or has stopped asking."""
        self.env.process(self._summarise_stream())
        self.env.run(until=self.env.process(self._tick()))

    def _tick(self) -> Generator[simpy.Event, None, None]:
        """Each millisecond: return idle containers, let waiting buyers retry, and let new buyers arrive evenly."""
        scenario, arrived = self.scenario, 0
        while self.buyers_asking:
            tick = round(self.env.now / _TICK)
            self.idle += self.released.pop(tick, ())
            for buyer in self.returning.pop(tick, ()):
                self._request(buyer)
            due = min(scenario.buyers, round((tick + 1) * _TICK / scenario.seconds * scenario.buyers))
            while arrived < due:
                self._request(
                    _Buyer(arrived, self.random.randrange(len(self.free)), self.random.randrange(len(self.free)))
                )
                arrived += 1
            yield self.env.timeout(_TICK)

    def _summarise_stream(self) -> Generator[simpy.Event, None, None]:
        """Run the stock stream's function at most four times a second, each run as long as a summary takes."""
        while self.buyers_asking:
            yield self.env.timeout(0.25)
            as_of, before = self.env.now, sum(self.free)
            yield self.env.timeout(self.times.sum_up_a_bucket * len(self.free))
            self.bill["summary_reads"] += len(self.free) + 1
            self.bill["summary_writes"] += 1
            self.live = _Summary.of(as_of, self.free)
            if not before:
                return

    # A buyer.

    def _request(self, buyer: _Buyer) -> None:
        """Handle one request. A container answers most at once from its cache, without a process of its own."""
        buyer.tries += 1
        if not self.idle:
            self.counts["answered_429"] += 1
            self._retry_later(buyer, 0.5 + self.random.random())
            return
        at = self.random.randrange(len(self.idle))
        self.idle[at], self.idle[-1] = self.idle[-1], self.idle[at]
        container = self.idle.pop()
        is_cached = self.env.now - container.read_at < 1
        if not is_cached or self._may_find_units(container):
            self.env.process(self._serve(buyer, container))
            return
        self._refuse(buyer, container.summary)
        self.released[self._tick_in(self.times.request)].append(container)

    def _serve(self, buyer: _Buyer, container: _Container) -> Generator[simpy.Event, None, None]:
        yield self.env.timeout(self.times.request)
        try:
            taken = yield from self._take(buyer, container)
        except limits.Throttled:
            self.counts["answered_503"] += 1
            self._retry_later(buyer, 1 + self.random.random())
        else:
            if taken:
                self.takes.append((self.env.now, buyer.number))
                self.buyers_asking -= 1
            else:
                self._refuse(buyer, self.live)
        self.idle.append(container)

    def _refuse(self, buyer: _Buyer, summary: _Summary) -> None:
        """Refuse a buyer, who leaves when no bucket is open (all holds outlast the simulation) and else retries."""
        if not summary.open:
            self.counts["answered_none_left"] += 1
            self.buyers_asking -= 1
            return
        self.counts["answered_busy"] += 1
        self._retry_later(buyer, 0.25 + self.random.random())

    def _retry_later(self, buyer: _Buyer, seconds: float) -> None:
        if buyer.tries >= self.scenario.tries:
            self.buyers_asking -= 1
        else:
            self.returning[self._tick_in(seconds)].append(buyer)

    def _tick_in(self, seconds: float) -> int:
        return int((self.env.now + seconds) / _TICK) + 1

    # The take of one unit, as chalicelib.stock.take has it.

    def _take(self, buyer: _Buyer, container: _Container) -> Steps:
        if self.env.now - container.read_at >= 1:
            yield from self._read(self.live_reads, container)
            container.summary, container.read_at = self.live, self.env.now
            container.empty.clear()
        if not self._may_find_units(container):
            return False
        asked: set[int] = set()
        if (yield from self._try_home(buyer, container, container.summary, asked)):
            return True
        probes = yield from self._try_overflow(buyer, container, container.summary, asked, MAX_PROBES)
        if probes is None:
            return True
        yield from self._read(self.live_reads, container)
        fresh = self.live
        if (yield from self._try_home(buyer, container, fresh, asked)):
            return True
        return (yield from self._try_overflow(buyer, container, fresh, asked, probes)) is None

    def _try_home(self, buyer: _Buyer, container: _Container, summary: _Summary, asked: set[int]) -> Steps:
        if buyer.home in asked or not self._may_have_units(container, summary, buyer.home):
            return False
        asked.add(buyer.home)
        return (yield from self._write(buyer.home, container, taking=buyer.home))

    def _try_overflow(
        self, buyer: _Buyer, container: _Container, summary: _Summary, asked: set[int], probes: int
    ) -> Generator[simpy.Event, None, int | None]:
        """Read other buckets that may have units, set a pointer, take. None means taken; else the probes left."""
        turn = bisect_left(summary.open, buyer.start)
        for number in chain(islice(summary.open, turn, None), islice(summary.open, turn)):
            if not probes:
                break
            if number in asked or not self._may_have_units(container, summary, number):
                continue
            asked.add(number)
            probes -= 1
            yield from self._read(self.reads[self.partition_of[number]], container)
            if not self.free[number]:
                container.empty.add(number)
                continue
            yield from self._write(buyer.home, container, taking=None)
            if (yield from self._write(number, container, taking=number)):
                return None
        return probes

    def _may_find_units(self, container: _Container) -> bool:
        known_empty = len(container.empty) if self.scenario.remembers_empty else 0
        return len(container.summary.open) > known_empty

    def _may_have_units(self, container: _Container, summary: _Summary, bucket: int) -> bool:
        return bucket in summary.known and not (self.scenario.remembers_empty and bucket in container.empty)

    # DynamoDB, through the SDK.

    def _write(self, bucket: int, container: _Container, *, taking: int | None) -> Generator[simpy.Event, None, bool]:
        """Write to a bucket under a condition: a take, or a pointer, which this model never refuses."""
        yield from self._call(self.writes[self.partition_of[bucket]], 1, container)
        if taking is None or self.free[taking]:
            self.bill["writes"] += 1
            if taking is not None:
                self.free[taking] -= 1
            return True
        self.bill["writes_refused"] += 1
        if taking in container.summary.known:
            container.empty.add(taking)
        return False

    def _read(self, capacity: limits.Capacity, container: _Container) -> Generator[simpy.Event, None, None]:
        yield from self._call(capacity, 0.5, container)
        self.bill["reads"] += 0.5

    def _call(
        self, capacity: limits.Capacity, units: float, container: _Container
    ) -> Generator[simpy.Event, None, None]:
        """Make a call; repeat a throttled one, unbilled, as the SDK does. Raises: limits.Throttled, at the end."""
        for attempt in range(limits.SDK_ATTEMPTS):
            yield self.env.timeout(self.times.call + self.times.call_cpu)
            if capacity.admit(units, self.env.now):
                container.retry_tokens = min(
                    limits.RETRY_TOKENS, container.retry_tokens + (limits.RETRY_COST if attempt else 1)
                )
                return
            self.counts["throttled_calls"] += 1
            if attempt + 1 == limits.SDK_ATTEMPTS or container.retry_tokens < limits.RETRY_COST:
                break
            container.retry_tokens -= limits.RETRY_COST
            yield self.env.timeout(self.random.random() * 2**attempt)
        raise limits.Throttled


def simulate(scenario: Scenario, times: Times, seed: int = 4) -> dict[str, Any]:
    """Simulate a scenario: when units are taken, the throttled calls, the bill, and the success by time of arrival."""
    simulation = _Simulation(scenario, times, seed)
    simulation.run()
    at = [when for when, _ in simulation.takes]
    first_come = sum(number < scenario.units for _, number in simulation.takes)
    writes = simulation.bill["writes"] + simulation.bill["writes_refused"]
    reads = simulation.bill["reads"]
    all_writes, all_reads = writes + simulation.bill["summary_writes"], reads + simulation.bill["summary_reads"]
    return {
        **asdict(scenario),
        "taken": len(at),
        "seconds_until_taken": {
            share: round(at[need - 1], 2) if (need := -(-scenario.units * part // 100)) <= len(at) else None
            for share, part in (("half", 50), ("99 %", 99), ("all", 100))
        },
        **simulation.counts,
        "writes_of_buyers": writes,
        "of_these_refused": simulation.bill["writes_refused"],
        "reads_of_buyers": reads,
        "write_units": all_writes,
        "read_units": all_reads,
        "usd": round((all_writes * limits.USD_PER_MILLION_WRITES + all_reads * limits.USD_PER_MILLION_READS) / 1e6, 4),
        "units_to_the_first_who_came": round(first_come / len(at), 4),
        "success_by_tenth_of_arrival": _success(simulation.takes, scenario.buyers, scenario.buyers, 10),
        "success_by_tenth_of_the_first_tenth": _success(simulation.takes, scenario.buyers // 10, scenario.buyers, 10),
    }


def _success(takes: list[tuple[float, int]], first: int, buyers: int, parts: int) -> list[float]:
    """Return the share of buyers with a unit, in equal parts of the ``first`` buyers who arrived."""
    counts = Counter(number * parts // first for _, number in takes if number < first)
    return [round(counts[part] * parts / first, 5) for part in range(parts)]
