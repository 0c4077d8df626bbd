"""Structured logs and metrics, one of each a process. Personal data and credentials never go in."""

from __future__ import annotations

from threading import Lock

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from chalicelib.errors import InvariantBroken

logger = Logger(service="livedrop")
metrics = Metrics(namespace="livedrop", service="livedrop")
_lock = Lock()  # the local HTTP front serves several requests in one process


def count(name: str, value: int = 1) -> None:
    """Count something an operator watches: ``takes``, ``cues_refused``, ``captures``."""
    with _lock:
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def measure(name: str, milliseconds: int) -> None:
    """Note how long something took or how old it is: ``summary_age``."""
    with _lock:
        metrics.add_metric(name=name, unit=MetricUnit.Milliseconds, value=milliseconds)


def report_broken_invariant(error: BaseException) -> None:
    """Log and count an ``InvariantBroken``; pass over every other error.

    Each entry point calls it with the error that ends a request, a message or a job.
    """
    if isinstance(error, InvariantBroken):
        logger.error("invariant broken", exc_info=error)
        count("invariants_broken")


def flush() -> None:
    """Write out what was counted. Every entry point ends with it."""
    with _lock:
        if metrics.metric_set:
            metrics.flush_metrics()
