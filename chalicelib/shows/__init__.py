"""Shows: broadcasts, their drops and windows, and the cues that move them."""

from chalicelib.shows.model import (
    Cue,
    CueAnswer,
    CueApplied,
    CueRefused,
    CueRepeated,
    CueType,
    Drop,
    DropState,
    Show,
)

__all__ = [
    "Cue",
    "CueAnswer",
    "CueApplied",
    "CueRefused",
    "CueRepeated",
    "CueType",
    "Drop",
    "DropState",
    "Show",
]
