"""Measure a rehearsal: latencies by step, retries, and answers that made a buyer retry."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


def percentiles(seconds: Sequence[float]) -> dict[str, float | int]:
    """Return count, median, 95th and 99th percentile (nearest rank) and maximum, in milliseconds."""
    if not seconds:
        return {"count": 0}
    ranked = sorted(seconds)

    def rank(share: float) -> float:
        return round(ranked[math.ceil(share * len(ranked)) - 1] * 1000, 1)

    return {
        "count": len(ranked),
        "p50_ms": rank(0.50),
        "p95_ms": rank(0.95),
        "p99_ms": rank(0.99),
        "max_ms": rank(1.0),
    }


@dataclass(slots=True)
class Measurements:
    """Seconds by step, and counts by event."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    counts: Counter[str] = field(default_factory=Counter)

    def observe(self, step: str, seconds: float) -> None:
        self.seconds[step].append(seconds)

    def count(self, event: str, times: int = 1) -> None:
        self.counts[event] += times

    def by_step(self) -> dict[str, dict[str, float | int]]:
        """Return the percentiles of each step, in the order of their first observations."""
        return {step: percentiles(values) for step, values in self.seconds.items()}

    def to_record(self) -> dict[str, Any]:
        """Return the measurements as JSON stores them."""
        return {"seconds": dict(self.seconds), "counts": dict(self.counts)}

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> Measurements:
        return cls(defaultdict(list, record["seconds"]), Counter(record["counts"]))
