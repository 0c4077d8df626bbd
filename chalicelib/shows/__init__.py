"""Shows: broadcasts, their drops and windows, and the cues that move them."""

from chalicelib.shows.cue_parser import parse_cue
from chalicelib.shows.model import (
    Cue,
    CueApplied,
    CueRefused,
    CueRepeated,
    CueType,
    Drop,
    DropState,
    DropWithPlan,
    LiveDrop,
    LiveShow,
    Offer,
    RefusedCue,
    Show,
)
from chalicelib.shows.records import drop_not_found
from chalicelib.shows.requests import PutDropRequest, PutShowRequest
from chalicelib.shows.shows import Shows
from chalicelib.shows.windows import drop_state, window_state

__all__ = [
    "Cue",
    "CueApplied",
    "CueRefused",
    "CueRepeated",
    "CueType",
    "Drop",
    "DropState",
    "DropWithPlan",
    "LiveDrop",
    "LiveShow",
    "Offer",
    "PutDropRequest",
    "PutShowRequest",
    "RefusedCue",
    "Show",
    "Shows",
    "drop_not_found",
    "drop_state",
    "parse_cue",
    "window_state",
]
