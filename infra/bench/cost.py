"""Count write units for each take and each refused buyer, at several demands. The counts are the same in every run.

Buyers ask one after another at given instants, so that neither threads nor a clock influence the counts. Each container
has its own cache, at most a second old. A cache knows less than the table does, and refused writes come from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from chalicelib.instants import SECOND, Instant
from chalicelib.stock import OrderRef, SoldOut, Taken
from chalicelib.streams import stock as stock_stream
from infra.bench.environment import BenchEnvironment, another_client
from infra.bench.meter import Meter
from infra.bench.strategies import take_once

START: Final[Instant] = 1_795_424_400_000
"""2026-11-23T09:00:00Z."""

_STREAM_POLL_MS: Final[Instant] = 250
"""The shortest interval between calls of the stock stream's function: Lambda polls a shard four times a second."""

_LATE_BUYERS: Final = 200


@dataclass(frozen=True, slots=True)
class Demand:
    """``units`` of a drop and ``times`` as many buyers, evenly over ``seconds``, at ``containers`` in turn."""

    units: int
    times: int
    containers: int
    seconds: int = 10

    @property
    def buyers(self) -> int:
        return self.units * self.times


def measure_costs(demands: Sequence[Demand]) -> dict[str, Any]:
    """Count the cost of takes and of refused buyers at each demand."""
    one = demands[0]
    return {
        "how": f"{one.units} units, first tries evenly over {one.seconds} s at {one.containers} containers in turn; "
        f"the stream's function at most every {_STREAM_POLL_MS} ms",
        "demands": [CostMeasurement(demand).run() for demand in demands],
    }


class CostMeasurement:
    """The measurement of one demand: a drop, the containers that sell it, and the stock stream's function."""

    def __init__(self, demand: Demand) -> None:
        self._demand = demand
        buying, consuming = another_client(), another_client()
        self._meter, self._stream_meter = Meter(buying), Meter(consuming)
        self._containers = [BenchEnvironment.of(buying) for _ in range(demand.containers)]
        self._stream = BenchEnvironment.of(consuming)
        self._drop = f"cost-{demand.times}-{demand.units}"
        self._pool = self._stream.put_drop(self._drop, demand.units, START)
        self._next_stream_poll = START + _STREAM_POLL_MS
        self._bucket_writes = 0

    def run(self) -> dict[str, Any]:
        """Let each buyer ask once, then sell every unit, then let more buyers ask."""
        demand = self._demand
        by_takers = by_refused = 0.0
        calls = 0
        taken: list[Taken] = []
        self._bucket_writes = 0
        bill, stream_bill = self._meter.new_bill(), self._stream_meter.new_bill()
        for buyer in range(demand.buyers):
            now = START + buyer * demand.seconds * SECOND // demand.buyers
            self._consume_stream(now)
            before, calls_before = bill.writes, bill.calls.total()
            answer = take_once(self._containers[buyer % demand.containers], self._drop, buyer, now)
            if isinstance(answer, Taken):
                taken.append(answer)
                by_takers += bill.writes - before
                calls += bill.calls.total() - calls_before
            else:
                by_refused += bill.writes - before
        refused = demand.buyers - len(taken)
        return {
            "demand": demand.times,
            "units": demand.units,
            "buyers": demand.buyers,
            "taken": len(taken),
            "refused": refused,
            "writes_a_take": round(by_takers / len(taken), 3),
            "writes_a_refused_buyer": round(by_refused / refused, 4) if refused else None,
            "writes_a_unit_taken": round((by_takers + by_refused) / len(taken), 3),
            "calls_a_take": round(calls / len(taken), 3),
            "write_units": by_takers + by_refused,
            "of_buyers": bill.to_record(),
            "of_stream": stream_bill.to_record(),
            "writes_after_sold_out": self._sell_out(taken),
        }

    def _consume_stream(self, now: Instant) -> None:
        """Call the stream's function with the buckets written since its last call."""
        if now < self._next_stream_poll:
            return
        self._next_stream_poll = now + _STREAM_POLL_MS
        keys = self._meter.bill.written[self._bucket_writes :]
        self._bucket_writes += len(keys)
        records = [
            {"dynamodb": {"Keys": {"pk": {"S": key}}, "ApproximateCreationDateTime": now / SECOND}} for key in keys
        ]
        if records:
            stock_stream.refresh_summaries({"Records": records}, self._stream.shows, self._stream.stock, lambda: now)

    def _sell_out(self, taken: list[Taken]) -> float:
        """Sell every unit, and return the write units of buyers who ask two seconds later."""
        later, buyer = START + (self._demand.seconds + 5) * SECOND, self._demand.buyers
        while len(taken) < self._demand.units:
            self._consume_stream(later)
            answer = take_once(self._containers[0], self._drop, buyer, later)
            taken += [answer] if isinstance(answer, Taken) else []
            buyer, later = buyer + 1, later + 50
        for number, one in enumerate(taken):
            self._stream.stock.commit(self._pool, one.hold, 1, OrderRef(f"{number:09d}", 1))
        self._stream.stock.refresh(self._pool, later)
        bill = self._meter.new_bill()
        for late in range(_LATE_BUYERS):
            container = self._containers[late % self._demand.containers]
            if not isinstance(take_once(container, self._drop, buyer + late, later + 2 * SECOND), SoldOut):
                raise AssertionError("every unit is sold, and a buyer got another answer than sold out")
        return bill.writes
