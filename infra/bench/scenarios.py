"""The scenarios of the simulation, and its assumptions about the cloud and the buyers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Times:
    """Times in seconds. Those of a call and of a request are assumed; the others are measured."""

    call: float = 0.005
    request: float = 0.003
    call_cpu: float = 0.001
    sum_up_a_bucket: float = 0.0004


@dataclass(frozen=True, slots=True)
class Scenario:
    """A drop, its buyers, and its partitions and containers. A container serves one request at a time, as in Lambda."""

    name: str
    partitions: int
    containers: int = 1_000
    units: int = 10_000
    buyers: int = 1_000_000
    seconds: int = 10
    tries: int = 20
    remembers_empty: bool = True
    """Whether a container skips the buckets that it found empty since its summary was made, as the product does."""


SCENARIOS: Final = (
    Scenario("new table, account as AWS gives it", partitions=4, containers=1_000),
    Scenario("warm for 16,000 writes/s", partitions=16, containers=1_000),
    Scenario("warm for 64,000 writes/s, 5,000 containers", partitions=64, containers=5_000),
    Scenario("the same, if containers forgot empty buckets", partitions=64, containers=5_000, remembers_empty=False),
)

ASSUMPTIONS: Final = [
    " ".join(lines.split())
    for lines in """
    Buyers arrive evenly over the seconds. Each asks for one unit, up to 20 times, and leaves when all units are held.

    No buyer pays or releases units during the simulation, and no hold expires. Purchases, in another table, are not
    simulated.

    A partition takes 1,000 write and 3,000 read units a second. It saves at most one second's units and has no adaptive
    capacity (DynamoDB developer guide, "Best practices for designing and using partition keys effectively").
    Buckets are on random partitions. The summary has a partition of its own. A new on-demand table takes 4,000
    writes/s, as four partitions do (same guide, "Warm throughput").

    Refused conditional writes are billed, throttled calls are not. On demand in us-east-1, a million write units cost
    0.625 USD and a million read units 0.125 USD (AWS price list since November 2024).

    A container serves one request at a time, and each idle one is equally likely. An account has 1,000 concurrent
    containers (Lambda quotas). Beyond that the API answers 429, and the buyer retries after 0.5 to 1.5 s. No container
    starts cold.

    The SDK's standard mode repeats a throttled call while the container waits: 3 attempts, pauses of up to 1 s and
    2 s, a quota of 100 repeats. Then the API answers 503, and the buyer retries after 1 to 2 s. After "busy" the buyer
    retries after 0.25 to 1.25 s.

    Assumed are 5 ms for a DynamoDB call and 3 ms for the rest of a request. Measured on this machine are the CPU time
    of a call and the time to add a bucket to a summary.
    """.strip().split("\n\n")
]
