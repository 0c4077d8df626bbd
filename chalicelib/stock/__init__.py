"""Stock: buckets and holds. Never oversold, never stranded; one conditional write decides."""

from chalicelib.stock.model import (
    AllHeld,
    Busy,
    EpochSeconds,
    Fewer,
    HoldRef,
    Layout,
    OrderRef,
    SoldOut,
    Standing,
    Summary,
    TakeAnswer,
    Taken,
)

__all__ = [
    "AllHeld",
    "Busy",
    "EpochSeconds",
    "Fewer",
    "HoldRef",
    "Layout",
    "OrderRef",
    "SoldOut",
    "Standing",
    "Summary",
    "TakeAnswer",
    "Taken",
]
