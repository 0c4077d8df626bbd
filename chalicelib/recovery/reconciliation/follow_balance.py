"""Follow the provider's balance: store each of its movements once, from a cursor, in windows that are whole or nothing.

A window's movements come in any order, so the cursor passes a window only when all of them are stored. A run that ends
before is repeated from the cursor, and a movement that is stored already changes nothing. So runs may die or overlap.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from chalicelib.instants import DAY, HOUR, MINUTE, SECOND, Instant
from chalicelib.payments import BalanceCursor, BalanceSource, MovementStore, OutcomeUnknownError, ProviderBusyError
from chalicelib.telemetry import logger

FIRST_LOOK_BACK: Final[Instant] = 35 * DAY
"""How far back the first run of a deployment begins. The cursor records that instant for good."""

SETTLING_TIME: Final[Instant] = 5 * MINUTE
"""The cursor stays this far behind the clock, because a provider may show a movement a little after its creation."""

MAX_MOVEMENTS_IN_WINDOW: Final = 2_000
"""A longer window with more movements is read again in halves, so that one that fails repeats little work."""

_FIRST_WINDOW: Final[Instant] = HOUR
_MIN_WINDOW: Final[Instant] = MINUTE
_MAX_WINDOW: Final[Instant] = DAY

TimeBudget = Callable[[], bool]
"""Returns whether the time that a call may take is used up."""


@dataclass(frozen=True, slots=True)
class FollowReport:
    """How far a run came. ``since`` is where the first run of all began, ``until`` is the cursor."""

    since: Instant
    until: Instant
    target: Instant
    stored: int
    """Movements that this run stored, each for the first time."""
    provider_available: bool = True

    @property
    def complete(self) -> bool:
        """Return whether every movement before ``target`` is stored."""
        return self.until >= self.target


def follow_balance(
    movements: MovementStore, source: BalanceSource, now: Instant, time_is_up: TimeBudget
) -> FollowReport:
    """Store the provider's movements from the cursor up to ``now - SETTLING_TIME``, or until the time is up.

    Safe to run at any time, and twice at once. Costs the provider's list, 1 WCU a movement and a window, and the memory
    of one page of the list.
    """
    target = (now - SETTLING_TIME) // SECOND * SECOND
    cursor = movements.begin(source.name, target - FIRST_LOOK_BACK)
    window, stored = _FIRST_WINDOW, 0
    while cursor.until < target and not time_is_up():
        end = min(cursor.until + window, target)
        try:
            added, whole = _store_window(movements, source, cursor, end, time_is_up)
        except (OutcomeUnknownError, ProviderBusyError) as error:
            logger.warning("provider's balance not readable", extra={"reason": str(error)})
            return FollowReport(cursor.since, cursor.until, target, stored, provider_available=False)
        stored += added
        if whole:
            cursor = movements.advance(cursor, end)
            window = min(window * 2, _MAX_WINDOW)
        else:
            window = max(window // 2 // SECOND * SECOND, _MIN_WINDOW)
    report = FollowReport(cursor.since, cursor.until, target, stored)
    logger.info("balance followed", extra={"until": report.until, "stored": stored, "complete": report.complete})
    return report


def _store_window(
    movements: MovementStore, source: BalanceSource, cursor: BalanceCursor, end: Instant, time_is_up: TimeBudget
) -> tuple[int, bool]:
    """Store the movements from the cursor to ``end``. Return how many were new, and whether all of them were read."""
    is_divisible = end - cursor.until > _MIN_WINDOW
    added = 0
    for read, movement in enumerate(source.movements(cursor.until, end)):
        if time_is_up() or (is_divisible and read == MAX_MOVEMENTS_IN_WINDOW):
            return added, False
        added += movements.add(movement)
    return added, True
