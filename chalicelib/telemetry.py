"""Structured logs and metrics, one of each a process. Personal data and credentials never go in."""

from __future__ import annotations

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

logger = Logger(service="livedrop")
metrics = Metrics(namespace="livedrop", service="livedrop")


def count(name: str, value: int = 1) -> None:
    """Count something an operator watches: ``takes``, ``cues_refused``, ``captures``."""
    metrics.add_metric(name=name, unit=MetricUnit.Count, value=value)
