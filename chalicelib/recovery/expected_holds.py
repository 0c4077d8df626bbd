"""The holds that a purchase expects of a drop, and the fault of a hold that differs from them. No I/O."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from chalicelib.ids import log_reference, order_id, order_ref
from chalicelib.instants import SECOND, Instant, UnixSeconds
from chalicelib.purchase import SETTLE_PERIOD, Line, Purchase, PurchaseState, restocked_units, units_to_restock
from chalicelib.refunds import remaining_by_hold
from chalicelib.stock import HoldRef, HoldStatus, OrderRef

_CLOCK_SKEW: Instant = 2 * SECOND
"""For this long after a change of a drop, some processes may still act on the old record."""


class HoldFault(StrEnum):
    """The possible faults of a drop's units."""

    UNNAMED = "unnamed"
    """Held, and no purchase names the hold: its request died before it wrote one. The hold will expire."""
    NO_ORDER = "no_order"
    """Committed to, or held for, an order that does not exist."""
    GIVEN_UP = "given_up"
    """Units of a purchase that is cancelled or has stopped naming the hold."""
    SOLD_TO_OPEN = "sold_to_open"
    """Committed to an order whose attempt has ended without money."""
    SURPLUS = "surplus"
    """More units than the purchase expects: a shrink or a restock stopped halfway."""
    GONE = "gone"
    """An open purchase's hold is gone, or has too few units, before it expires."""
    UNSOLD = "unsold"
    """A purchase was placed more than a minute ago, and these units are not committed to it."""
    PAID_UNSOLD = "paid_unsold"
    """A paid order's units are held for it, or committed at an earlier epoch: it may still lose them."""
    PAID_GONE = "paid_gone"
    """A paid order's units are gone."""
    FOREIGN = "foreign"
    """Committed to, or held for, another order than the purchase that names the hold."""


@dataclass(frozen=True, slots=True)
class ExpectedHold:
    """A purchase's state, and one hold as the purchase names it. ``hold`` None: it does not name the hold in question.

    The hold should have ``min_units`` to ``max_units``; they differ while a refund with restock is under way.
    """

    purchase_id: str
    state: PurchaseState
    epoch: int
    attempt: int
    updated_at: Instant
    placed_at: Instant | None
    hold: HoldRef | None = None
    min_units: int = 0
    max_units: int = 0

    @property
    def order(self) -> OrderRef:
        """The reference that the purchase's units are committed to, at its present epoch."""
        return OrderRef(order_ref(self.purchase_id), self.epoch)

    @property
    def order_id(self) -> str | None:
        """The order's public id; None for an open or cancelled purchase, whose id would give access to it."""
        return None if self.state in {PurchaseState.OPEN, PurchaseState.CANCELLED} else order_id(self.purchase_id)

    @property
    def description(self) -> str:
        """The purchase, for an operator's report."""
        return f"{self.state} purchase {log_reference(self.purchase_id)}"


def expected_holds_of(purchase: Purchase, drop_id: str | None) -> Iterator[ExpectedHold]:
    """Return what a purchase expects of a drop (None: of any), hold by hold."""
    without_hold = expected_without_hold(purchase)
    for line in purchase.lines:
        if drop_id in {None, line.drop_id}:
            yield from _expected_of_line(purchase, line, without_hold)


def expected_without_hold(purchase: Purchase) -> ExpectedHold:
    """Return the purchase's state, for a hold that it does not name."""
    return ExpectedHold(
        purchase_id=purchase.id,
        state=purchase.state,
        epoch=purchase.epoch,
        attempt=purchase.attempt,
        updated_at=purchase.updated_at,
        placed_at=purchase.placed_at,
    )


def _expected_of_line(purchase: Purchase, line: Line, without_hold: ExpectedHold) -> Iterator[ExpectedHold]:
    max_units = remaining_by_hold(line, restocked_units(purchase, line.id))
    min_units = remaining_by_hold(line, units_to_restock(purchase, line.id))
    for hold in line.holds:
        yield replace(without_hold, hold=hold, min_units=min_units[hold.id], max_units=max_units[hold.id])


@dataclass(frozen=True, slots=True)
class GracePeriod:
    """The instant of an audit; it decides what is too recent to be compared."""

    now: Instant
    hold_seconds: int
    drop_changed_at: Instant
    max_hold_untils: frozenset[UnixSeconds] = frozenset()
    """The instants after which lines of the drop may hold nothing."""

    def is_recent(self, instant: Instant) -> bool:
        """Return whether a request or worker that wrote then may still be alive."""
        return instant + SETTLE_PERIOD > self.now

    def is_recent_hold(self, status: HoldStatus) -> bool:
        """Return whether a hold may have been taken within the last minute, so that its purchase is yet to be written.

        A take gives a hold ``hold_seconds``, which an operator may change. So for a minute after any change of the
        drop no hold counts as old; two more seconds allow for processes that still act on the old record.
        A hold that ends at its line's ``max_hold_until`` may have been taken at any instant before that.
        """
        taken_at = (status.expires_at or 0) - (0 if status.expires_at in self.max_hold_untils else self.hold_seconds)
        return self.is_recent(taken_at * SECOND) or self.is_recent(self.drop_changed_at + _CLOCK_SKEW)


def classify(status: HoldStatus | None, expected: ExpectedHold | None, grace: GracePeriod) -> HoldFault | None:
    """Return what is wrong with a hold; None when nothing is.

    ``status`` None: the hold is gone. ``expected`` None: no purchase names it, and no order has its reference.
    """
    if expected is None:
        return _classify_unexpected(status, grace)
    if grace.is_recent(expected.updated_at):
        return None
    of_other_order = (
        status is not None and status.order is not None and not status.order.startswith(expected.order.order_ref)
    )
    fault = _classify_expected(None if of_other_order else status, expected, grace)
    return HoldFault.FOREIGN if of_other_order and fault is None else fault


def _classify_unexpected(status: HoldStatus | None, grace: GracePeriod) -> HoldFault | None:
    if status is None:
        return None
    if status.order is not None:
        return HoldFault.NO_ORDER
    return None if grace.is_recent_hold(status) else HoldFault.UNNAMED


def _classify_expected(status: HoldStatus | None, expected: ExpectedHold, grace: GracePeriod) -> HoldFault | None:
    if expected.hold is None or expected.state is PurchaseState.CANCELLED:
        return None if status is None else HoldFault.GIVEN_UP
    match expected.state:
        case PurchaseState.OPEN:
            return _classify_open(status, expected.hold, grace)
        case PurchaseState.PLACED | PurchaseState.ON_HOLD:
            return _classify_placed(status, expected, grace)
        case PurchaseState.AWAITING_BUYER:
            return _classify_awaiting_buyer(status, expected.hold, grace)
        case PurchaseState.PAID:
            return _classify_paid(status, expected)


def _classify_open(status: HoldStatus | None, hold: HoldRef, grace: GracePeriod) -> HoldFault | None:
    if status is None or status.quantity < hold.quantity:
        return HoldFault.GONE if hold.expires_at * SECOND > grace.now else None
    if status.expires_at is None:
        return HoldFault.SOLD_TO_OPEN
    return HoldFault.SURPLUS if status.quantity > hold.quantity else None


def _classify_awaiting_buyer(status: HoldStatus | None, hold: HoldRef, grace: GracePeriod) -> HoldFault | None:
    """The units are held until the deadline, or committed already by a worker that goes on at this moment."""
    is_there = status is not None and status.quantity >= hold.quantity
    return None if is_there or hold.expires_at * SECOND <= grace.now else HoldFault.GONE


def _classify_placed(status: HoldStatus | None, expected: ExpectedHold, grace: GracePeriod) -> HoldFault | None:
    if expected.placed_at is None or grace.is_recent(expected.placed_at):
        return None
    if status is not None and status.quantity == expected.max_units and status.is_committed_to(expected.order):
        return None
    return HoldFault.UNSOLD


def _classify_paid(status: HoldStatus | None, expected: ExpectedHold) -> HoldFault | None:
    units = 0 if status is None else status.quantity
    if units < expected.min_units:
        return HoldFault.PAID_GONE
    if status is not None and units and not status.is_committed_to(expected.order):
        return HoldFault.PAID_UNSOLD
    return HoldFault.SURPLUS if units > expected.max_units else None
