"""SQS batches: the handler tries every message, and SQS redelivers exactly those that failed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from chalicelib.telemetry import count, logger, report_broken_invariant

Record = Mapping[str, Any]


def each_message(
    event: Mapping[str, Any], name: str, handle_message: Callable[[dict[str, Any]], None]
) -> dict[str, Any]:
    """Handle each message of a batch by itself, and return those that failed (``ReportBatchItemFailures``).

    A bad message stops no other. Its queue redelivers it, and at last moves it to the dead-letter queue.
    """
    failed = []
    for record in event["Records"]:
        try:
            handle_message(json.loads(record["body"]))
        except Exception as error:
            failed.append(log_failure(record, name, error))
    logger.info(name, extra={"messages": len(event["Records"]), "failed": len(failed)})
    return partial_batch_response(failed)


def log_failure(record: Record, name: str, error: Exception) -> str:
    """Log and count a message that failed with ``error``; return its id."""
    logger.error(f"{name}: message failed", exc_info=error, extra={"message_id": record["messageId"]})
    report_broken_invariant(error)
    count(f"{name}_failed")
    return str(record["messageId"])


def partial_batch_response(message_ids: Iterable[str]) -> dict[str, Any]:
    """Return the answer after which SQS redelivers these messages."""
    return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in message_ids]}
