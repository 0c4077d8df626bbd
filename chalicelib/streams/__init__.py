"""Handlers of streams, queues and schedules. Each is a verb and what it handles: ``apply_cues``, ``post_ledger``."""

from chalicelib.streams.capture import process_payments
from chalicelib.streams.cues import apply_cues
from chalicelib.streams.jobs import (
    audit_drop,
    capture_enqueuer,
    close_days,
    reconcile_payments,
    recover_orders,
    run_exports,
)
from chalicelib.streams.ledger import post_ledger
from chalicelib.streams.messaging import EventBus, Queue
from chalicelib.streams.relay import relay_purchases
from chalicelib.streams.stock import refresh_summaries

__all__ = [
    "EventBus",
    "Queue",
    "apply_cues",
    "audit_drop",
    "capture_enqueuer",
    "close_days",
    "post_ledger",
    "process_payments",
    "reconcile_payments",
    "recover_orders",
    "refresh_summaries",
    "relay_purchases",
    "run_exports",
]
