"""Decide whether an answer of "sold out" may have been true, from the writes that a race's processes recorded.

Sales are undone while buyers are answered, so no later reading proves an answer wrong. Each recorded write has the
units that it left in its bucket, and the instants of its call and return. They give spans in which a bucket surely had
an unsold unit. An answer is false where such spans cover its whole time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class BucketWrite:
    """A write of a bucket, and the unsold units that it left there. None: they are unknown."""

    bucket: str
    called: float
    returned: float
    unsold: int | None


@dataclass(frozen=True, slots=True)
class SoldOutAnswer:
    """An answer of "sold out" at ``until``, from readings at ``since`` or later."""

    since: float
    until: float


def count_false_answers(answers: Iterable[SoldOutAnswer], writes: Sequence[BucketWrite], buckets: Iterable[str]) -> int:
    """Count the answers in whose time every instant surely had an unsold unit. At first all units are unsold."""
    created = [BucketWrite(bucket, -inf, -inf, 1) for bucket in buckets]
    spans = _unsold_spans([*created, *writes])
    return sum(_is_covered(one, spans) for one in answers)


def _unsold_spans(writes: Sequence[BucketWrite]) -> list[tuple[float, float]]:
    """Return the spans with a unit surely unsold.

    A span begins when a write that left an unsold unit returns. It ends at the call of the first write of that bucket
    that may have left none since.
    """
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
