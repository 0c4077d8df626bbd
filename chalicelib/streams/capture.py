"""The capture queue: process the payments of placed purchases, and events of the payment provider."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.capture import AwaitingAuthentication, EventOutcome, EventPostponed, process_attempt, process_event
from chalicelib.instants import Instant
from chalicelib.purchase import CheckoutContext
from chalicelib.streams.batch import each_message
from chalicelib.streams.messaging import Queue


def process_payments(
    event: Mapping[str, Any], context: CheckoutContext, capture_queue: Queue, now: Instant
) -> dict[str, Any]:
    """Process each message's attempt or provider event. The queue delivers a failed message again, and no other.

    A message whose attempt waits for its buyer, or whose event is postponed, is sent again with a delay.
    """

    def process_message(message: dict[str, Any]) -> None:
        if "event_id" in message:
            outcome: EventOutcome = process_event(context, message["provider"], message["event_id"], now)
        else:
            outcome = process_attempt(context, message["purchase_id"], message["attempt"], now)
        if isinstance(outcome, AwaitingAuthentication | EventPostponed):
            capture_queue.send([message], delay_seconds=outcome.retry_in_seconds)

    return each_message(event, "captures", process_message)
