"""The product's own CPU in a take, on top of botocore's: a take beside the very call that it makes."""

from __future__ import annotations

import time
from collections import Counter
from functools import partial
from statistics import median
from typing import Any, Final, cast

from chalicelib.aws import client
from chalicelib.instants import SECOND, clock
from chalicelib.stock import Layout, Stock, Summary, hold_id
from infra.bench.ground import COMMERCE, STOCK, BenchEnvironment
from infra.bench.ways import HOLD_SECONDS

_BUCKETS: Final = 40
_UNITS_PER_BUCKET: Final = 24
_A_BATCH: Final = 40


class _Recorder:
    """Stands in for a client: keeps what it is asked to write and says that it was done."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []

    def update_item(self, **call: Any) -> dict[str, Any]:
        self.calls.append(call)
        return {}


def own_cpu(takes: int) -> dict[str, Any]:
    """CPU of ``Stock.take`` and of the bare ``update_item`` with the same arguments, in short batches in turn.

    Every take finds a unit at home. The bare calls take from a drop that looks the same. Prints metrics, as takes do.
    """
    here = BenchEnvironment.of(client("dynamodb"))
    ours: list[float] = []
    bare: list[float] = []
    while len(ours) * _A_BATCH < takes:
        drops = [f"cpu-{kind}-{len(ours)}" for kind in ("ours", "bare")]
        layout, twin = (here.put_drop(drop, _BUCKETS * _UNITS_PER_BUCKET, clock()) for drop in drops)
        summary = here.stock.summary(layout.drop_id)
        assert summary is not None
        fitting = _that_find_room(layout)
        batches = min(len(fitting) // _A_BATCH, -(-takes // _A_BATCH) - len(ours))
        for start in range(0, batches * _A_BATCH, _A_BATCH):
            batch = fitting[start : start + _A_BATCH]
            calls = _calls_of(layout, summary, batch, twin)
            turns = [(ours, partial(_take, here.stock, layout, summary, batch)), (bare, partial(_call, here, calls))]
            for seconds, turn in turns if len(ours) % 2 else reversed(turns):
                began = time.process_time()
                turn()
                seconds.append(time.process_time() - began)
    ratios = sorted(mine / its for mine, its in zip(ours, bare, strict=True))
    return {
        "takes": len(ours) * _A_BATCH,
        "take_cpu_ms": round(median(ours) / _A_BATCH * 1e3, 4),
        "bare_call_cpu_ms": round(median(bare) / _A_BATCH * 1e3, 4),
        "ratio": round(sum(ours) / sum(bare), 3),
        "ratio_by_batch_quartiles": [round(ratios[len(ratios) * part // 4], 3) for part in (1, 2, 3)],
    }


def _take(stock: Stock, layout: Layout, summary: Summary, holds: list[str]) -> None:
    for hold in holds:
        now = clock()
        stock.take(layout, hold, 1, now // SECOND + HOLD_SECONDS, summary, now=now)


def _call(here: BenchEnvironment, calls: list[dict[str, Any]]) -> None:
    for call in calls:
        here.dynamodb.update_item(**call)


def _calls_of(layout: Layout, summary: Summary, holds: list[str], twin: Layout) -> list[dict[str, Any]]:
    """What takes of these holds would write, on another drop."""
    recorder = _Recorder()
    _take(Stock(cast("Any", recorder), STOCK, COMMERCE), layout, summary, holds)
    for call in recorder.calls:
        number = call["Key"]["pk"]["S"].rpartition("#")[2]
        call["Key"] = {"pk": {"S": f"{twin.drop_id}#{number}"}}
    return recorder.calls


def _that_find_room(layout: Layout) -> list[str]:
    """Holds of which no bucket gets more than it has units."""
    recorder, found = _Recorder(), []
    stock, homes = Stock(cast("Any", recorder), STOCK, COMMERCE), Counter[str]()
    everything = Summary(layout.drop_id, 1, 1, 0, 0, tuple(range(layout.homes)), None, None, 0)
    for buyer in range(_BUCKETS * _UNITS_PER_BUCKET):
        hold = hold_id(f"cpu-{buyer}", layout.drop_id, 1, 1)
        _take(stock, layout, everything, [hold])
        home = recorder.calls[-1]["Key"]["pk"]["S"]
        if homes[home] < _UNITS_PER_BUCKET // 2:
            homes[home] += 1
            found.append(hold)
    return found
