"""The capture queue: pay for placed purchases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.checkout import Checkout
from chalicelib.instants import Instant
from chalicelib.streams.batch import each_message


def capture(event: Mapping[str, Any], checkout: Checkout, now: Instant) -> dict[str, Any]:
    """Bring each message's attempt to its end: paid, or open again. Messages that failed come again, alone."""

    def pay(message: dict[str, Any]) -> None:
        checkout.capture(message["purchase_id"], message["attempt"], now)

    return each_message(event, "captures", pay)
