"""What a purchase claims of a drop's units, and what is wrong where the buckets have something else. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from chalicelib.checkout.identity import log_reference
from chalicelib.checkout.model import Line, Purchase, PurchaseState
from chalicelib.checkout.refund import refunded_units, remaining_by_hold
from chalicelib.instants import MINUTE, SECOND, Instant
from chalicelib.stock import EpochSeconds, HoldRef, HoldStatus, OrderRef

AT_WORK: Instant = MINUTE
"""So long after its last write a purchase may be moved by a request or a worker that is still alive: it is let be."""


class Fault(StrEnum):
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
class Claim:
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
    least: int = 0
    most: int = 0

    @property
    def order(self) -> OrderRef:
        """Who its units are sold to, at its present epoch."""
        return OrderRef(order_ref(self.purchase_id), self.epoch)

    @property
    def order_id(self) -> str | None:
        """The order's public id, once there is an order: the id of an open purchase opens who buys."""
        return None if self.state in {PurchaseState.OPEN, PurchaseState.CANCELLED} else f"ord_{self.purchase_id}"

    @property
    def told(self) -> str:
        """For an operator, in a sentence."""
        return f"{self.state} purchase {log_reference(self.purchase_id)}"


def order_ref(purchase_id: str) -> str:
    """The reference of a purchase inside buckets."""
    return purchase_id[:9]


def claims_of(purchase: Purchase, drop_id: str | None) -> Iterator[Claim]:
    """What a purchase claims of a drop (None: of any), hold by hold."""
    bare = bare_claim(purchase)
    for line in purchase.lines:
        if drop_id in {None, line.drop_id}:
            yield from _of_line(purchase, line, bare)


def bare_claim(purchase: Purchase) -> Claim:
    """How a purchase stands, for a hold that it does not name."""
    return Claim(
        purchase_id=purchase.id,
        state=purchase.state,
        epoch=purchase.epoch,
        attempt=purchase.attempt,
        updated_at=purchase.updated_at,
        placed_at=purchase.placed_at,
    )


def _of_line(purchase: Purchase, line: Line, bare: Claim) -> Iterator[Claim]:
    finished = purchase.model_copy(update={"refunds": tuple(one for one in purchase.refunds if one.restocked)})
    most = remaining_by_hold(line, refunded_units(finished, line.id, restocked_only=True))
    least = remaining_by_hold(line, refunded_units(purchase, line.id, restocked_only=True))
    for hold in line.holds:
        yield Claim(
            bare.purchase_id, bare.state, bare.epoch, bare.attempt, bare.updated_at, bare.placed_at,
            hold, least[hold.id], most[hold.id],
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Patience:
    """The instant of an audit, and what at that instant is too young to be judged."""

    now: Instant
    hold_seconds: int
    drop_changed_at: Instant
    bounds: frozenset[EpochSeconds] = frozenset()
    """Beyond which lines of the drop may hold nothing."""

    def leaves(self, instant: Instant) -> bool:
        """Whether what was written then may still be going on."""
        return instant + AT_WORK > self.now

    def leaves_hold(self, status: HoldStatus) -> bool:
        """Whether a hold may have been taken within the last minute: its purchase is yet to be written.

        A take gives it ``hold_seconds``, which may be changed: for a minute after any change of the drop (and the two
        seconds in which it may not be known everywhere) no hold is old enough. A hold for a line that there is ends
        with the line's time, however late it was taken; taken it was before its end.
        """
        taken = (status.expires_at or 0) - (0 if status.expires_at in self.bounds else self.hold_seconds)
        return self.leaves(taken * SECOND) or self.leaves(self.drop_changed_at + 2 * SECOND)


def judge(status: HoldStatus | None, claim: Claim | None, patience: Patience) -> Fault | None:
    """What is wrong with a hold, if anything is. ``claim`` None: no purchase names it, and none has its order's ref."""
    if claim is None:
        return _unclaimed(status, patience)
    if patience.leaves(claim.updated_at):
        return None
    foreign = status is not None and status.order is not None and not status.order.startswith(claim.order.order)
    fault = _claimed(None if foreign else status, claim, patience)
    return Fault.FOREIGN if foreign and fault is None else fault


def _claimed(status: HoldStatus | None, claim: Claim, patience: Patience) -> Fault | None:
    if claim.hold is None or claim.state is PurchaseState.CANCELLED:
        return None if status is None else Fault.GIVEN_UP
    match claim.state:
        case PurchaseState.OPEN:
            return _open(status, claim.hold, patience)
        case PurchaseState.PLACED | PurchaseState.ON_HOLD:
            return _placed(status, claim, patience)
        case PurchaseState.AWAITING_BUYER:
            return _awaited(status, claim.hold, patience)
        case PurchaseState.PAID:
            return _paid(status, claim)


def _unclaimed(status: HoldStatus | None, patience: Patience) -> Fault | None:
    if status is None:
        return None
    if status.order is not None:
        return Fault.NO_ORDER
    return None if patience.leaves_hold(status) else Fault.UNNAMED


def _open(status: HoldStatus | None, hold: HoldRef, patience: Patience) -> Fault | None:
    if status is None or status.quantity < hold.quantity:
        return Fault.GONE if hold.expires_at * SECOND > patience.now else None
    if status.expires_at is None:
        return Fault.SOLD_TO_OPEN
    return Fault.SURPLUS if status.quantity > hold.quantity else None


def _awaited(status: HoldStatus | None, hold: HoldRef, patience: Patience) -> Fault | None:
    """Held until the deadline; sold already when the worker goes on at this moment."""
    there = status is not None and status.quantity >= hold.quantity
    return None if there or hold.expires_at * SECOND <= patience.now else Fault.GONE


def _placed(status: HoldStatus | None, claim: Claim, patience: Patience) -> Fault | None:
    if claim.placed_at is None or patience.leaves(claim.placed_at):
        return None
    whole = status is not None and status.quantity == claim.most
    return None if whole and _sold_to(status, claim) else Fault.UNSOLD


def _paid(status: HoldStatus | None, claim: Claim) -> Fault | None:
    units = 0 if status is None else status.quantity
    if units < claim.least:
        return Fault.PAID_GONE
    if units and not _sold_to(status, claim):
        return Fault.PAID_UNSOLD
    return Fault.SURPLUS if units > claim.most else None


def _sold_to(status: HoldStatus | None, claim: Claim) -> bool:
    return status is not None and status.expires_at is None and status.order == str(claim.order)
