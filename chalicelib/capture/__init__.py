"""Capture: the worker that pays for placed orders, orders on hold, and the provider's events."""

from chalicelib.capture.attempt import AwaitingAuthentication
from chalicelib.capture.cancellation import cancel_order
from chalicelib.capture.commit_stock import HoldToCommit, commit_hold, with_committable_epoch
from chalicelib.capture.fail_attempt import LATE_PAYMENT
from chalicelib.capture.order_holds import put_on_hold, release_from_hold
from chalicelib.capture.process_payment import process_attempt
from chalicelib.capture.provider_events import EventOutcome, process_event, store_event
from chalicelib.capture.refund_events import EventPostponed

__all__ = [
    "LATE_PAYMENT",
    "AwaitingAuthentication",
    "EventOutcome",
    "EventPostponed",
    "HoldToCommit",
    "cancel_order",
    "commit_hold",
    "process_attempt",
    "process_event",
    "put_on_hold",
    "release_from_hold",
    "store_event",
    "with_committable_epoch",
]
