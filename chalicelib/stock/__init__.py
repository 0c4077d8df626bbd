"""Stock: units in buckets, and holds on them. One conditional write decides each change (Invariants 1 to 4)."""

from chalicelib.stock.audit import BucketSums, StockAudit, StockPlan
from chalicelib.stock.layout import hold_id, max_units, plan_sizes
from chalicelib.stock.model import (
    AllHeld,
    Busy,
    CommitResult,
    Committed,
    HoldGone,
    HoldRef,
    HoldStatus,
    InsufficientUnits,
    OrderRef,
    Pool,
    RevertedToHold,
    SoldOut,
    StaleEpoch,
    Summary,
    Taken,
    TakeResult,
)
from chalicelib.stock.stock import Stock
from chalicelib.stock.summary import has_expired_hold, summary_from_record

__all__ = [
    "AllHeld",
    "BucketSums",
    "Busy",
    "CommitResult",
    "Committed",
    "HoldGone",
    "HoldRef",
    "HoldStatus",
    "InsufficientUnits",
    "OrderRef",
    "Pool",
    "RevertedToHold",
    "SoldOut",
    "StaleEpoch",
    "Stock",
    "StockAudit",
    "StockPlan",
    "Summary",
    "TakeResult",
    "Taken",
    "has_expired_hold",
    "hold_id",
    "max_units",
    "plan_sizes",
    "summary_from_record",
]
