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
class BucketWrite:
    """A write of a bucket, and the units it left there that nobody bought; None: nobody knows."""

    bucket: str
    called: float
    returned: float
    unsold: int | None


@dataclass(frozen=True, slots=True)
class SoldOutAnswer:
    """Somebody was told "sold out" at ``until``, by what was read at ``since`` or later."""

    since: float
    until: float


def unsold(bucket: Mapping[str, Any]) -> int:
    """Units that are available or held."""
    held: int = sum(entry["q"] for entry in bucket["h"].values() if "u" in entry)
    return int(bucket["a"]) + held


def count_false_answers(answers: Iterable[SoldOutAnswer], writes: Sequence[BucketWrite], buckets: Iterable[str]) -> int:
    """Answers in whose time there was no instant at which every unit may have been sold. At first, none was."""
    laid_out = [BucketWrite(bucket, -inf, -inf, 1) for bucket in buckets]
    spans = _unsold_spans([*laid_out, *writes])
    return sum(_is_covered(one, spans) for one in answers)


def _unsold_spans(writes: Sequence[BucketWrite]) -> list[tuple[float, float]]:
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


def _is_covered(answer: SoldOutAnswer, spans: Sequence[tuple[float, float]]) -> bool:
    reached = answer.since
    for start, end in spans:
        if start > reached:
            return False
        if end > answer.until:
            return True
        reached = max(reached, end)
    return False
