"""Follow the provider's balance: store each of its movements once, from a cursor, in windows that are whole or nothing.

A window's movements come in any order, so the cursor passes a window only when all of them are stored. A run that ends
before is repeated from the cursor, and a movement that is stored already changes nothing. So runs may die or overlap.
A movement that the provider shows only after the cursor has passed it is found when its days are read again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from chalicelib.instants import DAY, HOUR, MINUTE, SECOND, Instant
from chalicelib.payments import BalanceCursor, BalanceSource, MovementStore, OutcomeUnknownError, ProviderBusyError
from chalicelib.telemetry import logger

FIRST_LOOK_BACK: Final[Instant] = 5 * DAY
"""How far back the first run of a deployment begins. The cursor records that instant for good.

The scheduled closing goes back a week at most, so entries of earlier days might reach no closed file.
"""

SETTLING_TIME: Final[Instant] = 5 * MINUTE
"""The cursor stays this far behind the clock, because a provider may show a movement a little after its creation."""

MAX_MOVEMENTS_IN_WINDOW: Final = 2_000
"""A longer window with more movements is read again in halves, so that one that fails repeats little work."""

READ_AGAIN: Final[Instant] = 2 * DAY
"""How much before the cursor a comparison reads again: a night, and one that failed."""

MAX_READ_AGAIN: Final[Instant] = 30 * DAY
"""How much before the cursor an operator may have read again."""

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
    provider_problem: str | None = None
    """Why the provider gave no movements, such as ``provider_key_refused``; None: it gave them."""

    @property
    def provider_available(self) -> bool:
        """Return whether the provider gave every movement that this run asked for."""
        return self.provider_problem is None

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
    report = _store_windows(movements, source, cursor, target, time_is_up, movements.advance)
    logger.info("balance followed", extra={"until": report.until, "stored": report.stored, "complete": report.complete})
    return report


def read_again(
    movements: MovementStore, source: BalanceSource, since: Instant, until: Instant, time_is_up: TimeBudget
) -> FollowReport:
    """Store what the provider shows by now from ``since`` to ``until`` and the follower has not seen.

    The report's ``until`` is where to go on. Costs the provider's list of that time, and 1 WCU a movement, even if it
    is stored already.
    """
    start = BalanceCursor(source.name, since, since)
    return _store_windows(movements, source, start, until, time_is_up, lambda cursor, end: replace(cursor, until=end))


def _store_windows(
    movements: MovementStore,
    source: BalanceSource,
    cursor: BalanceCursor,
    target: Instant,
    time_is_up: TimeBudget,
    advance: Callable[[BalanceCursor, Instant], BalanceCursor],
) -> FollowReport:
    window, stored = _FIRST_WINDOW, 0
    while cursor.until < target and not time_is_up():
        end = min(cursor.until + window, target)
        try:
            added, whole = _store_window(movements, source, cursor.until, end, time_is_up)
        except (OutcomeUnknownError, ProviderBusyError) as error:
            logger.warning("provider's balance not readable", extra={"reason": str(error)})
            return FollowReport(cursor.since, cursor.until, target, stored, str(error))
        stored += added
        if whole:
            cursor = advance(cursor, end)
            window = min(window * 2, _MAX_WINDOW)
        else:
            window = max(window // 2 // SECOND * SECOND, _MIN_WINDOW)
    return FollowReport(cursor.since, cursor.until, target, stored)


def _store_window(
    movements: MovementStore, source: BalanceSource, since: Instant, end: Instant, time_is_up: TimeBudget
) -> tuple[int, bool]:
    """Store the movements from ``since`` to ``end``. Return how many were new, and whether all of them were read."""
    is_divisible = end - since > _MIN_WINDOW
    added = 0
    for read, movement in enumerate(source.movements(since, end)):
        if time_is_up() or (is_divisible and read == MAX_MOVEMENTS_IN_WINDOW):
            return added, False
        added += movements.add(movement)
    return added, True
