"""Handlers of the streams, queues and schedules."""

from chalicelib.streams.jobs import capture_enqueuer
from chalicelib.streams.messaging import EventBus, Queue
from chalicelib.streams.relay import relay_purchases

__all__ = [
    "EventBus",
    "Queue",
    "capture_enqueuer",
    "relay_purchases",
]
