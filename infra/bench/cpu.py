"""Measure the product's own CPU time in a take, by comparing it with the bare call that the take makes."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from statistics import median
from typing import Any, Final, cast

from chalicelib.aws import client
from chalicelib.instants import SECOND, clock
from chalicelib.stock import Pool, Stock, Summary, hold_id
from infra.bench.environment import COMMERCE, STOCK, BenchEnvironment
from infra.bench.strategies import HOLD_SECONDS

_BUCKETS: Final = 40
_UNITS_PER_BUCKET: Final = 24
_BATCH: Final = 40


class _Recorder:
    """A client that records each write and answers that it succeeded."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def update_item(self, **call: Any) -> dict[str, Any]:
        self.calls.append(call)
        return {}


def measure_take_cpu(takes: int) -> dict[str, Any]:
    """Measure ``Stock.take`` and the bare ``update_item`` with the same arguments, in short batches in turn.

    Every take finds a unit in its home bucket. The bare calls take from an equal drop. Takes print their metrics.
    """
    bench_env = BenchEnvironment.of(client("dynamodb"))
    take_seconds: list[float] = []
    call_seconds: list[float] = []
    while len(take_seconds) * _BATCH < takes:
        drops = [f"cpu-{kind}-{len(take_seconds)}" for kind in ("take", "call")]
        pool, twin = (bench_env.put_drop(drop, _BUCKETS * _UNITS_PER_BUCKET, clock()) for drop in drops)
        summary = bench_env.stock.summary(pool.pool_id)
        assert summary is not None
        fitting = _holds_that_fit(pool)
        batches = min(len(fitting) // _BATCH, -(-takes // _BATCH) - len(take_seconds))
        for start in range(0, batches * _BATCH, _BATCH):
            batch = fitting[start : start + _BATCH]
            calls = _recorded_calls(pool, summary, batch, twin)
            turns = [
                (take_seconds, partial(_take, bench_env.stock, pool, summary, batch)),
                (call_seconds, partial(_call, bench_env, calls)),
            ]
            for seconds, turn in turns if len(take_seconds) % 2 else reversed(turns):
                began = time.process_time()
                turn()
                seconds.append(time.process_time() - began)
    ratios = sorted(take / call for take, call in zip(take_seconds, call_seconds, strict=True))
    return {
        "takes": len(take_seconds) * _BATCH,
        "take_cpu_ms": round(median(take_seconds) / _BATCH * 1e3, 4),
        "bare_call_cpu_ms": round(median(call_seconds) / _BATCH * 1e3, 4),
        "ratio": round(sum(take_seconds) / sum(call_seconds), 3),
        "ratio_by_batch_quartiles": [round(ratios[len(ratios) * part // 4], 3) for part in (1, 2, 3)],
    }


def _take(stock: Stock, pool: Pool, summary: Summary, holds: list[str]) -> None:
    for hold in holds:
        now = clock()
        stock.take(pool, hold, 1, now // SECOND + HOLD_SECONDS, summary, now=now)


def _call(bench_env: BenchEnvironment, calls: list[dict[str, Any]]) -> None:
    for call in calls:
        bench_env.dynamodb.update_item(**call)


def _recorded_calls(pool: Pool, summary: Summary, holds: list[str], twin: Pool) -> list[dict[str, Any]]:
    """Record the writes that takes of these holds make, and redirect them to another drop."""
    recorder = _Recorder()
    _take(Stock(cast("Any", recorder), STOCK, COMMERCE), pool, summary, holds)
    for call in recorder.calls:
        number = call["Key"]["pk"]["S"].rpartition("#")[2]
        call["Key"] = {"pk": {"S": f"{twin.pool_id}#{number}"}}
    return recorder.calls


def _holds_that_fit(pool: Pool) -> list[str]:
    """Choose holds so that no bucket gets more of them than it has units."""
    recorder, found = _Recorder(), []
    stock, homes = Stock(cast("Any", recorder), STOCK, COMMERCE), Counter[str]()
    everything = Summary(pool.pool_id, 1, 1, 0, 0, tuple(range(pool.bucket_count)), None, None, 0)
    for buyer in range(_BUCKETS * _UNITS_PER_BUCKET):
        hold = hold_id(f"cpu-{buyer}", pool.pool_id, 1, 1)
        _take(stock, pool, everything, [hold])
        home = recorder.calls[-1]["Key"]["pk"]["S"]
        if homes[home] < _UNITS_PER_BUCKET // 2:
            homes[home] += 1
            found.append(hold)
    return found
