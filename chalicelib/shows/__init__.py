"""Shows: broadcasts, their drops and windows, and the cues that move them."""

from chalicelib.shows.desk import Shows
from chalicelib.shows.memory import Memory
from chalicelib.shows.model import (
    Cue,
    CueAnswer,
    CueApplied,
    CueRefused,
    CueRepeated,
    CueType,
    Currency,
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
from chalicelib.shows.wishes import DropWish, ShowWish, Text

__all__ = [
    "Cue",
    "CueAnswer",
    "CueApplied",
    "CueRefused",
    "CueRepeated",
    "CueType",
    "Currency",
    "Drop",
    "DropState",
    "DropWish",
    "Id",
    "LiveDrop",
    "LiveShow",
    "Memory",
    "Offer",
    "OnRecord",
    "RefusedCue",
    "Show",
    "ShowWish",
    "Shows",
    "StockChanged",
    "Text",
    "is_id",
    "parse_cue",
    "state",
    "window",
]
