"""Stock: buckets and holds. Never oversold, never stranded; one conditional write decides."""

from chalicelib.stock.audit import Audit, BucketSums, StockPlan
from chalicelib.stock.layout import hold_id, most_units, plan_sizes
from chalicelib.stock.model import (
    AllHeld,
    Busy,
    EpochSeconds,
    Fewer,
    Gone,
    HoldRef,
    HoldStatus,
    Layout,
    OrderRef,
    RevertedToHold,
    RevertToHoldResult,
    SellAnswer,
    Sold,
    SoldOut,
    StaleEpoch,
    Summary,
    TakeAnswer,
    Taken,
)
from chalicelib.stock.stock import Stock
from chalicelib.stock.summary import has_expired_hold, summary_of

__all__ = [
    "AllHeld",
    "Audit",
    "BucketSums",
    "Busy",
    "EpochSeconds",
    "Fewer",
    "Gone",
    "HoldRef",
    "HoldStatus",
    "Layout",
    "OrderRef",
    "RevertToHoldResult",
    "RevertedToHold",
    "SellAnswer",
    "Sold",
    "SoldOut",
    "StaleEpoch",
    "Stock",
    "StockPlan",
    "Summary",
    "TakeAnswer",
    "Taken",
    "has_expired_hold",
    "hold_id",
    "most_units",
    "plan_sizes",
    "summary_of",
]
