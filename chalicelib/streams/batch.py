"""SQS batches: the handler tries every message, and SQS redelivers exactly those that failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from chalicelib.telemetry import count, logger, report_broken_invariant

Record = Mapping[str, Any]

MapRecords = Callable[[Callable[[Record], str | None], Sequence[Record]], Iterable[str | None]]
"""Applies a function to each record: one after another (``map``), or side by side (``map`` of a thread pool)."""


def each_message(
    event: Mapping[str, Any],
    name: str,
    handle_message: Callable[[dict[str, Any], int], None],
    map_records: MapRecords = map,
) -> dict[str, Any]:
    """Handle each message of a batch by itself, and return those that failed (``ReportBatchItemFailures``).

    ``handle_message`` gets the message and the number of this delivery, from 1. A bad message stops no other. Its queue
    redelivers it, and at last moves it to the dead-letter queue.
    """

    def handle_record(record: Record) -> str | None:
        try:
            handle_message(json.loads(record["body"]), _delivery_of(record))
        except Exception as error:
            return log_failure(record, name, error)
        return None

    failed = [message_id for message_id in map_records(handle_record, event["Records"]) if message_id is not None]
    logger.info(name, extra={"messages": len(event["Records"]), "failed": len(failed)})
    return partial_batch_response(failed)


def _delivery_of(record: Record) -> int:
    return int(record.get("attributes", {}).get("ApproximateReceiveCount", 1))


def log_failure(record: Record, name: str, error: Exception) -> str:
    """Log and count a message that failed with ``error``; return its id."""
    logger.error(f"{name}: message failed", exc_info=error, extra={"message_id": record["messageId"]})
    report_broken_invariant(error)
    count(f"{name}_failed")
    return str(record["messageId"])


def partial_batch_response(message_ids: Iterable[str]) -> dict[str, Any]:
    """Return the answer after which SQS redelivers these messages."""
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in message_ids]}
