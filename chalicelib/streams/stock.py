"""The stock stream: which buckets changed; the live summaries of their drops are made anew."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any

from chalicelib.discounts import budget_pool
from chalicelib.instants import SECOND, Instant
from chalicelib.shows import Shows
from chalicelib.stock import Stock
from chalicelib.telemetry import logger, measure


def refresh_summaries(event: Mapping[str, Any], shows: Shows, stock: Stock, clock: Callable[[], Instant]) -> None:
    """Refresh the summary of each drop, and budget, that a batch touches, once. An unknown drop, or a draft, is passed.

    The layout is read strongly (1 RCU a drop): a summary must not miss buckets that were just added. All is read in
    batches of a hundred; each summary that changed is one write. A fault raises, so that the whole batch comes again; a
    summary made twice is the same. ``summary_age`` is how long the batch's first change had to wait to be shown (ms).
    """
    changed_buckets: defaultdict[str, dict[int, Instant]] = defaultdict(dict)
    now = oldest = clock()
    for record in event["Records"]:
        drop_id, _, number = record["dynamodb"]["Keys"]["pk"]["S"].rpartition("#")
        changed_at = record["dynamodb"].get("ApproximateCreationDateTime")
        changed_buckets[drop_id][int(number)] = now if changed_at is None else int(changed_at * SECOND)
        oldest = min(oldest, changed_buckets[drop_id][int(number)])
    budget_pools = [pool for name in changed_buckets if (pool := budget_pool(name)) is not None]
    drops = shows.drops(list(changed_buckets.keys() - {layout.pool_id for layout in budget_pools}))
    pools = [*budget_pools, *(drop.pool for drop in drops)]
    stock.refresh_all({layout: changed_buckets[layout.pool_id] for layout in pools}, now)
    measure("summary_age", clock() - oldest)
    logger.info("summaries", extra={"records": len(event["Records"]), "drops": len(drops)})
