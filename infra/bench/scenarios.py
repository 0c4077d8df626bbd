"""What is simulated, and what is assumed of the cloud and of buyers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. A call's and a request's are assumed, the others measured."""

    call: float = 0.005
    request: float = 0.003
    call_cpu: float = 0.001
    sum_up_a_bucket: float = 0.0004


@dataclass(frozen=True, slots=True)
class Scenario:
    """A drop, its buyers, and what serves them. ``containers`` each serve one request at a time, as Lambda's do."""

    name: str
    partitions: int
    containers: int = 1_000
    units: int = 10_000
    buyers: int = 1_000_000
    seconds: int = 10
    tries: int = 20
    remembers_empty: bool = True
    """Whether a container leaves alone the buckets that it has seen empty since its summary was made, as ours does."""


SCENARIOS: Final = (
    Scenario("new table, account as AWS gives it", partitions=4, containers=1_000),
    Scenario("warm for 16,000 writes/s", partitions=16, containers=1_000),
    Scenario("warm for 64,000 writes/s, 5,000 containers", partitions=64, containers=5_000),
    Scenario("the same, if containers forgot empty buckets", partitions=64, containers=5_000, remembers_empty=False),
)

ASSUMPTIONS: Final = [
    " ".join(lines.split())
    for lines in """
    buyers come evenly over the seconds; each asks for one unit, up to 20 times, and goes when all is held

    nobody pays, gives back or lets lapse while this lasts; purchases, in another table, are not simulated

    a partition takes 1,000 write and 3,000 read units a second, nothing saved up beyond a second, no adaptive capacity
    (DynamoDB developer guide, "Best practices for designing and using partition keys effectively"); buckets fall on
    partitions at random; a new on-demand table takes 4,000 writes/s, four partitions' worth (same guide, "Warm
    throughput"); the summary stands on a partition of its own

    refused conditional writes are billed, throttled calls are not; on demand in us-east-1: 0.625 USD a million write
    units, 0.125 USD a million read units (AWS price list since November 2024)

    a container serves one request at a time, any idle one as likely; 1,000 at once are what AWS gives an account
    (Lambda quotas); beyond, the buyer is told 429 and comes back after 0.5 to 1.5 s; none starts cold

    a throttled call is repeated by the SDK's standard mode (3 attempts, up to 1 s and 2 s between them, 100 repeats in
    hand), the container waiting; then 503, and the buyer comes back after 1 to 2 s; after "busy", 0.25 to 1.25 s

    assumed: 5 ms a DynamoDB call, 3 ms a request besides; measured here: CPU of a call, and of summing up a bucket
    """.strip().split("\n\n")
]
