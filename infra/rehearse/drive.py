"""Drive the rehearsal: put the show, open drops by cues, let buyers buy, refund cancellations."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, TypeVar

from infra.rehearse.buyer import Buyer, PlacedOrder
from infra.rehearse.client import Client, StepFailed
from infra.rehearse.cues import CueSender
from infra.rehearse.measures import Measurements
from infra.rehearse.plan import CURRENCY, Plan, PlannedDrop, PlannedRefund
from infra.rehearse.progress import Progress
from infra.rehearse.stack_info import StackInfo

MAX_OPERATOR_CALLS: Final = 16
"""Concurrent operator calls."""
MAX_ACTIVE_BUYERS: Final = 8
"""Concurrent buyers who hold, check out or place. Two cores serve everything, including this client."""
MAX_BUYERS: Final = 24
"""Concurrent buyers, including those who wait for their payment."""
HOLD_SECONDS: Final = 120
"""Long enough for a cart of 100 lines, and short enough that holds of a killed process expire during the run."""

_Job = TypeVar("_Job")


@dataclass(slots=True)
class RehearsalRun:
    """The record of a run: orders as their buyers saw them, refunds by row, and failures."""

    show_id: str
    started_at: str
    ended_at: str = ""
    orders: list[PlacedOrder] = field(default_factory=list)
    refunded_rows: list[int] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    measures: Measurements = field(default_factory=Measurements)

    def to_record(self) -> dict[str, Any]:
        """Return the run as JSON stores it between driving and checking."""
        return {
            "show_id": self.show_id,
            "started_at": self.started_at,
            "ended_at": self.ended_at,
            "orders": [order.to_record() for order in self.orders],
            "refunded_rows": self.refunded_rows,
            "failures": self.failures,
            "seconds": self.seconds,
            "measures": self.measures.to_record(),
        }

    @classmethod
    def from_record(cls, record: dict[str, Any]) -> RehearsalRun:
        orders = [PlacedOrder(**order) for order in record["orders"]]
        return cls(**record | {"orders": orders, "measures": Measurements.from_record(record["measures"])})


async def drive(plan: Plan, stack_info: StackInfo, progress: Progress) -> RehearsalRun:
    """Drive a plan through the running stack. The failure of one buyer is recorded and does not stop the others."""
    run = RehearsalRun(plan.show_id, _now())
    async with Client(stack_info, run.measures, plan.show_id) as client:
        try:
            await _put_show_and_drops(plan, client, run, progress)
        except StepFailed as failure:
            run.failures.append(str(failure))
        else:
            await _sell(plan, stack_info, client, run, progress)
            await _refund(plan, client, run, progress)
    run.ended_at = _now()
    return run


async def _put_show_and_drops(plan: Plan, client: Client, run: RehearsalRun, progress: Progress) -> None:
    begun = time.monotonic()
    show = {"title": f"Rehearsal {plan.show_id}", "currency": CURRENCY, "starts_at": run.started_at, "market": "GB"}
    reply = await client.as_operator("put show", "PUT", f"/shows/{plan.show_id}", show)
    if reply.status not in {200, 201}:
        raise StepFailed(f"PUT /shows/{plan.show_id}: {reply}")

    async def put(drop: PlannedDrop) -> None:
        reply = await client.as_operator("put drop", "PUT", f"/drops/{drop.id}", _drop_request(plan, drop))
        if reply.status not in {200, 201}:
            raise StepFailed(f"PUT /drops/{drop.id}: {reply}")

    failures = await in_parallel(plan.drops.values(), put, MAX_OPERATOR_CALLS, progress, "drops")
    run.seconds["drops"] = round(time.monotonic() - begun, 1)
    if failures:
        raise StepFailed(failures[0])


def _drop_request(plan: Plan, drop: PlannedDrop) -> dict[str, Any]:
    return {
        "show_id": plan.show_id,
        "sku": drop.sku,
        "title": drop.title,
        "unit_price": {"amount": drop.unit_price, "currency": CURRENCY},
        "stock": drop.stock,
        "usual_quantity": drop.usual_quantity,
        "hold_seconds": HOLD_SECONDS,
    }


async def _sell(plan: Plan, stack_info: StackInfo, client: Client, run: RehearsalRun, progress: Progress) -> None:
    begun = time.monotonic()
    cues = CueSender(stack_info, client, plan)
    active_buyers = asyncio.Semaphore(MAX_ACTIVE_BUYERS)
    buyers = [Buyer(client, cues, plan.show_id, purchase, active_buyers) for purchase in plan.purchases]

    async def buy(buyer: Buyer) -> None:
        run.orders.append(await buyer.buy())

    run.failures += await in_parallel(buyers, buy, MAX_BUYERS, progress, "buyers")
    run.seconds["buyers"] = round(time.monotonic() - begun, 1)


async def _refund(plan: Plan, client: Client, run: RehearsalRun, progress: Progress) -> None:
    begun = time.monotonic()
    orders = {order.purchase: order for order in run.orders}
    by_purchase: dict[str, list[PlannedRefund]] = defaultdict(list)
    for refund in plan.refunds:
        by_purchase[refund.purchase].append(refund)

    async def refund_purchase(refunds: Sequence[PlannedRefund]) -> None:
        for refund in refunds:
            order = orders.get(refund.purchase)
            if order is None:
                raise StepFailed(f"row {refund.row} cannot be refunded: purchase {refund.purchase} was not ordered")
            line = {"line_item_id": order.lines[refund.drop_id], "quantity": refund.quantity}
            reply = await client.as_operator(
                "refund",
                "POST",
                f"/orders/{order.order_id}/refunds",
                {"lines": [line], "restock": False},
                f"{plan.show_id}/row-{refund.row}",
            )
            if reply.status not in {200, 201, 202}:
                raise StepFailed(f"row {refund.row}, refund of order {order.order_id}: {reply}")
            run.refunded_rows.append(refund.row)

    run.failures += await in_parallel(
        list(by_purchase.values()), refund_purchase, MAX_OPERATOR_CALLS, progress, "refunds"
    )
    run.seconds["refunds"] = round(time.monotonic() - begun, 1)


async def in_parallel(
    jobs: Iterable[_Job],
    work: Callable[[_Job], Awaitable[None]],
    max_concurrent: int,
    progress: Progress,
    stage: str,
) -> list[str]:
    """Work on all jobs in their order, ``max_concurrent`` at once. Returns the failures; they stop no other job."""
    waiting = list(jobs)
    progress.begin(stage, len(waiting))
    queue = iter(waiting)
    failures: list[str] = []

    async def worker() -> None:
        for job in queue:
            try:
                await work(job)
            except StepFailed as failure:
                failures.append(str(failure))
            progress.advance()

    async with asyncio.TaskGroup() as workers:
        for _ in range(min(max_concurrent, len(waiting))):
            workers.create_task(worker())
    return failures


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
