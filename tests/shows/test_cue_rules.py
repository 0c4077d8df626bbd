"""The rules of cues: the newest time wins, and a closed drop opens again only on request."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from chalicelib.instants import SECOND, Instant
from chalicelib.shows import Cue, CueRefused, CueRepeated, CueType, DropState, window_state
from chalicelib.shows.cues import CLOCK_TOLERANCE, apply_cue_to_drop
from chalicelib.shows.records import DropRecord
from tests.builders.shows import MAX_AGE_SECONDS, NOW, a_cue, a_drop_record

MINUTE = 60 * SECOND
OPEN: dict[str, Any] = {"opens_at": NOW - MINUTE}
CLOSED: dict[str, Any] = {"opens_at": NOW - MINUTE, "closes_at": NOW - SECOND}


def applied(record: DropRecord, cue: Cue, now: Instant = NOW) -> DropRecord:
    changed = apply_cue_to_drop(record, cue, now, MAX_AGE_SECONDS)
    assert isinstance(changed, DropRecord)
    return changed


def refusal_code(record: DropRecord, cue: Cue, now: Instant = NOW) -> str:
    refusal = apply_cue_to_drop(record, cue, now, MAX_AGE_SECONDS)
    assert isinstance(refusal, CueRefused)
    return refusal.code


def test_open_cue_opens_at_its_time_and_keeps_the_planned_end() -> None:
    changed = applied(a_drop_record(closes_at=NOW + MINUTE), a_cue(CueType.OPEN, NOW - SECOND))
    assert (changed.opens_at, changed.closes_at) == (NOW - SECOND, NOW + MINUTE)


def test_open_cue_may_set_the_end() -> None:
    assert applied(a_drop_record(), a_cue(CueType.OPEN, closes_at=NOW + MINUTE)).closes_at == NOW + MINUTE


def test_open_cue_with_a_clock_ahead_opens_at_once() -> None:
    changed = applied(a_drop_record(), a_cue(CueType.OPEN, NOW + CLOCK_TOLERANCE))
    assert (changed.opens_at, window_state(changed, NOW)) == (NOW, DropState.OPEN)


def test_cue_beyond_the_clock_tolerance_is_refused() -> None:
    assert refusal_code(a_drop_record(), a_cue(CueType.OPEN, NOW + CLOCK_TOLERANCE + 1)) == "from_the_future"


def test_open_cue_older_than_thirty_seconds_is_refused() -> None:
    limit = NOW - MAX_AGE_SECONDS * SECOND
    assert applied(a_drop_record(), a_cue(CueType.OPEN, limit)).opens_at == limit
    assert refusal_code(a_drop_record(), a_cue(CueType.OPEN, limit - 1)) == "stale_open"


def test_old_close_cue_is_applied() -> None:
    assert applied(a_drop_record(**OPEN), a_cue(CueType.CLOSE, NOW - MINUTE)).closes_at == NOW - MINUTE


def test_open_cue_on_an_open_drop_keeps_its_start() -> None:
    changed = applied(a_drop_record(**OPEN), a_cue(CueType.OPEN, closes_at=NOW + MINUTE))
    assert (changed.opens_at, changed.closes_at) == (NOW - MINUTE, NOW + MINUTE)


def test_closed_drop_opens_again_only_with_reopen() -> None:
    assert refusal_code(a_drop_record(**CLOSED), a_cue(CueType.OPEN)) == "closed"
    changed = applied(a_drop_record(**CLOSED), a_cue(CueType.OPEN, reopen=True))
    assert (changed.opens_at, changed.closes_at) == (NOW, None)


def test_open_cue_with_an_end_in_the_past_is_refused() -> None:
    assert refusal_code(a_drop_record(), a_cue(CueType.OPEN, NOW - 2, closes_at=NOW)) == "window_over"


def test_close_cue_with_a_clock_ahead_closes_at_once() -> None:
    changed = applied(a_drop_record(**OPEN), a_cue(CueType.CLOSE, NOW + SECOND))
    assert (changed.closes_at, window_state(changed, NOW)) == (NOW, DropState.CLOSED)


def test_close_cue_never_moves_an_earlier_end() -> None:
    assert applied(a_drop_record(**CLOSED), a_cue(CueType.CLOSE)).closes_at == NOW - SECOND


def test_close_cue_cancels_a_scheduled_drop() -> None:
    assert (
        window_state(applied(a_drop_record(opens_at=NOW + MINUTE), a_cue(CueType.CLOSE)), NOW + MINUTE)
        is DropState.CLOSED
    )


@pytest.mark.parametrize("drop", [OPEN, {}, OPEN | {"suspended": True}])
def test_extend_cue_moves_the_end_to_later(drop: dict[str, Any]) -> None:
    cue = a_cue(CueType.EXTEND, closes_at=NOW + 2 * MINUTE)
    assert applied(a_drop_record(**drop, closes_at=NOW + MINUTE), cue).closes_at == NOW + 2 * MINUTE


def test_extend_cue_never_shortens_and_never_opens_again() -> None:
    cue = a_cue(CueType.EXTEND, closes_at=NOW + MINUTE)
    assert refusal_code(a_drop_record(**OPEN, closes_at=NOW + MINUTE), cue) == "not_later"
    assert refusal_code(a_drop_record(**CLOSED), cue) == "closed"


def test_extend_cue_gives_an_end_to_a_drop_without_one() -> None:
    assert applied(a_drop_record(**OPEN), a_cue(CueType.EXTEND, closes_at=NOW + 1)).closes_at == NOW + 1
    assert refusal_code(a_drop_record(**OPEN), a_cue(CueType.EXTEND, NOW - 2, closes_at=NOW)) == "not_later"


def test_suspension_and_window_have_a_newest_time_each() -> None:
    suspended = applied(a_drop_record(**OPEN), a_cue(CueType.SUSPEND, NOW))
    extended = applied(suspended, a_cue(CueType.EXTEND, NOW - SECOND, closes_at=NOW + MINUTE))
    assert (extended.suspended, extended.closes_at) == (True, NOW + MINUTE)
    assert refusal_code(extended, a_cue(CueType.RESUME, NOW - 1)) == "superseded"
    assert applied(extended, a_cue(CueType.RESUME, NOW)).suspended is False


def test_suspend_and_resume_have_one_result_in_any_order_of_arrival() -> None:
    cues = [a_cue(CueType.SUSPEND, NOW - 3), a_cue(CueType.RESUME, NOW - 2), a_cue(CueType.SUSPEND, NOW - 1)]
    results = set()
    for order in permutations(cues):
        record = a_drop_record(**OPEN)
        for cue in order:
            changed = apply_cue_to_drop(record, cue, NOW, MAX_AGE_SECONDS)
            record = changed if isinstance(changed, DropRecord) else record
        results.add((record.suspended, record.suspension_time))
    assert results == {(True, NOW - 1)}


def test_older_close_cue_does_not_undo_a_newer_open() -> None:
    opened = applied(a_drop_record(), a_cue(CueType.OPEN, NOW))
    assert refusal_code(opened, a_cue(CueType.CLOSE, NOW - 1)) == "superseded"


def test_repeat_is_recognised_after_newer_cues_and_after_minutes() -> None:
    first = a_cue(CueType.OPEN, NOW)
    record = applied(applied(a_drop_record(), first), a_cue(CueType.CLOSE, NOW + 1), NOW + 1)
    assert apply_cue_to_drop(record, first, NOW + 10 * MINUTE, MAX_AGE_SECONDS) == CueRepeated()


def test_later_of_two_cues_with_one_time_wins_and_neither_counts_twice() -> None:
    opened, closed = a_cue(CueType.OPEN, NOW), a_cue(CueType.CLOSE, NOW)
    record = applied(applied(a_drop_record(), opened), closed)
    assert window_state(record, NOW) is DropState.CLOSED
    assert [apply_cue_to_drop(record, cue, NOW, MAX_AGE_SECONDS) for cue in (opened, closed)] == [CueRepeated()] * 2


def test_same_id_from_another_source_is_another_cue() -> None:
    record = applied(a_drop_record(), a_cue(CueType.OPEN, id="1", source="/a"))
    assert isinstance(
        apply_cue_to_drop(record, a_cue(CueType.OPEN, id="1", source="/b"), NOW, MAX_AGE_SECONDS), DropRecord
    )
