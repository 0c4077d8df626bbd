"""Compare one purchase with what moved the shop's balance for it. Pure: findings, no writes and no calls."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chalicelib.ids import order_id
from chalicelib.instants import DAY, Instant
from chalicelib.payments import Movement, MovementKind
from chalicelib.purchase import SETTLE_PERIOD, Purchase, PurchaseState, Refund

ALLOWED_LAG: Final[Instant] = DAY
"""How long the provider may take to show what an order says, and an order to show what the provider says."""

_IN_PROGRESS: Final = frozenset({PurchaseState.PLACED, PurchaseState.AWAITING_BUYER, PurchaseState.ON_HOLD})

_DISPUTES: Final = frozenset({MovementKind.DISPUTE, MovementKind.DISPUTE_REVERSED})
_OF_BUYER: Final = frozenset(MovementKind) - {
    MovementKind.FEE,
    MovementKind.PAYOUT,
    MovementKind.PAYOUT_FAILED,
    MovementKind.OTHER,
}


class DifferenceKind(StrEnum):
    """A difference between provider and orders that only a person can settle."""

    NO_ORDER = "no_order"
    """Money moved for a purchase that does not exist."""
    CAPTURED = "captured_without_order"
    """Money was captured, and its purchase is not paid by it."""
    AMOUNT = "amount"
    """The captured amount or currency is not the order's."""
    REFUND = "refund"
    """Only one side has a refund, or the sides have different amounts or states."""
    DISPUTE = "dispute"
    """The sides have different amounts of a dispute."""
    MISSING = "missing_at_provider"
    """An order is paid, and no money was captured for it."""


@dataclass(frozen=True, slots=True)
class PaymentDifference:
    """One difference. ``expected`` is the order's amount, ``found`` what moved, in minor units of ``currency``.

    ``subject`` is the provider's payment, refund or dispute.
    """

    kind: DifferenceKind
    order_id: str
    subject: str
    expected: int
    found: int
    currency: str


@dataclass(frozen=True, slots=True)
class RefundToRecord:
    """A refund that the order does not know as the provider has it. ``amount`` is what moved."""

    purchase_id: str
    provider_refund_id: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class DisputeToRecord:
    """A dispute that the order does not know as the provider has it. ``withdrawn`` is what moved."""

    purchase_id: str
    dispute_id: str
    withdrawn: int
    currency: str


@dataclass(frozen=True, slots=True)
class AttemptToProcess:
    """An attempt for the capture worker: it goes on with it, or voids what it left authorised."""

    purchase_id: str
    attempt: int


Finding = PaymentDifference | RefundToRecord | DisputeToRecord | AttemptToProcess


@dataclass(frozen=True, slots=True)
class Period:
    """The period of which every movement of the provider is known: from ``since`` to ``until``."""

    provider: str
    since: Instant
    until: Instant

    def must_have(self, at: Instant | None) -> bool:
        """Return whether the movement of what an order did at an instant must be known."""
        return at is not None and self.since <= at < self.until - ALLOWED_LAG


def compare_order(
    purchase: Purchase | None,
    movements: Iterable[Movement],
    period: Period,
    now: Instant,
    *,
    orphans_since: Instant,
) -> Iterator[Finding]:
    """Yield what a purchase and its movements at the period's provider say differently.

    Foreign movements, and those of the account, are left aside. Ended attempts of a purchase that changed at
    ``orphans_since`` or later are looked at again.
    """
    own = [one for one in movements if one.provider == period.provider and not one.is_foreign and one.kind in _OF_BUYER]
    if purchase is None:
        yield from _without_purchase(own)
        return
    payment = purchase.payment
    if payment is not None and payment.provider != period.provider:
        return
    yield from _attempts(purchase, own, now, orphans_since)
    by_payment: defaultdict[str, list[Movement]] = defaultdict(list)
    for movement in own:
        by_payment[movement.payment_id or ""].append(movement)
    paid_by = payment.provider_id if payment is not None and purchase.state is PurchaseState.PAID else None
    for payment_id, moved in by_payment.items():
        if payment_id != paid_by:
            yield from _payment_without_order(purchase, payment_id, moved, period)
    if paid_by is not None and purchase.totals.total:
        yield from _paid_order(purchase, paid_by, by_payment.get(paid_by, []), period)


def _without_purchase(movements: list[Movement]) -> Iterator[Finding]:
    """Yield a difference for each payment of which money is kept."""
    by_subject: defaultdict[str, list[Movement]] = defaultdict(list)
    for movement in movements:
        by_subject[movement.payment_id or movement.source_id or movement.id].append(movement)
    for subject, moved in by_subject.items():
        kept, currency = _kept(moved)
        public_id = order_id(moved[0].purchase_id) if moved[0].purchase_id else ""
        if kept:
            yield PaymentDifference(DifferenceKind.NO_ORDER, public_id, subject, 0, kept, currency)


def _attempts(purchase: Purchase, movements: list[Movement], now: Instant, orphans_since: Instant) -> Iterator[Finding]:
    """Yield the attempts that a lost message, or a crash, left to the capture worker."""
    age = now - purchase.updated_at
    if age <= SETTLE_PERIOD or not purchase.attempt:
        return
    is_captured = any(one.kind is MovementKind.CHARGE and one.attempt == purchase.attempt for one in movements)
    in_progress = purchase.state in _IN_PROGRESS
    if purchase.state is PurchaseState.PLACED or (in_progress and is_captured):
        yield AttemptToProcess(purchase.id, purchase.attempt)
    if purchase.updated_at < orphans_since:
        return
    ended = purchase.attempt - 1 if in_progress or purchase.state is PurchaseState.PAID else purchase.attempt
    for attempt in range(1, ended + 1):
        yield AttemptToProcess(purchase.id, attempt)


def _payment_without_order(
    purchase: Purchase, payment_id: str, movements: list[Movement], period: Period
) -> Iterator[Finding]:
    """Yield a difference for money that is kept although it pays for nothing."""
    kept, currency = _kept(movements)
    is_current = any(one.attempt == purchase.attempt for one in movements)
    if is_current and purchase.state in _IN_PROGRESS:
        newest = max(one.created_at for one in movements)
        if newest >= period.until - ALLOWED_LAG:
            return
    if kept:
        yield PaymentDifference(DifferenceKind.CAPTURED, order_id(purchase.id), payment_id, 0, kept, currency)


def _paid_order(purchase: Purchase, payment_id: str, movements: list[Movement], period: Period) -> Iterator[Finding]:
    captures = [one for one in movements if one.kind in {MovementKind.CHARGE, MovementKind.HOLD_RELEASED}]
    total, public_id = purchase.totals.total, order_id(purchase.id)
    if captures:
        captured, currency = _kept(captures)
        if (captured, currency) != (total, purchase.currency):
            yield PaymentDifference(DifferenceKind.AMOUNT, public_id, payment_id, total, captured, currency)
    elif period.must_have(purchase.paid_at):
        yield PaymentDifference(DifferenceKind.MISSING, public_id, payment_id, total, 0, purchase.currency)
    yield from _refunds(purchase, movements, period)
    yield from _disputes(purchase, movements)


def _refunds(purchase: Purchase, movements: list[Movement], period: Period) -> Iterator[Finding]:
    known = {refund.provider_id: refund for refund in purchase.refunds if refund.provider_id}
    moved: dict[str, Movement] = {}
    failed = {one.source_id for one in movements if one.kind is MovementKind.REFUND_FAILED}
    for movement in movements:
        if movement.kind is MovementKind.REFUND and movement.source_id is not None:
            moved[movement.source_id] = movement
    for source_id, movement in moved.items():
        yield from _moved_refund(purchase, known.get(source_id), movement, source_id in failed, period)
    for refund in purchase.refunds:
        is_done = refund.failure_code is None and refund.amount and refund.provider_id not in moved
        if is_done and period.must_have(refund.completed_at):
            yield _refund_difference(purchase, refund.provider_id or refund.id, refund.amount, 0, purchase.currency)


def _moved_refund(
    purchase: Purchase, known: Refund | None, movement: Movement, has_failed: bool, period: Period
) -> Iterator[Finding]:
    amount, currency = _charged(movement)
    source_id = movement.source_id or ""
    to_record = RefundToRecord(purchase.id, source_id, -amount, currency)
    if known is None:
        if not has_failed or any(refund.is_pending and refund.provider_id is None for refund in purchase.refunds):
            yield to_record
    elif (known.amount, purchase.currency) != (-amount, currency):
        yield _refund_difference(purchase, source_id, known.amount, -amount, currency)
    elif known.failure_code is None:
        if has_failed or known.completed_at is None:  # also one that the order has as pending
            yield to_record
    elif not has_failed and period.must_have(known.failed_at or movement.created_at):
        yield _refund_difference(purchase, source_id, 0, -amount, currency)


def _refund_difference(purchase: Purchase, subject: str, expected: int, found: int, currency: str) -> PaymentDifference:
    return PaymentDifference(DifferenceKind.REFUND, order_id(purchase.id), subject, expected, found, currency)


def _disputes(purchase: Purchase, movements: list[Movement]) -> Iterator[Finding]:
    withdrawn: defaultdict[str, int] = defaultdict(int)
    currency = purchase.currency
    for movement in movements:
        if movement.kind in _DISPUTES and movement.source_id is not None:
            amount, currency = _charged(movement)
            withdrawn[movement.source_id] -= amount
    known = {dispute.id: dispute for dispute in purchase.disputes}
    for dispute_id in withdrawn.keys() | known.keys():
        dispute, amount = known.get(dispute_id), withdrawn[dispute_id]
        # A dispute that is lost moves nothing at its end, so an open one is asked for.
        if dispute is None or dispute.withdrawn != amount or dispute.closed_at is None:
            yield DisputeToRecord(purchase.id, dispute_id, amount, currency)


def dispute_is_settled(purchase: Purchase, dispute_id: str, period: Period) -> bool:
    """Return whether every movement of a dispute that an order knows must be known, as the order says it for a day."""
    dispute = next((one for one in purchase.disputes if one.id == dispute_id), None)
    return dispute is None or (period.must_have(dispute.opened_at) and period.must_have(purchase.updated_at))


def _kept(movements: list[Movement]) -> tuple[int, str]:
    """Return the sum of movements of one payment, in the buyer's currency."""
    return sum(_charged(one)[0] for one in movements), _charged(movements[0])[1]


def _charged(movement: Movement) -> tuple[int, str]:
    """Return a movement in the buyer's currency, with its sign."""
    if movement.charged_amount is None or movement.charged_currency is None:
        return movement.amount, movement.currency
    return movement.charged_amount, movement.charged_currency
