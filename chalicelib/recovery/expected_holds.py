"""What a purchase claims of a drop's units, and what is wrong where the buckets have something else. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.ids import log_reference, order_id, order_ref
from chalicelib.instants import SECOND, Instant, UnixSeconds
from chalicelib.purchase import SETTLE_PERIOD, Line, Purchase, PurchaseState, restocked_units, units_to_restock
from chalicelib.refunds import remaining_by_hold
from chalicelib.stock import HoldRef, HoldStatus, OrderRef


class HoldFault(StrEnum):
    """What may be wrong with units of a drop."""

    UNNAMED = "unnamed"
    """Held for no purchase: its request died before it wrote one. They lapse by themselves."""
    NO_ORDER = "no_order"
    """Sold to, or held for, an order that does not exist."""
    GIVEN_UP = "given_up"
    """Units of a purchase that is cancelled, or does not name them any more."""
    SOLD_TO_OPEN = "sold_to_open"
    """Sold to an order whose attempt has ended without money."""
    SURPLUS = "surplus"
    """More units than the purchase claims: a shrink or a return was cut off."""
    GONE = "gone"
    """An open purchase's hold is gone, or has too few units, before its end."""
    UNSOLD = "unsold"
    """A purchase was placed more than a minute ago and these units are not sold to it."""
    PAID_UNSOLD = "paid_unsold"
    """A paid order's units are held for it, or sold at an earlier epoch: they may still be lost."""
    PAID_GONE = "paid_gone"
    """A paid order's units are gone."""
    FOREIGN = "foreign"
    """Sold to, or held for, another order than the purchase that names the hold."""


@dataclass(frozen=True, slots=True)
class ExpectedHold:
    """How a purchase stands, and one hold as it names it. ``hold`` None: it does not name the one in question.

    ``least`` and ``most`` units it counts on: they differ while a refund with restock is carried out.
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
        """Who its units are sold to, at its present epoch."""
        return OrderRef(order_ref(self.purchase_id), self.epoch)

    @property
    def order_id(self) -> str | None:
        """The order's public id, once there is an order: the id of an open purchase opens who buys."""
        return None if self.state in {PurchaseState.OPEN, PurchaseState.CANCELLED} else order_id(self.purchase_id)

    @property
    def description(self) -> str:
        """For an operator, in a sentence."""
        return f"{self.state} purchase {log_reference(self.purchase_id)}"


def expected_holds_of(purchase: Purchase, drop_id: str | None) -> Iterator[ExpectedHold]:
    """What a purchase claims of a drop (None: of any), hold by hold."""
    without_hold = expected_without_hold(purchase)
    for line in purchase.lines:
        if drop_id in {None, line.drop_id}:
            yield from _expected_of_line(purchase, line, without_hold)


def expected_without_hold(purchase: Purchase) -> ExpectedHold:
    """How a purchase stands, for a hold that it does not name."""
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
        yield ExpectedHold(
            without_hold.purchase_id,
            without_hold.state,
            without_hold.epoch,
            without_hold.attempt,
            without_hold.updated_at,
            without_hold.placed_at,
            hold,
            min_units[hold.id],
            max_units[hold.id],
        )


@dataclass(frozen=True, slots=True)
class GracePeriod:
    """The instant of an audit, and what at that instant is too young to be judged."""

    now: Instant
    hold_seconds: int
    drop_changed_at: Instant
    max_hold_untils: frozenset[UnixSeconds] = frozenset()
    """Beyond which lines of the drop may hold nothing."""

    def is_recent(self, instant: Instant) -> bool:
        """Whether what was written then may still be going on."""
        return instant + SETTLE_PERIOD > self.now

    def is_recent_hold(self, status: HoldStatus) -> bool:
        """Whether a hold may have been taken within the last minute: its purchase is yet to be written.

        A take gives it ``hold_seconds``, which may be changed: for a minute after any change of the drop (and the two
        seconds in which it may not be known everywhere) no hold is old enough. A hold for a line that there is ends
        with the line's time, however late it was taken; taken it was before its end.
        """
        taken_at = (status.expires_at or 0) - (0 if status.expires_at in self.max_hold_untils else self.hold_seconds)
        return self.is_recent(taken_at * SECOND) or self.is_recent(self.drop_changed_at + 2 * SECOND)


def classify(status: HoldStatus | None, expected: ExpectedHold | None, grace: GracePeriod) -> HoldFault | None:
    """What is wrong with a hold, if anything is. ``claim`` None: no purchase names it, and none has its order's ref."""
    if expected is None:
        return _classify_unexpected(status, grace)
    if grace.is_recent(expected.updated_at):
        return None
    of_other_order = (
        status is not None and status.order is not None and not status.order.startswith(expected.order.order_ref)
    )
    fault = _classify_expected(None if of_other_order else status, expected, grace)
    return HoldFault.FOREIGN if of_other_order and fault is None else fault


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


def _classify_unexpected(status: HoldStatus | None, grace: GracePeriod) -> HoldFault | None:
    if status is None:
        return None
    if status.order is not None:
        return HoldFault.NO_ORDER
    return None if grace.is_recent_hold(status) else HoldFault.UNNAMED


def _classify_open(status: HoldStatus | None, hold: HoldRef, grace: GracePeriod) -> HoldFault | None:
    if status is None or status.quantity < hold.quantity:
        return HoldFault.GONE if hold.expires_at * SECOND > grace.now else None
    if status.expires_at is None:
        return HoldFault.SOLD_TO_OPEN
    return HoldFault.SURPLUS if status.quantity > hold.quantity else None


def _classify_awaiting_buyer(status: HoldStatus | None, hold: HoldRef, grace: GracePeriod) -> HoldFault | None:
    """Held until the deadline; sold already when the worker goes on at this moment."""
    there = status is not None and status.quantity >= hold.quantity
    return None if there or hold.expires_at * SECOND <= grace.now else HoldFault.GONE


def _classify_placed(status: HoldStatus | None, expected: ExpectedHold, grace: GracePeriod) -> HoldFault | None:
    if expected.placed_at is None or grace.is_recent(expected.placed_at):
        return None
    whole = status is not None and status.quantity == expected.max_units
    return None if whole and _is_committed_to(status, expected) else HoldFault.UNSOLD


def _classify_paid(status: HoldStatus | None, expected: ExpectedHold) -> HoldFault | None:
    units = 0 if status is None else status.quantity
    if units < expected.min_units:
        return HoldFault.PAID_GONE
    if units and not _is_committed_to(status, expected):
        return HoldFault.PAID_UNSOLD
    return HoldFault.SURPLUS if units > expected.max_units else None


def _is_committed_to(status: HoldStatus | None, expected: ExpectedHold) -> bool:
    return status is not None and status.expires_at is None and status.order == str(expected.order)
