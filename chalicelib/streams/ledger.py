"""The ledger queue: post ledger entries to S3, and publish order events. Neither has personal data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.finance import EntryType, LedgerEntry, LedgerStore, entries_of, movement_entry
from chalicelib.ids import log_reference, order_id
from chalicelib.instants import Instant, rfc3339
from chalicelib.payments import movement_from_record
from chalicelib.purchase import Purchase, PurchaseStore
from chalicelib.streams.batch import log_failure, partial_batch_response
from chalicelib.streams.messaging import EventBus
from chalicelib.telemetry import logger

_SOURCE = "/livedrop/orders"
_TYPE = "dev.livedrop.order."
_NAMES_OF_REFUNDS = ("refunds", "failed_refunds", "allocated_refunds")


def post_ledger(
    event: Mapping[str, Any], purchases: PurchaseStore, ledger: LedgerStore, bus: EventBus, time_zone: str
) -> dict[str, Any]:
    """Post the entries and publish the events of each message's changes, from the present order.

    Costs one consistent read for each message of an order, one object for each batch and day, and one PutEvents for
    each ten events. A bad message fails alone. When S3 or the bus fails, SQS redelivers all; entries and events keep
    their ids.
    """
    entries: list[LedgerEntry] = []
    events: list[dict[str, Any]] = []
    failed = []
    for message in event["Records"]:
        try:
            message_entries, message_events = _read_changes(json.loads(message["body"]), purchases, time_zone)
        except Exception as error:
            failed.append(log_failure(message, "ledger", error))
        else:
            entries += message_entries
            events += message_events
    ledger.post_entries(entries)
    bus.publish(events)
    logger.info("ledger posted", extra={"entries": len(entries), "events": len(events), "failed": len(failed)})
    return partial_batch_response(failed)


def _read_changes(
    message: dict[str, Any], purchases: PurchaseStore, time_zone: str
) -> tuple[list[LedgerEntry], list[dict[str, Any]]]:
    """Return the entries and events of one message. A movement of the provider's balance has an entry and no event.

    Raises: ``LookupError`` for an unknown order, version or refund.
    """
    if "movement" in message:
        return [movement_entry(movement_from_record(message["movement"]), time_zone)], []
    purchase = purchases.read(message["purchase_id"])
    if purchase is None or purchase.version < message["version"]:
        raise LookupError(f"no version {message['version']} of purchase {log_reference(message['purchase_id'])}")
    named = {refund for kind in _NAMES_OF_REFUNDS for refund in message.get(kind, ())}
    if not named <= {refund.id for refund in purchase.refunds}:
        raise LookupError(f"purchase {log_reference(purchase.id)} lacks a refund of {sorted(named)}")
    entries = list(_changed_entries(purchase, message, time_zone))
    return entries, list(_order_events(purchase, message))


def _changed_entries(purchase: Purchase, message: dict[str, Any], time_zone: str) -> Iterator[LedgerEntry]:
    for entry in entries_of(purchase, time_zone):
        match entry.entry_type:
            case EntryType.REFUND | EntryType.SHIPPING_REFUND:
                is_changed = entry.refund_id in {*message["refunds"], *message.get("allocated_refunds", ())}
            case EntryType.REFUND_FAILED | EntryType.SHIPPING_REFUND_FAILED:
                is_changed = entry.refund_id in message.get("failed_refunds", ())
            case EntryType.CHARGEBACK | EntryType.CHARGEBACK_REVERSED:
                is_changed = entry.dispute_id in message.get("disputes", ())
            case _:
                is_changed = message["paid"]
        if is_changed:
            yield entry


def _order_events(purchase: Purchase, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    if message["paid"] and purchase.paid_at is not None:
        yield _cloud_event(purchase, "paid", "paid", purchase.paid_at, _paid_data(purchase))
    for refund in purchase.refunds:
        if refund.id in message["refunds"] and refund.completed_at is not None:
            parts = [{"line_id": part.line_id, "quantity": part.quantity} for part in refund.lines]
            data = {"refund_id": refund.id, "amount": refund.amount, "restocked": refund.restock, "lines": parts}
            yield _cloud_event(purchase, "refunded", refund.id, refund.completed_at, data)
        if refund.id in message.get("failed_refunds", ()) and refund.failed_at is not None:
            failure = {"refund_id": refund.id, "amount": refund.amount, "reason": refund.failure_code}
            yield _cloud_event(purchase, "refund_failed", f"{refund.id}-failed", refund.failed_at, failure)
    if message["cancelled"] and purchase.cancelled_at is not None:
        yield _cloud_event(purchase, "cancelled", "cancelled", purchase.cancelled_at, {})


def _paid_data(purchase: Purchase) -> dict[str, Any]:
    lines = [
        {
            "line_id": line.id,
            "drop_id": line.drop_id,
            "sku": line.sku,
            "quantity": line.quantity,
            "unit_price": line.unit_price,
        }
        for line in purchase.lines
    ]
    return {"total": purchase.totals.total, "units": sum(line.quantity for line in purchase.lines), "lines": lines}


def _cloud_event(purchase: Purchase, kind: str, suffix: str, at: Instant, data: dict[str, Any]) -> dict[str, Any]:
    """Return a CloudEvents 1.0 event. Its id names the change and the purchase, so that receivers know a repeat."""
    order_data = {
        "order_id": order_id(purchase.id),
        "show_id": purchase.show_id,
        "channel": purchase.channel,
        "currency": purchase.currency,
    }
    return {
        "specversion": "1.0",
        "id": f"{purchase.id}-{suffix}",
        "source": _SOURCE,
        "type": _TYPE + kind,
        "subject": order_id(purchase.id),
        "time": rfc3339(at),
        "datacontenttype": "application/json",
        "data": order_data | data,
    }
