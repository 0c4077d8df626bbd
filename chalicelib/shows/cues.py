"""The rules of cues, without I/O: what a cue makes of a show's or drop's record, or why it is refused.

The newest ``time`` wins, for the window and for the suspension each on its own. Of two with the same time the one that
arrives later wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

from chalicelib.instants import SECOND, Instant, rfc3339
from chalicelib.shows.model import Cue, CueRefused, CueRepeated, CueType, DropState
from chalicelib.shows.records import MAX_APPLIED_CUES, DropRecord, ShowRecord, cue_key
from chalicelib.shows.windows import window_state

CLOCK_TOLERANCE: Final[Instant] = 5 * SECOND
"""How far a cue's clock may run ahead of ours."""

SHOW_CUES: Final = frozenset({CueType.SHOW_STARTED, CueType.SHOW_ENDED})
_SUSPENSION_CUES: Final = frozenset({CueType.SUSPEND, CueType.RESUME})

_Record = TypeVar("_Record", ShowRecord, DropRecord)
_Changes = dict[str, Any]


def apply_cue_to_drop(
    record: DropRecord, cue: Cue, now: Instant, max_age_seconds: int
) -> DropRecord | CueRepeated | CueRefused:
    """The drop's record after a cue to its window or suspension."""
    newest = "suspension_time" if cue.type in _SUSPENSION_CUES else "window_time"
    refusal = _timing_refusal(record, cue, now, getattr(record, newest))
    if refusal is not None:
        return refusal
    if cue.type is CueType.OPEN and now - cue.time > max_age_seconds * SECOND:
        return CueRefused("stale_open", f"said {(now - cue.time) // SECOND} s ago; the limit is {max_age_seconds} s")
    changes = _RULES[cue.type](record, cue, now)
    return changes if isinstance(changes, CueRefused) else _with_changes(record, cue, now, changes | {newest: cue.time})


def apply_cue_to_show(record: ShowRecord, cue: Cue, now: Instant) -> ShowRecord | CueRepeated | CueRefused:
    """The show's record after it started or ended. A show that starts anew has not ended."""
    refusal = _timing_refusal(record, cue, now, record.show_time)
    if refusal is not None:
        return refusal
    instant = min(cue.time, now)
    started = cue.type is CueType.SHOW_STARTED
    changes: _Changes = {"started_at": instant, "ended_at": None} if started else {"ended_at": instant}
    return _with_changes(record, cue, now, changes | {"show_time": cue.time})


def _timing_refusal(
    record: ShowRecord | DropRecord, cue: Cue, now: Instant, newest: Instant
) -> CueRepeated | CueRefused | None:
    if cue_key(cue) in record.applied:
        return CueRepeated()
    if cue.time > now + CLOCK_TOLERANCE:
        return CueRefused("from_the_future", f"its time is {rfc3339(cue.time)}, ours {rfc3339(now)}")
    if cue.time < newest:
        return CueRefused("superseded", f"an instruction of {rfc3339(newest)} is newer")
    return None


def _with_changes(record: _Record, cue: Cue, now: Instant, changes: _Changes) -> _Record:
    applied = (*record.applied, cue_key(cue))[-MAX_APPLIED_CUES:]
    stamp = {"revision": record.revision + 1, "changed_by": f"cue {cue.source} {cue.id}", "changed_at": now}
    return record.model_copy(update=changes | stamp | {"applied": applied})


def _open(drop: DropRecord, cue: Cue, now: Instant) -> _Changes | CueRefused:
    """Opens at once, also when the cue's clock runs ahead; an open drop goes on and may get another end."""
    if cue.closes_at is not None and cue.closes_at <= now:
        return CueRefused("window_over", f"it would have closed at {rfc3339(cue.closes_at)}")
    state = window_state(drop, now)
    if state is DropState.CLOSED and not cue.reopen:
        return CueRefused("closed", "the drop is closed; reopening it needs reopen: true")
    if state is DropState.CLOSED:
        return {"opens_at": min(cue.time, now), "closes_at": cue.closes_at}
    end = {} if cue.closes_at is None else {"closes_at": cue.closes_at}
    return end | ({"opens_at": min(cue.time, now)} if state is DropState.SCHEDULED else {})


def _close(drop: DropRecord, cue: Cue, now: Instant) -> _Changes | CueRefused:
    """Closes when the host said so; never later than now, nor than the drop would have closed anyway."""
    ends = [cue.time, now] if drop.closes_at is None else [cue.time, now, drop.closes_at]
    return {"closes_at": min(ends)}


def _extend(drop: DropRecord, cue: Cue, now: Instant) -> _Changes | CueRefused:
    """A later end; a drop without an end gets one."""
    if window_state(drop, now) is DropState.CLOSED:
        return CueRefused("closed", "the drop is closed; reopening it needs an open cue with reopen: true")
    if cue.closes_at is None or cue.closes_at <= max(now, drop.closes_at or 0):
        return CueRefused("not_later", "an extension must end later than the window does")
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


def unknown_subject(cue: Cue) -> CueRefused:
    """The refusal of a cue about nothing that is known."""
    return CueRefused("unknown_subject", f"nothing is known as {cue.subject}")
