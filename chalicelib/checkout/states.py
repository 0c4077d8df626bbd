"""An order's states and every move between them: one table, which code obeys and the README shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chalicelib.checkout.model import Purchase, PurchaseState
from chalicelib.telemetry import count


class OrderStatus(StrEnum):
    """Where a purchase stands, as people speak of it: its stored state, and what payment and refunds add to that."""

    OPEN = "open"
    DECLINED = "declined"
    """Open again after an attempt that ended without money."""
    PLACED = "placed"
    AWAITING_BUYER = "awaiting buyer"
    ON_HOLD = "held"
    PAID = "paid"
    PART_REFUNDED = "part refunded"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"


def order_status_of(purchase: Purchase) -> OrderStatus:
    """Where a purchase stands. Refunds count when the provider has confirmed them."""
    if purchase.state is PurchaseState.OPEN:
        return OrderStatus.DECLINED if purchase.payment and purchase.payment.failure else OrderStatus.OPEN
    if purchase.state is not PurchaseState.PAID:
        return OrderStatus[purchase.state.name]
    refunded = sum(one.amount for one in purchase.refunds if one.done_at is not None)
    if refunded and refunded == purchase.totals.total:
        return OrderStatus.REFUNDED
    return OrderStatus.PART_REFUNDED if refunded else OrderStatus.PAID


@dataclass(frozen=True, slots=True)
class Move:
    """One kind of change: from which states to which, who causes it, on what condition, and what the ledger gets."""

    name: str
    before: frozenset[OrderStatus]
    after: frozenset[OrderStatus]
    """Empty: it stays where it is."""
    who: str
    condition: str
    entries: str = "none"


def _statuses(*statuses: OrderStatus) -> frozenset[OrderStatus]:
    return frozenset(statuses)


_S = OrderStatus
_STILL_OPEN = _statuses(_S.OPEN, _S.DECLINED)
_ORDERED = _statuses(_S.PAID, _S.PART_REFUNDED, _S.REFUNDED)

MOVES: Final = (
    Move("update", _STILL_OPEN, _STILL_OPEN, "buyer", "nobody else changed it meanwhile"),
    Move("place", _STILL_OPEN, _statuses(_S.PLACED), "buyer", "total as last shown, limits kept, nobody changed it"),
    Move("cancel", _STILL_OPEN, _statuses(_S.CANCELLED), "buyer", "not placed"),
    Move(
        "sell anew",
        _statuses(_S.PLACED, _S.AWAITING_BUYER, _S.ON_HOLD),
        _statuses(),
        "capture worker",
        "units were held again, or money was found",
    ),
    Move(
        "refuse", _statuses(_S.PLACED), _statuses(), "capture worker", "one attempt too many; noted before it is ended"
    ),
    Move(
        "ask the buyer", _statuses(_S.PLACED), _statuses(_S.AWAITING_BUYER), "provider", "units held until a deadline"
    ),
    Move(
        "hold",
        _statuses(_S.PLACED, _S.AWAITING_BUYER),
        _statuses(_S.ON_HOLD),
        "operator, channel",
        "nothing is captured yet",
    ),
    Move("end its time", _statuses(_S.ON_HOLD), _statuses(), "operator", "it is being given up"),
    Move("release", _statuses(_S.ON_HOLD), _statuses(_S.PLACED), "operator", "held"),
    Move(
        "give up",
        _statuses(_S.ON_HOLD),
        _statuses(_S.CANCELLED),
        "operator, deadline",
        "authorisation voided, units back",
    ),
    Move(
        "decline",
        _statuses(_S.PLACED, _S.AWAITING_BUYER),
        _statuses(_S.DECLINED),
        "provider, deadline, capture worker",
        "nothing stays reserved, units held again for a while",
    ),
    Move(
        "pay",
        _statuses(_S.PLACED, _S.AWAITING_BUYER, _S.ON_HOLD),
        _statuses(_S.PAID),
        "capture worker",
        "units sold to it, the whole total captured",
        "sale, shipping, fee",
    ),
    Move("ask a refund", _ORDERED, _ORDERED, "operator, provider", "never more than is left of what was captured"),
    Move(
        "refund",
        _statuses(_S.PAID, _S.PART_REFUNDED),
        _statuses(_S.PART_REFUNDED, _S.REFUNDED),
        "provider",
        "the provider gave the money back",
        "refund, shipping_refund",
    ),
)


class ImpossibleMoveError(Exception):
    """A change that the table does not have: a fault of the code that asked for it. Nothing was written."""


def check_move(before: Purchase, after: Purchase) -> None:
    """``ImpossibleMoveError``, which an alarm hears, unless the table has a move from one to the other."""
    was, will_be = order_status_of(before), order_status_of(after)
    if not any(was in move.before and will_be in (move.after or {was}) for move in MOVES):
        count("impossible_moves")
        raise ImpossibleMoveError(f"from {was} to {will_be}")


def as_table() -> str:
    """The moves as a Markdown table."""
    head = "| move | from | to | who | condition | ledger entries |\n|---|---|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(_cells(one))} |\n" for one in MOVES)


def _cells(move: Move) -> tuple[str, ...]:
    after = _status_names(move.after) or "the same"
    return move.name, _status_names(move.before), after, move.who, move.condition, move.entries


def _status_names(statuses: frozenset[OrderStatus]) -> str:
    return ", ".join(one for one in OrderStatus if one in statuses)
