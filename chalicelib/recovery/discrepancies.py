"""What an audit of a drop found."""

from __future__ import annotations

from dataclasses import dataclass, field

from chalicelib.instants import Instant
from chalicelib.purchase import PurchaseState
from chalicelib.recovery.expected_holds import ExpectedHold, HoldFault
from chalicelib.recovery.limit_audit import LimitDiscrepancy
from chalicelib.shows import Drop
from chalicelib.stock import HoldStatus, StockAudit, StockPlan, Summary

_UNREFERENCED = frozenset(
    {
        HoldFault.UNNAMED,
        HoldFault.NO_ORDER,
        HoldFault.GIVEN_UP,
        HoldFault.SOLD_TO_OPEN,
        HoldFault.SURPLUS,
        HoldFault.FOREIGN,
    }
)


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """A fault of one hold: how it stands (None: gone), and what the purchase says (None: there is none)."""

    fault: HoldFault
    hold_id: str
    status: HoldStatus | None
    expected: ExpectedHold | None

    @property
    def is_unreferenced(self) -> bool:
        """Whether units stand in a bucket that no purchase claims; else a purchase claims units that do not stand."""
        return self.fault in _UNREFERENCED

    @property
    def description(self) -> str | None:
        """For an operator, where it does not mend itself: sold units that nobody bought, paid ones not to be had."""
        status, expected = self.status, self.expected
        if (
            status is not None
            and self.is_unreferenced
            and (status.expires_at is None or self.fault is HoldFault.FOREIGN)
        ):
            whose = "an order that does not exist" if expected is None else expected.description
            if self.fault is HoldFault.FOREIGN:
                whose = f"order {status.order}, not to {whose}"
            where = f"hold {self.hold_id}: {status.quantity} units in bucket {status.bucket}"
            return f"{where} are sold to {whose} ({self.fault})"
        if expected is not None and expected.state is PurchaseState.PAID:
            units = 0 if status is None else status.quantity
            where = f"hold {self.hold_id}: {units} of {expected.max_units} units"
            return f"{where} of {expected.description} ({self.fault})"
        return None


@dataclass(slots=True)
class DropAudit:
    """What an audit of a drop found. ``complete``: all purchases were read; else nothing is called unnamed."""

    drop: Drop
    now: Instant
    stock: StockAudit
    plan: StockPlan | None
    complete: bool
    purchases: int = 0
    """Purchases with units of the drop."""
    owners: dict[str, ExpectedHold] = field(default_factory=dict)
    """Who has a hold, by its id."""
    discrepancies: list[Discrepancy] = field(default_factory=list)
    buyers: int = 0
    """Buyers for whom units of the drop are counted, where it has a limit."""
    limit_discrepancies: list[LimitDiscrepancy] = field(default_factory=list)
    mismatches: tuple[str, ...] = ()

    @property
    def summary_differs(self) -> bool:
        """Whether the live summary says something else than the buckets. In a sale it follows within a second."""
        live = self.stock.stored_summary
        return live is None or unit_totals(live) != unit_totals(self.stock)


def unit_totals(one: Summary | StockAudit) -> tuple[int, int, int, int]:
    return one.size, one.available, one.held, one.sold
