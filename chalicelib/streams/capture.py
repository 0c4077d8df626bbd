"""The capture queue: pay for placed purchases."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.capture import process_attempt, process_event
from chalicelib.instants import Instant
from chalicelib.purchase import CheckoutContext
from chalicelib.streams.batch import each_message
from chalicelib.streams.messaging import Queue


def process_payments(
    event: Mapping[str, Any], context: CheckoutContext, capture_queue: Queue, now: Instant
) -> dict[str, Any]:
    """Bring each message's attempt to its end: paid, or open again. Messages that failed come again, alone.

    Of an attempt that waits for its buyer, a message comes again later. A provider's events are looked at here, too.
    """

    def process_message(message: dict[str, Any]) -> None:
        if "event_id" in message:
            wait = process_event(context, message["provider"], message["event_id"], now)
        else:
            wait = process_attempt(context, message["purchase_id"], message["attempt"], now)
        if wait is not None:
            capture_queue.send([message], delay_seconds=wait)

    return each_message(event, "captures", process_message)
