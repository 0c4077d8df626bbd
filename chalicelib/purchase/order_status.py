"""Order status and the table of its transitions. The code obeys the table and the documents show it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chalicelib.errors import InvariantBroken
from chalicelib.instants import Instant
from chalicelib.purchase.model import Purchase, PurchaseState
from chalicelib.purchase.refund_totals import is_disputed, losses_of, refunded_amount
from chalicelib.telemetry import count


class OrderStatus(StrEnum):
    """The visible status of a purchase: its stored state, refined by payment, refunds and disputes."""

    OPEN = "open"
    DECLINED = "declined"
    """Open again after an attempt that ended without money."""
    PLACED = "placed"
    AWAITING_BUYER = "awaiting buyer"
    ON_HOLD = "held"
    PAID = "paid"
    PART_REFUNDED = "part refunded"
    REFUNDED = "refunded"
    DISPUTED = "disputed"
    CHARGED_BACK = "charged back"
    CANCELLED = "cancelled"


def order_status_of(purchase: Purchase) -> OrderStatus:
    """Return the status of a purchase. Refunds count once they are done.

    An open dispute, and then a lost one, says more than refunds.
    """
    if purchase.state is PurchaseState.OPEN:
        return OrderStatus.DECLINED if purchase.payment and purchase.payment.failure else OrderStatus.OPEN
    if purchase.state is not PurchaseState.PAID:
        return OrderStatus[purchase.state.name]
    if is_disputed(purchase):
        return OrderStatus.DISPUTED
    if losses_of(purchase):
        return OrderStatus.CHARGED_BACK
    refunded = refunded_amount(purchase)
    if refunded and refunded == purchase.totals.total:
        return OrderStatus.REFUNDED
    return OrderStatus.PART_REFUNDED if refunded else OrderStatus.PAID


@dataclass(frozen=True, slots=True)
class Transition:
    """One kind of change: statuses before and after, actor, condition, and entries in the ledger."""

    name: str
    from_statuses: frozenset[OrderStatus]
    to_statuses: frozenset[OrderStatus]
    """Empty: the status does not change."""
    actor: str
    condition: str
    ledger_entries: str = "none"


def _statuses(*statuses: OrderStatus) -> frozenset[OrderStatus]:
    return frozenset(statuses)


_S = OrderStatus
_NOT_PLACED = _statuses(_S.OPEN, _S.DECLINED)
_UNDISPUTED = _statuses(_S.PAID, _S.PART_REFUNDED, _S.REFUNDED)
_PAID_FOR = _UNDISPUTED | _statuses(_S.DISPUTED, _S.CHARGED_BACK)

TRANSITIONS: Final = (
    Transition("update", _NOT_PLACED, _NOT_PLACED, "buyer", "nobody else changed it meanwhile"),
    Transition(
        "place", _NOT_PLACED, _statuses(_S.PLACED), "buyer", "total as last shown, limits kept, nobody changed it"
    ),
    Transition("cancel", _NOT_PLACED, _statuses(_S.CANCELLED), "buyer", "not placed"),
    Transition(
        "recommit stock",
        _statuses(_S.PLACED, _S.AWAITING_BUYER, _S.ON_HOLD),
        _statuses(),
        "capture worker",
        "units were reverted to a hold, or the provider has the payment already",
    ),
    Transition(
        "refuse attempt",
        _statuses(_S.PLACED),
        _statuses(),
        "capture worker",
        "too many declines, or the deadline passed; recorded before the attempt is ended",
    ),
    Transition(
        "require authentication",
        _statuses(_S.PLACED),
        _statuses(_S.AWAITING_BUYER),
        "provider",
        "units held until a deadline",
    ),
    Transition(
        "put on hold", _statuses(_S.PLACED), _statuses(_S.ON_HOLD), "operator, channel", "nothing is captured yet"
    ),
    Transition(
        "put on hold after authentication",
        _statuses(_S.AWAITING_BUYER),
        _statuses(_S.ON_HOLD),
        "channel",
        "the buyer has confirmed, and nothing is captured yet",
    ),
    Transition("expire order hold", _statuses(_S.ON_HOLD), _statuses(), "operator", "the order is being cancelled"),
    Transition("release from hold", _statuses(_S.ON_HOLD), _statuses(_S.PLACED), "operator", "on hold"),
    Transition(
        "cancel held order",
        _statuses(_S.ON_HOLD),
        _statuses(_S.CANCELLED),
        "operator, deadline",
        "authorisation voided, units released",
    ),
    Transition(
        "decline",
        _statuses(_S.PLACED, _S.AWAITING_BUYER),
        _statuses(_S.DECLINED),
        "provider, deadline, capture worker",
        "authorisation voided, units reverted to a hold",
    ),
    Transition(
        "pay",
        _statuses(_S.PLACED, _S.AWAITING_BUYER, _S.ON_HOLD),
        _statuses(_S.PAID),
        "capture worker",
        "stock committed, the whole total captured",
        "sale, shipping",
    ),
    Transition(
        "request refund",
        _PAID_FOR,
        _statuses(),
        "operator, provider",
        "at most what is left of the captured amount; an operator's only while no dispute is open",
    ),
    Transition(
        "complete refund",
        _statuses(_S.PAID, _S.PART_REFUNDED),
        _statuses(_S.PART_REFUNDED, _S.REFUNDED),
        "provider",
        "the provider carried the refund out",
        "refund, shipping_refund",
    ),
    Transition(
        "complete refund of a disputed order",
        _statuses(_S.DISPUTED, _S.CHARGED_BACK),
        _statuses(),
        "provider",
        "the provider carried the refund out",
        "refund, shipping_refund",
    ),
    Transition(
        "fail refund",
        _statuses(_S.PART_REFUNDED, _S.REFUNDED),
        _statuses(_S.PAID, _S.PART_REFUNDED),
        "provider",
        "a refund that was done came back",
        "refund_failed, shipping_refund_failed",
    ),
    Transition(
        "open dispute",
        _UNDISPUTED | _statuses(_S.CHARGED_BACK),
        _statuses(_S.DISPUTED),
        "provider",
        "the buyer's bank disputes the payment; an inquiry changes nothing",
    ),
    Transition(
        "end dispute", _statuses(_S.DISPUTED), _UNDISPUTED, "provider", "won, withdrawn, or prevented; nothing is lost"
    ),
    Transition(
        "lose dispute",
        _UNDISPUTED | _statuses(_S.DISPUTED),
        _statuses(_S.CHARGED_BACK),
        "provider",
        "lost, and the money is withdrawn",
        "chargeback",
    ),
    Transition(
        "restore loss",
        _statuses(_S.CHARGED_BACK),
        _UNDISPUTED | _statuses(_S.DISPUTED),
        "provider",
        "the outcome was reversed",
        "chargeback_reversed",
    ),
)


class IllegalTransitionError(InvariantBroken):
    """A change that the table of transitions does not have: a fault in the code. Nothing was written."""


def check_transition(before: Purchase, after: Purchase) -> None:
    """Check that the table has a transition between two versions of a purchase.

    Raises:
        IllegalTransitionError: it has none. The metric of an alarm counts it.
    """
    from_status, to_status = order_status_of(before), order_status_of(after)
    if not any(
        from_status in transition.from_statuses and to_status in (transition.to_statuses or {from_status})
        for transition in TRANSITIONS
    ):
        count("illegal_transitions")
        raise IllegalTransitionError(f"No transition leads from {from_status} to {to_status}.")


def transition_table() -> str:
    """Return the transitions as a Markdown table."""
    head = "| transition | from | to | actor | condition | ledger entries |\n|---|---|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(_cells(transition))} |\n" for transition in TRANSITIONS)


def _cells(transition: Transition) -> tuple[str, ...]:
    to_names = _status_names(transition.to_statuses) or "the same"
    return (
        transition.name,
        _status_names(transition.from_statuses),
        to_names,
        transition.actor,
        transition.condition,
        transition.ledger_entries,
    )


def _status_names(statuses: frozenset[OrderStatus]) -> str:
    return ", ".join(status for status in OrderStatus if status in statuses)


def next_version(purchase: Purchase, now: Instant, **changes: object) -> Purchase:
    """Return the next version of a purchase, with the given changes.

    Raises:
        IllegalTransitionError: the table has no such transition.
    """
    next_ = purchase.model_copy(update={"version": purchase.version + 1, "updated_at": now, **changes})
    check_transition(purchase, next_)
    return next_
