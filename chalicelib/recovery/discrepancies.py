"""The discrepancies that an audit of a drop found."""

from __future__ import annotations

from dataclasses import dataclass, field

from chalicelib.instants import Instant
from chalicelib.purchase import PurchaseState
from chalicelib.recovery.expected_holds import ExpectedHold, HoldFault
from chalicelib.recovery.limit_audit import LimitDiscrepancy
from chalicelib.shows import Drop
from chalicelib.stock import HoldRef, HoldStatus, StockAudit, StockPlan, Summary

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
    """A fault of one hold. ``status`` None: the hold is gone; ``expected`` None: no purchase has to do with it."""

    fault: HoldFault
    hold_id: str
    status: HoldStatus | None
    expected: ExpectedHold | None

    @property
    def is_unreferenced(self) -> bool:
        """Whether a bucket has units that no purchase expects; else a purchase expects units that no bucket has."""
        return self.fault in _UNREFERENCED

    @property
    def hold_ref(self) -> HoldRef:
        """The hold as it is in its bucket, or else as its purchase names it."""
        if self.status is not None:
            return hold_ref(self.hold_id, self.status)
        assert self.expected is not None
        assert self.expected.hold is not None
        return self.expected.hold

    @property
    def description(self) -> str | None:
        """The discrepancy for an operator; None where it resolves itself.

        Committed units that nobody bought, and paid units that are missing, do not.
        """
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


@dataclass(frozen=True, slots=True)
class DropAudit:
    """The result of an audit of a drop. ``complete``: all purchases were read; else no hold is called unnamed."""

    drop: Drop
    now: Instant
    stock: StockAudit
    plan: StockPlan | None
    complete: bool
    purchases: int = 0
    """Purchases with units of the drop."""
    owners: dict[str, ExpectedHold] = field(default_factory=dict)
    """The purchase that has a hold, by the hold's id."""
    discrepancies: list[Discrepancy] = field(default_factory=list)
    buyers: int = 0
    """Buyers whose units of the drop are counted, where it has a limit."""
    limit_discrepancies: list[LimitDiscrepancy] = field(default_factory=list)
    mismatches: tuple[str, ...] = ()

    @property
    def summary_differs(self) -> bool:
        """Whether the live summary differs from the buckets. In a sale it follows them within a second."""
        live = self.stock.stored_summary
        return live is None or unit_totals(live) != unit_totals(self.stock)


def hold_ref(hold_id: str, status: HoldStatus) -> HoldRef:
    """Return the reference of a hold whose status was read."""
    return HoldRef(hold_id, status.bucket, status.quantity, status.expires_at or 0)


def unit_totals(counted: Summary | StockAudit) -> tuple[int, int, int, int]:
    """Return size, available, held and sold units."""
    return counted.size, counted.available, counted.held, counted.sold
