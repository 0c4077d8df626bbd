"""Shows: broadcasts, their drops and windows, and the cues that move them."""

from chalicelib.shows.desk import Shows
from chalicelib.shows.model import (
    Cue,
    CueAnswer,
    CueApplied,
    CueRefused,
    CueRepeated,
    CueType,
    Drop,
    DropState,
    Id,
    LiveDrop,
    LiveShow,
    Offer,
    OnRecord,
    RefusedCue,
    Show,
    StockChanged,
    is_id,
)
from chalicelib.shows.reading import parse_cue
from chalicelib.shows.windows import state, window
from chalicelib.shows.wishes import DropWish, ShowWish

__all__ = [
    "Cue",
    "CueAnswer",
    "CueApplied",
    "CueRefused",
    "CueRepeated",
    "CueType",
    "Drop",
    "DropState",
    "DropWish",
    "Id",
    "LiveDrop",
    "LiveShow",
    "Offer",
    "OnRecord",
    "RefusedCue",
    "Show",
    "ShowWish",
    "Shows",
    "StockChanged",
    "is_id",
    "parse_cue",
    "state",
    "window",
]
