"""Shows: broadcasts, their drops and windows, and the cues that move them."""

from chalicelib.shows.desk import Shows
from chalicelib.shows.memory import SingleFlightCache
from chalicelib.shows.model import (
    Cue,
    CueApplied,
    CueRefused,
    CueRepeated,
    CueResult,
    CueType,
    Currency,
    Drop,
    DropState,
    DropWithPlan,
    FrozenModel,
    Id,
    LiveDrop,
    LiveShow,
    Offer,
    RefusedCue,
    Show,
    StockAdjusted,
    is_id,
)
from chalicelib.shows.reading import parse_cue
from chalicelib.shows.windows import drop_state, window_state
from chalicelib.shows.wishes import Price, PutDropRequest, PutShowRequest, StrictModel, Text, Timestamp, Units

__all__ = [
    "Cue",
    "CueApplied",
    "CueRefused",
    "CueRepeated",
    "CueResult",
    "CueType",
    "Currency",
    "Drop",
    "DropState",
    "DropWithPlan",
    "FrozenModel",
    "Id",
    "LiveDrop",
    "LiveShow",
    "Offer",
    "Price",
    "PutDropRequest",
    "PutShowRequest",
    "RefusedCue",
    "Show",
    "Shows",
    "SingleFlightCache",
    "StockAdjusted",
    "StrictModel",
    "Text",
    "Timestamp",
    "Units",
    "drop_state",
    "is_id",
    "parse_cue",
    "window_state",
]
