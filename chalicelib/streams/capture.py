"""The capture queue: process the payments of placed purchases, and events of the payment provider.

A provider's answer and a rival worker use up no delivery of a message. The worker sends the message again with a delay,
and the delivery succeeds. So only faults lead to the dead-letter queue.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from chalicelib.capture import AwaitingAuthentication, EventOutcome, EventPostponed, process_attempt, process_event
from chalicelib.errors import Unavailable
from chalicelib.instants import Instant
from chalicelib.payments import OutcomeUnknownError, ProviderBusyError
from chalicelib.purchase import CheckoutContext
from chalicelib.streams.batch import MapRecords, each_message
from chalicelib.streams.messaging import Queue
from chalicelib.telemetry import count, logger

MAX_RETRY_SECONDS: Final = 60
"""The longest delay after an unknown outcome or a conflict. A busy provider names its own delay."""
_FIRST_RETRY_SECONDS: Final = 5


def process_payments(
    event: Mapping[str, Any],
    context: CheckoutContext,
    capture_queue: Queue,
    now: Instant,
    map_records: MapRecords = map,
) -> dict[str, Any]:
    """Process each message's attempt or provider event. The queue delivers a failed message again, and no other.

    These messages are sent again with a delay, and do not fail:

    - The attempt waits for its buyer, or the event is postponed.
    - The provider's answer is unknown: 5 s, doubling to a minute. ``tries`` of the message counts these.
    - The provider is busy: the seconds that it names, without a try.
    - Another worker was first, or AWS is out of reach: 1 s, doubling to a minute. ``conflicts`` counts these.
    """

    def process_message(message: dict[str, Any], delivery: int) -> None:
        try:
            outcome = _process(context, message, now, tried=message.get("tries", 0) > 0 or delivery > 1)
        except ProviderBusyError as error:
            send_again(message, error.retry_in_seconds, error)
        except OutcomeUnknownError as error:
            tries = message.get("tries", 0)
            send_again(message | {"tries": tries + 1}, _FIRST_RETRY_SECONDS << min(tries, 5), error)
        except Unavailable as error:
            conflicts = message.get("conflicts", 0)
            delay = max(error.retry_after_seconds, 1 << min(conflicts, 6))
            send_again(message | {"conflicts": conflicts + 1}, delay, error)
        else:
            if isinstance(outcome, AwaitingAuthentication | EventPostponed):
                capture_queue.send([message], delay_seconds=outcome.retry_in_seconds)

    def send_again(message: dict[str, Any], delay_seconds: int, error: Exception) -> None:
        delay_seconds = min(delay_seconds, MAX_RETRY_SECONDS)
        capture_queue.send([message], delay_seconds=delay_seconds)
        count("captures_retried")
        logger.info("captures: sent again", extra={"reason": type(error).__name__, "delay_seconds": delay_seconds})

    return each_message(event, "captures", process_message, map_records)


def _process(context: CheckoutContext, message: dict[str, Any], now: Instant, *, tried: bool) -> EventOutcome:
    if "event_id" in message:
        return process_event(context, message["provider"], message["event_id"], now)
    return process_attempt(context, message["purchase_id"], message["attempt"], now, tried=tried)
