"""Capture: the worker that brings a placed order to paid, and orders on hold."""

from chalicelib.capture.cancellation import cancel_order
from chalicelib.capture.order_holds import put_on_hold, release_from_hold
from chalicelib.capture.process_payment import process_attempt
from chalicelib.capture.provider_events import process_event, store_event

__all__ = [
    "cancel_order",
    "process_attempt",
    "process_event",
    "put_on_hold",
    "release_from_hold",
    "store_event",
]
