"""The rules of cues, without I/O: how a cue changes the record of a show or drop, or why it is refused.

The cue with the newest ``time`` wins; of two with the same time, the later to arrive. Window and suspension have a
newest time each.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from chalicelib.instants import SECOND, Instant, rfc3339
from chalicelib.shows.model import Cue, CueRefused, CueRepeated, CueType, DropState
from chalicelib.shows.records import MAX_APPLIED_CUES, DropRecord, ShowRecord, cue_key
from chalicelib.shows.windows import window_state

CLOCK_TOLERANCE: Final[Instant] = 5 * SECOND
"""How far a cue's clock may run ahead of the server's."""

SHOW_CUES: Final = frozenset({CueType.SHOW_STARTED, CueType.SHOW_ENDED})
_SUSPENSION_CUES: Final = frozenset({CueType.SUSPEND, CueType.RESUME})

_Record = TypeVar("_Record", ShowRecord, DropRecord)
_Changes = dict[str, Any]


def apply_cue_to_drop(
    record: DropRecord, cue: Cue, now: Instant, max_age_seconds: int
) -> DropRecord | CueRepeated | CueRefused:
    """Apply a cue to the window or the suspension of a drop. Return the changed record, or a refusal."""
    newest = "suspension_time" if cue.type in _SUSPENSION_CUES else "window_time"
    refusal = _timing_refusal(record, cue, now, getattr(record, newest))
    if refusal is not None:
        return refusal
    if cue.type is CueType.OPEN and now - cue.time > max_age_seconds * SECOND:
        age_seconds = (now - cue.time) // SECOND
        return CueRefused("stale_open", f"The cue is {age_seconds} s old. The limit is {max_age_seconds} s.")
    changes = _RULES[cue.type](record, cue, now)
    return changes if isinstance(changes, CueRefused) else _with_changes(record, cue, now, changes | {newest: cue.time})


def apply_cue_to_show(record: ShowRecord, cue: Cue, now: Instant) -> ShowRecord | CueRepeated | CueRefused:
    """Apply a cue that starts or ends a show. Return the changed record, or a refusal.

    A show that starts again loses the end that it had.
    """
    refusal = _timing_refusal(record, cue, now, record.show_time)
    if refusal is not None:
        return refusal
    instant = min(cue.time, now)
    started = cue.type is CueType.SHOW_STARTED
    changes: _Changes = {"started_at": instant, "ended_at": None} if started else {"ended_at": instant}
    return _with_changes(record, cue, now, changes | {"show_time": cue.time})


def unknown_subject(cue: Cue) -> CueRefused:
    """Return the refusal of a cue whose subject is unknown."""
    return CueRefused("unknown_subject", f"There is no show or drop {cue.subject}.")


def _timing_refusal(
    record: ShowRecord | DropRecord, cue: Cue, now: Instant, newest: Instant
) -> CueRepeated | CueRefused | None:
    if cue_key(cue) in record.applied:
        return CueRepeated()
    if cue.time > now + CLOCK_TOLERANCE:
        return CueRefused("from_the_future", f"The cue's time is {rfc3339(cue.time)}. It is {rfc3339(now)} now.")
    if cue.time < newest:
        return CueRefused("superseded", f"An instruction of {rfc3339(newest)} is newer.")
    return None


def _with_changes(record: _Record, cue: Cue, now: Instant, changes: _Changes) -> _Record:
    applied = (*record.applied, cue_key(cue))[-MAX_APPLIED_CUES:]
    return record.with_changes(changes | {"applied": applied}, f"cue {cue.source} {cue.id}", now)


def _open(drop: DropRecord, cue: Cue, now: Instant) -> _Changes | CueRefused:
    """Open at once, also when the cue's clock runs ahead. An open drop stays open, and may get another end."""
    if cue.closes_at is not None and cue.closes_at <= now:
        return CueRefused("window_over", f"The window would have closed at {rfc3339(cue.closes_at)}.")
    state = window_state(drop, now)
    if state is DropState.CLOSED and not cue.reopen:
        return CueRefused("closed", "The drop is closed. Send `reopen: true` to open it again.")
    if state is DropState.CLOSED:
        return {"opens_at": min(cue.time, now), "closes_at": cue.closes_at}
    end = {} if cue.closes_at is None else {"closes_at": cue.closes_at}
    return end | ({"opens_at": min(cue.time, now)} if state is DropState.SCHEDULED else {})


def _close(drop: DropRecord, cue: Cue, now: Instant) -> _Changes | CueRefused:
    """Close at the cue's time, but not later than now, and not later than the planned end."""
    ends = [cue.time, now] if drop.closes_at is None else [cue.time, now, drop.closes_at]
    return {"closes_at": min(ends)}


def _extend(drop: DropRecord, cue: Cue, now: Instant) -> _Changes | CueRefused:
    """Move the end to later, or give an end to a drop without one."""
    if window_state(drop, now) is DropState.CLOSED:
        return CueRefused("closed", "The drop is closed. Send an open cue with `reopen: true` to open it again.")
    if cue.closes_at is None or cue.closes_at <= max(now, drop.closes_at or 0):
        return CueRefused("not_later", "`$.data.closes_at` must be later than now and than the window's end.")
    return {"closes_at": cue.closes_at}


def _suspend(drop: DropRecord, cue: Cue, now: Instant) -> _Changes | CueRefused:
    return {"suspended": True}


def _resume(drop: DropRecord, cue: Cue, now: Instant) -> _Changes | CueRefused:
    return {"suspended": False}


_RULES: Final[Mapping[CueType, Callable[[DropRecord, Cue, Instant], _Changes | CueRefused]]] = {
    CueType.OPEN: _open,
    CueType.CLOSE: _close,
    CueType.EXTEND: _extend,
    CueType.SUSPEND: _suspend,
    CueType.RESUME: _resume,
}
