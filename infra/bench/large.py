"""Compare a drop of 100,000 units with drops of 200: creating buckets, computing the summary, takes per second."""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any, Final

from chalicelib.aws import client
from chalicelib.instants import SECOND, clock
from chalicelib.streams import stock as stock_stream
from infra.bench.environment import BenchEnvironment, RunningEmulator, another_client
from infra.bench.load_generator import LoadGenerator, load_generator
from infra.bench.meter import Meter

SMALL_UNITS: Final = 200
_TAKEN_OF_SMALL: Final = 0.6
"""The share of each small drop that is taken, so that the comparison leaves out the slow last units."""

_AT_A_TIME: Final = 32


@dataclass(frozen=True, slots=True)
class LargeDrop:
    """``units`` in one drop, compared with ``small_drops`` in ``rounds`` rounds."""

    units: int
    rounds: int
    small_drops: int = 5


def measure_large_drop(emulator: RunningEmulator, extent: LargeDrop) -> dict[str, Any]:
    """Measure the cost of a large drop's buckets and summary, and its takes per second as a share of small drops'."""
    metered = another_client()
    meter, bench_env = Meter(metered), BenchEnvironment.of(metered)
    began, bill = time.perf_counter(), meter.new_bill()
    pool = bench_env.put_drop("large", extent.units, clock())
    laid_out = {"seconds": round(time.perf_counter() - began, 2), "write_units": bill.writes}

    began, bill = time.perf_counter(), meter.new_bill()
    bench_env.stock.refresh(pool, clock())
    whole = {"seconds": round(time.perf_counter() - began, 3), "read_units": bill.reads, "write_units": bill.writes}

    began, bill = time.perf_counter(), meter.new_bill()
    now = clock()
    changed = {"Keys": {"pk": {"S": "large#0"}}, "ApproximateCreationDateTime": now / SECOND}
    stock_stream.refresh_summaries({"Records": [{"dynamodb": changed}]}, bench_env.shows, bench_env.stock, lambda: now)
    one = {"seconds": round(time.perf_counter() - began, 3), "read_units": bill.reads, "write_units": bill.writes}

    with load_generator(emulator, _AT_A_TIME) as load:
        rates = [_rates(load, extent, number) for number in range(extent.rounds)]
    shares = [of_large / of_small for of_large, of_small in rates]
    return {
        "units": extent.units,
        "buckets": pool.bucket_count,
        "laid_out": laid_out,
        "summary_whole": whole,
        "summary_after_one_bucket_changed": one,
        "takes_a_second": round(median(of_large for of_large, _ in rates), 1),
        "takes_a_second_of_small": round(median(of_small for _, of_small in rates), 1),
        "of_small": round(median(shares), 3),
        "of_small_by_round": [round(share, 3) for share in shares],
    }


def _rates(load: LoadGenerator, extent: LargeDrop, number: int) -> tuple[float, float]:
    """Measure takes per second of the large drop and of small ones. The two kinds take turns in going first."""
    bench_env = BenchEnvironment.of(client("dynamodb"))
    small = tuple(f"small-{number}-{drop}" for drop in range(extent.small_drops))
    for drop in small:
        bench_env.put_drop(drop, SMALL_UNITS, clock())
    takes = round(SMALL_UNITS * extent.small_drops * _TAKEN_OF_SMALL)
    rates = {}
    for drops in (("large",), small) if number % 2 else (small, ("large",)):
        result = load.run("take", drops, takes)
        rates[drops] = len(result.taken) / result.seconds
    return rates["large",], rates[small]
