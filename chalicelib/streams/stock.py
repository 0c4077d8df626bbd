"""The stock stream: which buckets changed; the live summaries of their drops are made anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib.instants import Instant
from chalicelib.shows import Shows
from chalicelib.stock import Stock
from chalicelib.telemetry import logger


def handle(event: Mapping[str, Any], shows: Shows, stock: Stock, now: Instant) -> None:
    """Refresh the summary of each drop that a batch touches, once. An unknown drop, or a draft, is passed over.

    The layout is read strongly (1 RCU a drop): a summary must not miss buckets that were just added. All is read in
    batches of a hundred; each summary that changed is one write. A fault raises, so that the whole batch comes again; a
    summary made twice is the same.
    """
    touched = list(dict.fromkeys(_drop_id(record) for record in event["Records"]))
    drops = shows.drops(touched)
    stock.refresh_all([drop.layout for drop in drops], now)
    logger.info("summaries", extra={"records": len(event["Records"]), "drops": len(drops)})


def _drop_id(record: Mapping[str, Any]) -> str:
    """The drop of a bucket's key ``{drop}#{n}``."""
    pk: str = record["dynamodb"]["Keys"]["pk"]["S"]
    return pk.rpartition("#")[0]
