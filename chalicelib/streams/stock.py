"""The stock stream: refresh the live summaries of drops whose buckets changed."""

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
    """Refresh the summary of each drop and budget of a batch, once. Unknown drops and drafts are skipped.

    A drop is read strongly (1 RCU), because a summary must not miss buckets that were just added. Reads are batches of
    a hundred; each changed summary costs one write. A fault raises, so that Lambda redelivers the whole batch; a repeat
    writes the same summary. The metric ``summary_age`` is the wait of the batch's first change in ms.
    """
    changed_buckets: defaultdict[str, dict[int, Instant]] = defaultdict(dict)
    now = oldest = clock()
    for record in event["Records"]:
        drop_id, _, number = record["dynamodb"]["Keys"]["pk"]["S"].rpartition("#")
        changed_at = record["dynamodb"].get("ApproximateCreationDateTime")
        changed_buckets[drop_id][int(number)] = now if changed_at is None else int(changed_at * SECOND)
        oldest = min(oldest, changed_buckets[drop_id][int(number)])
    budget_pools = [pool for name in changed_buckets if (pool := budget_pool(name)) is not None]
    drops = shows.drops(list(changed_buckets.keys() - {pool.pool_id for pool in budget_pools}))
    pools = [*budget_pools, *(drop.pool for drop in drops)]
    stock.refresh_all({pool: changed_buckets[pool.pool_id] for pool in pools}, now)
    measure("summary_age", clock() - oldest)
    logger.info("summaries", extra={"records": len(event["Records"]), "drops": len(drops)})
