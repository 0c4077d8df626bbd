"""Shows: broadcasts, their drops and windows, and the cues that move them."""

from chalicelib.shows.desk import Shows
from chalicelib.shows.memory import SingleFlightCache
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
    Frozen,
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
from chalicelib.shows.wishes import Price, PutDropRequest, PutShowRequest, StrictModel, Text, Units, When

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
    "Frozen",
    "Id",
    "LiveDrop",
    "LiveShow",
    "Offer",
    "OnRecord",
    "Price",
    "PutDropRequest",
    "PutShowRequest",
    "RefusedCue",
    "Show",
    "Shows",
    "SingleFlightCache",
    "StockChanged",
    "StrictModel",
    "Text",
    "Units",
    "When",
    "is_id",
    "parse_cue",
    "state",
    "window",
]
