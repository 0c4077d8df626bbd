"""The cue stream: each record is a cue as a CloudEvent.

A record that is no cue is parked with its reason, and the others are applied. A transient fault raises, so that Lambda
redelivers the whole batch; applied cues are then repeats. Records are parked last, so that a redelivery parks none of
them twice.
"""

from __future__ import annotations

import json
from base64 import b64decode
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from chalicelib.errors import BadInput
from chalicelib.instants import Instant
from chalicelib.shows import Cue, Shows, parse_cue
from chalicelib.streams.messaging import Queue
from chalicelib.telemetry import count, logger

_MAX_PARKED_LENGTH: Final = 100_000
"""Characters of a record that its parked message has. A message has at most a quarter of a megabyte."""

_MAX_REASON_LENGTH: Final = 500
_MAX_LOGGED_REASONS: Final = 10  # in the log; the queue has all of them


def apply_cues(event: Mapping[str, Any], shows: Shows, parked_queue: Queue, now: Instant) -> None:
    """Apply the cues of a batch in their order.

    Raises: ``Unavailable`` when Lambda has to redeliver the batch.
    """
    parked_messages: list[dict[str, Any]] = []
    outcomes: Counter[str] = Counter()
    for record in event["Records"]:
        try:
            cue = _read_cue(record)
        except BadInput as fault:
            parked_messages.append(_parked_message(record, fault))
            continue
        outcomes[type(shows.apply_cue(cue, now)).__name__] += 1
    if parked_messages:
        parked_queue.send(parked_messages)
        count("cues_unreadable", len(parked_messages))
        logger.warning(
            "cues parked", extra={"reasons": [message["reason"] for message in parked_messages[:_MAX_LOGGED_REASONS]]}
        )
    logger.info("cues", extra={"records": len(event["Records"]), "outcomes": dict(outcomes)})


def _read_cue(record: Mapping[str, Any]) -> Cue:
    try:
        text = b64decode(record["kinesis"]["data"], validate=True).decode()
    except ValueError as error:
        raise BadInput("`$` must be base64 of UTF-8 text.", field="$") from error
    try:
        event = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadInput("`$` must be JSON.", field="$") from error
    return parse_cue(event)


def _parked_message(record: Mapping[str, Any], error: BadInput) -> dict[str, Any]:
    kinesis = record["kinesis"]
    return {
        "reason": error.detail[:_MAX_REASON_LENGTH],
        "field": error.field and error.field[:_MAX_REASON_LENGTH],
        "event_id": record.get("eventID"),
        "partition_key": kinesis.get("partitionKey"),
        "sequence_number": kinesis.get("sequenceNumber"),
        "data": kinesis["data"][:_MAX_PARKED_LENGTH],
        "cut": len(kinesis["data"]) > _MAX_PARKED_LENGTH,
    }
