"""The logger and the metrics of a process. Neither ever gets personal data or credentials."""

from __future__ import annotations

from threading import Lock

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

from chalicelib.errors import InvariantBroken

logger = Logger(service="livedrop")
metrics = Metrics(namespace="livedrop", service="livedrop")
_lock = Lock()  # the local HTTP server handles several requests in one process


def count(name: str, value: int = 1) -> None:
    """Add to a metric that counts, such as ``takes`` or ``cues_refused``."""
    with _lock:
        metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)


def measure(name: str, milliseconds: int) -> None:
    """Record a duration or an age, such as ``summary_age``."""
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
    """Write the metrics out. Every entry point ends with this call."""
    with _lock:
        if metrics.metric_set:
            metrics.flush_metrics()
