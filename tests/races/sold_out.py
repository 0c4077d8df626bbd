"""Whether "sold out" may have been true when it was told, as far as what the processes of a race wrote down can tell.

Sales are undone while buyers are answered, so that nothing read afterwards proves an answer wrong. Every write is
known with what it left in its bucket, and when it was called and had returned. From these follow spans in which a
bucket surely had a unit that was not sold; an answer whose whole time is covered by such spans was false.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any


@dataclass(frozen=True, slots=True)
class Wrote:
    """A write of a bucket, and the units it left there that nobody bought; None: nobody knows."""

    bucket: str
    called: float
    returned: float
    unsold: int | None


@dataclass(frozen=True, slots=True)
class Told:
    """Somebody was told "sold out" at ``until``, by what was read at ``since`` or later."""

    since: float
    until: float


def unsold(bucket: Mapping[str, Any]) -> int:
    """Units that are available or held."""
    held: int = sum(entry["q"] for entry in bucket["h"].values() if "u" in entry)
    return int(bucket["a"]) + held


def surely_wrong(told: Iterable[Told], writes: Sequence[Wrote], buckets: Iterable[str]) -> int:
    """Answers in whose time there was no instant at which every unit may have been sold. At first, none was."""
    laid_out = [Wrote(bucket, -inf, -inf, 1) for bucket in buckets]
    spans = _surely_unsold([*laid_out, *writes])
    return sum(_covered(one, spans) for one in told)


def _surely_unsold(writes: Sequence[Wrote]) -> list[tuple[float, float]]:
    """From the return of a write that left a unit unsold to the call of the first that may since have left none."""
    spans = []
    for write in writes:
        if not write.unsold:
            continue
        others = (one for one in writes if one.bucket == write.bucket and not one.unsold)
        until = min((one.called for one in others if one.returned >= write.called), default=inf)
        if until > write.returned:
            spans.append((write.returned, until))
    return sorted(spans)


def _covered(told: Told, spans: Sequence[tuple[float, float]]) -> bool:
    reached = told.since
    for start, end in spans:
        if start > reached:
            return False
        if end > told.until:
            return True
        reached = max(reached, end)
    return False
