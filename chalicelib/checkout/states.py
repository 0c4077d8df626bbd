"""An order's states and every move between them: one table, which code obeys and the README shows."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from chalicelib.checkout.model import Purchase, State
from chalicelib.telemetry import count


class Standing(StrEnum):
    """Where a purchase stands, as people speak of it: its stored state, and what payment and refunds add to that."""

    OPEN = "open"
    DECLINED = "declined"
    """Open again after an attempt that ended without money."""
    PLACED = "placed"
    AWAITING_BUYER = "awaiting buyer"
    HELD = "held"
    PAID = "paid"
    PART_REFUNDED = "part refunded"
    REFUNDED = "refunded"
    CANCELLED = "cancelled"


def standing_of(purchase: Purchase) -> Standing:
    """Where a purchase stands. Refunds count when the provider has confirmed them."""
    if purchase.state is State.OPEN:
        return Standing.DECLINED if purchase.payment and purchase.payment.failure else Standing.OPEN
    if purchase.state is not State.PAID:
        return Standing[purchase.state.name]
    given_back = sum(one.amount for one in purchase.refunds if one.done_at is not None)
    if given_back and given_back == purchase.totals.total:
        return Standing.REFUNDED
    return Standing.PART_REFUNDED if given_back else Standing.PAID


@dataclass(frozen=True, slots=True)
class Move:
    """One kind of change: from which states to which, who causes it, on what condition, and what the ledger gets."""

    name: str
    before: frozenset[Standing]
    after: frozenset[Standing]
    """Empty: it stays where it is."""
    who: str
    condition: str
    entries: str = "none"


def _any(*standings: Standing) -> frozenset[Standing]:
    return frozenset(standings)


_S = Standing
_STILL_OPEN = _any(_S.OPEN, _S.DECLINED)
_ORDERED = _any(_S.PAID, _S.PART_REFUNDED, _S.REFUNDED)

MOVES: Final = (
    Move("update", _STILL_OPEN, _STILL_OPEN, "buyer", "nobody else changed it meanwhile"),
    Move("place", _STILL_OPEN, _any(_S.PLACED), "buyer", "total as last shown, limits kept, nobody changed it"),
    Move("cancel", _STILL_OPEN, _any(_S.CANCELLED), "buyer", "not placed"),
    Move(
        "sell anew",
        _any(_S.PLACED, _S.AWAITING_BUYER, _S.HELD),
        _any(),
        "capture worker",
        "units were held again, or money was found",
    ),
    Move("refuse", _any(_S.PLACED), _any(), "capture worker", "one attempt too many; noted before it is ended"),
    Move("ask the buyer", _any(_S.PLACED), _any(_S.AWAITING_BUYER), "provider", "units held until a deadline"),
    Move("hold", _any(_S.PLACED, _S.AWAITING_BUYER), _any(_S.HELD), "operator, channel", "nothing is captured yet"),
    Move("end its time", _any(_S.HELD), _any(), "operator", "it is being given up"),
    Move("release", _any(_S.HELD), _any(_S.PLACED), "operator", "held"),
    Move("give up", _any(_S.HELD), _any(_S.CANCELLED), "operator, deadline", "authorisation voided, units back"),
    Move(
        "decline",
        _any(_S.PLACED, _S.AWAITING_BUYER),
        _any(_S.DECLINED),
        "provider, deadline, capture worker",
        "nothing stays reserved, units held again for a while",
    ),
    Move(
        "pay",
        _any(_S.PLACED, _S.AWAITING_BUYER, _S.HELD),
        _any(_S.PAID),
        "capture worker",
        "units sold to it, the whole total captured",
        "sale, shipping, fee",
    ),
    Move("ask a refund", _ORDERED, _ORDERED, "operator, provider", "never more than is left of what was captured"),
    Move(
        "refund",
        _any(_S.PAID, _S.PART_REFUNDED),
        _any(_S.PART_REFUNDED, _S.REFUNDED),
        "provider",
        "the provider gave the money back",
        "refund, shipping_refund",
    ),
)


class ImpossibleMoveError(Exception):
    """A change that the table does not have: a fault of the code that asked for it. Nothing was written."""


def check_move(before: Purchase, after: Purchase) -> None:
    """``ImpossibleMoveError``, which an alarm hears, unless the table has a move from one to the other."""
    was, will_be = standing_of(before), standing_of(after)
    if not any(was in move.before and will_be in (move.after or {was}) for move in MOVES):
        count("impossible_moves")
        raise ImpossibleMoveError(f"from {was} to {will_be}")


def as_table() -> str:
    """The moves as a Markdown table."""
    head = "| move | from | to | who | condition | ledger entries |\n|---|---|---|---|---|---|\n"
    return head + "".join(f"| {' | '.join(_cells(one))} |\n" for one in MOVES)


def _cells(move: Move) -> tuple[str, ...]:
    after = _named(move.after) or "the same"
    return move.name, _named(move.before), after, move.who, move.condition, move.entries


def _named(standings: frozenset[Standing]) -> str:
    return ", ".join(one for one in Standing if one in standings)
