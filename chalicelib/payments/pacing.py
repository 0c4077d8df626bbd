"""Pace the calls to a provider: each takes a turn of buckets that all workers share, one for each endpoint.

A bucket is the instant of its next free turn (the generic cell rate algorithm, without bursts). A call moves it on by
the time between two turns and waits for its own. So calls of all workers come one after another, below the provider's
limits, in the order in which they asked.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from chalicelib.instants import SECOND, Clock, Instant
from chalicelib.payments.gateway import ProviderBusyError
from chalicelib.payments.store import TurnsGuessed, TurnStore, TurnTaken
from chalicelib.telemetry import count, measure

HORIZON: Final[Instant] = 10 * SECOND
"""The longest time that a call waits for its turn. A longer line refuses the call, and it comes back later."""
_ACCOUNT: Final = "account"
_MAX_GUESSES: Final = 8


@dataclass(frozen=True, slots=True)
class Pace:
    """Calls a second at most: to one endpoint, and to all of them together."""

    to_endpoint: int
    to_account: int


class Pacer(Protocol):
    """Lets each call wait for its turn."""

    def await_turn(self, endpoint: str) -> None:
        """Return when it is the caller's turn to call this endpoint.

        Raises:
            ProviderBusyError: the line is too long.
        """
        ...


class Unpaced:
    """A pacer that lets every call through."""

    def await_turn(self, endpoint: str) -> None:
        """Return at once."""


class SharedPacer:
    """A pacer over buckets that all processes share. One write a call (1 WCU), two when the line begins or ends.

    Clocks shift turns against each other by what they differ, so the paces have to lie below the provider's limits. At
    four fifths of a limit, clocks have to agree within a quarter of a second. A process whose clock is further ahead
    than ``HORIZON`` takes the only turns: all others are refused while it calls.
    """

    def __init__(self, turns: TurnStore, pace: Pace, clock: Clock, sleep: Callable[[float], object]) -> None:
        self._turns, self._clock, self._sleep = turns, clock, sleep
        self._endpoint_interval = -(-SECOND // pace.to_endpoint)
        self._account_interval = -(-SECOND // pace.to_account)
        self._seen: dict[str, Instant] = {}
        self._calls_until: Instant | None = None

    def end_calls(self, until: Instant) -> None:
        """Begin no call of this process after an instant: its function would be ended during the call."""
        self._calls_until = until

    def await_turn(self, endpoint: str) -> None:
        """Take the next turn of the endpoint and of the account, and sleep until it comes.

        Raises:
            ProviderBusyError: the turn would come after ``HORIZON``, or after the process's last call. None is taken.
        """
        now = self._clock()
        turn = self._take_turn(endpoint, now)
        measure("provider_wait", max(turn - now, 0))
        if turn > now:
            self._sleep((turn - now) / SECOND)

    def _take_turn(self, endpoint: str, now: Instant) -> Instant:
        latest = now + HORIZON if self._calls_until is None else min(now + HORIZON, self._calls_until)
        intervals = {endpoint: self._endpoint_interval, _ACCOUNT: self._account_interval}
        for _ in range(_MAX_GUESSES):
            in_line = {name for name in intervals if self._seen.get(name, 0) > now}
            taken = self._turns.take(intervals, in_line, now=now, latest=latest)
            self._seen |= taken.next_turns
            match taken:
                case TurnTaken(next_turns):
                    return max(next_turns[name] - interval for name, interval in intervals.items())
                case TurnsGuessed(next_turns):
                    line_ends = max(next_turns.get(name, 0) for name in intervals)
                    if max(line_ends, now) > latest:
                        count("provider_turns_refused")
                        raise ProviderBusyError("no turn is free", retry_in_seconds=_seconds(line_ends - latest))
        raise ProviderBusyError("other workers take every turn", retry_in_seconds=1)


def _seconds(milliseconds: Instant) -> int:
    return max(1, -(-milliseconds // SECOND))
