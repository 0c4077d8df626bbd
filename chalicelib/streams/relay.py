"""The commerce stream: relay the changes of purchases to the queues whose workers act on them.

The handler raises when any part failed, so that Lambda redelivers the whole batch. All work behind the queues is
repeatable. The emulator ignores partial failures of stream batches, and on AWS a whole batch is simpler too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from chalicelib.instants import Instant
from chalicelib.payments import MOVEMENT_PREFIX, movement_from_item
from chalicelib.purchase import Purchase, PurchaseState, posted_refunds, purchase_from_item
from chalicelib.streams.messaging import Queue
from chalicelib.telemetry import logger

_SORT_KEY = "PURCHASE"


def relay_purchases(event: Mapping[str, Any], capture_queue: Queue, ledger_queue: Queue) -> None:
    """Send the messages of a batch of stream records, one call to each queue for each ten messages.

    - Capture queue, ``{purchase_id, attempt}``: a purchase was placed, or placed again.
    - Capture queue, ``{provider, event_id}``: an event of the payment provider was stored.
    - Ledger queue, ``{purchase_id, version, paid, refunds, failed_refunds, allocated_refunds, disputes, cancelled}``:
      the ledger changes of this version.
    - Ledger queue, ``{movement}``: a movement of the provider's balance was stored. It never changes, so the message
      has all of it.
    """
    capture_messages: list[dict[str, Any]] = []
    ledger_messages: list[dict[str, Any]] = []
    for record in event["Records"]:
        new_image = record["dynamodb"].get("NewImage", {})
        if new_image.get("sk") == {"S": "EVENT"} and "OldImage" not in record["dynamodb"]:
            capture_messages.append({"provider": new_image["provider"]["S"], "event_id": new_image["id"]["S"]})
        if new_image.get("sk", {"S": ""})["S"].startswith(MOVEMENT_PREFIX) and "OldImage" not in record["dynamodb"]:
            ledger_messages.append({"movement": asdict(movement_from_item(new_image))})
        before, after = _purchase_before_and_after(record)
        if after is None:
            continue
        if after.state is PurchaseState.PLACED and (
            before is None or _state_and_attempt(before) != _state_and_attempt(after)
        ):
            capture_messages.append({"purchase_id": after.id, "attempt": after.attempt})
        changes = ledger_changes(before, after)
        if changes is not None:
            ledger_messages.append(changes)
    capture_queue.send(capture_messages)
    ledger_queue.send(ledger_messages)
    counts = {
        "records": len(event["Records"]),
        "captures": len(capture_messages),
        "ledger_messages": len(ledger_messages),
    }
    logger.info("purchases relayed", extra=counts)


def _purchase_before_and_after(record: Mapping[str, Any]) -> tuple[Purchase | None, Purchase | None]:
    """Return a purchase before and after; None where it did not exist. Both are None for another kind of item."""
    change = record["dynamodb"]
    if change["Keys"]["sk"]["S"] != _SORT_KEY:
        return None, None
    before, after = change.get("OldImage"), change.get("NewImage")
    return (purchase_from_item(before) if before else None, purchase_from_item(after) if after else None)


def _state_and_attempt(purchase: Purchase) -> tuple[PurchaseState, int]:
    return purchase.state, purchase.attempt


def ledger_changes(before: Purchase | None, after: Purchase) -> dict[str, Any] | None:
    """Return the ledger changes of a version of a purchase; None when it has none."""
    if after.paid_at is None:
        return None
    paid = before is None or before.paid_at is None
    cancelled = after.cancelled_at is not None and (before is None or before.cancelled_at is None)
    refunds = _ids_of_refunds(after, "completed_at") - _ids_of_refunds(before, "completed_at")
    failed_refunds = _ids_of_refunds(after, "failed_at") - _ids_of_refunds(before, "failed_at")
    disputes = {dispute_id for dispute_id, *_ in _losses_of(after) - _losses_of(before)}
    allocated = {refund_id for refund_id, _ in _allocated_of(after) - _allocated_of(before)}
    if not (paid or cancelled or refunds or failed_refunds or allocated or disputes):
        return None
    return {
        "purchase_id": after.id,
        "version": after.version,
        "paid": paid,
        "refunds": sorted(refunds),
        "failed_refunds": sorted(failed_refunds),
        "allocated_refunds": sorted(allocated),
        "disputes": sorted(disputes),
        "cancelled": cancelled,
    }


def _ids_of_refunds(purchase: Purchase | None, instant: str) -> set[str]:
    """Return the ids of posted refunds that have this instant."""
    refunds = posted_refunds(purchase) if purchase is not None else ()
    return {refund.id for refund in refunds if getattr(refund, instant) is not None}


def _allocated_of(purchase: Purchase | None) -> set[tuple[str, int]]:
    """Return posted refunds whose excess was allocated, and how often."""
    refunds = posted_refunds(purchase) if purchase is not None else ()
    return {(refund.id, len(refund.allocated)) for refund in refunds if refund.allocated}


def _losses_of(purchase: Purchase | None) -> set[tuple[str, Instant, Instant | None, int]]:
    """Return dispute, loss, restoration and allocations of each loss."""
    disputes = purchase.disputes if purchase is not None else ()
    return {
        (dispute.id, loss.lost_at, loss.restored_at, len(loss.allocated))
        for dispute in disputes
        for loss in dispute.losses
    }
