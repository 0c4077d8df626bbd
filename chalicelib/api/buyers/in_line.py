"""Tell the buyer of a placed order how long the line of orders before the payment provider is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from chalicelib import aws
from chalicelib.cache import SingleFlightCache
from chalicelib.instants import Instant
from chalicelib.purchase import Message
from chalicelib.telemetry import logger

_MIN_SECONDS: Final = 2
"""A shorter wait is not worth a message."""
_SECONDS_OF_ONE: Final = 3
"""How long one order takes without a line: its message and two answers. The planner's formula has it as well."""


@dataclass(frozen=True, slots=True)
class OrderLine:
    """The line of placed orders that wait for the payment provider. Its length is at most one second old."""

    read_length: Callable[[], int]
    """Reads how many messages wait or are in work. The queue counts approximately, events of the provider as well."""
    orders_a_second: int
    _lengths: SingleFlightCache[int] = field(default_factory=lambda: SingleFlightCache(1))

    def message(self, now: Instant) -> Message | None:
        """Return how many orders may come first, and for how long; None when the line is short or unknown."""
        try:
            length = self._lengths.get("length", now, self.read_length) or 0
        except aws.AWS_ERRORS as error:
            logger.warning("length of the line unknown", extra={"error": type(error).__name__})
            return None
        wait = -(-length // self.orders_a_second)
        if wait < _MIN_SECONDS:
            return None
        seconds = wait + _SECONDS_OF_ONE
        content = (
            f"The order is placed. About {length} orders are paid before it, which takes about {seconds} seconds."
            " It takes longer while the payment provider is slow or unavailable."
        )
        extra = {"orders_ahead_about": length, "seconds_about": seconds}
        return Message("in_line", content, type="info", extra=extra)
