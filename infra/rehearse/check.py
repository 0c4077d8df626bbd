"""After the rehearsal, check from outside that every unit, order and penny is where it should be."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.rehearse.buyer import PlacedOrder
from infra.rehearse.client import Client, Reply, StepFailed
from infra.rehearse.drive import MAX_OPERATOR_CALLS, RehearsalRun, in_parallel
from infra.rehearse.exported import Exported, export_until
from infra.rehearse.plan import Plan, PlannedDrop, PlannedPurchase
from infra.rehearse.progress import Progress
from infra.rehearse.stack_info import StackInfo


@dataclass(slots=True)
class Findings:
    """The result of the check. Each difference is a sentence that names its drop or order; none means success."""

    units_sold: int = 0
    """Units that the drops' audits count as sold. A refund without restock leaves them sold."""
    oversold: int = 0
    stranded: int = 0
    """Units that a buyer wanted and that were not sold: held or available at the end."""
    orders: int = 0
    goods_amount_ordered: int = 0
    goods_amount_exported: int = 0
    refunds: int = 0
    refund_amount_exported: int = 0
    exports: list[str] = field(default_factory=list)
    differences: list[str] = field(default_factory=list)


async def check(
    plan: Plan, run: RehearsalRun, stack_info: StackInfo, progress: Progress, *, ledger_timeout_seconds: float
) -> Findings:
    """Compare the stack's answers with the plan. Only reads, except for the interim export that it requests."""
    findings = Findings(differences=list(run.failures), refunds=len(run.refunded_rows))
    async with Client(stack_info, run.measures, f"{plan.show_id}/check") as client:
        await _check_drops(plan, client, findings, progress)
        await _check_orders(plan, run, client, findings, progress)
        await _check_export(plan, run, stack_info, client, findings, ledger_timeout_seconds)
    return findings


async def _check_drops(plan: Plan, client: Client, findings: Findings, progress: Progress) -> None:
    async def audit(drop: PlannedDrop) -> None:
        # With purchases, each of thousands of audits would read every purchase. Orders are compared below.
        reply = await client.as_operator("audit", "GET", f"/drops/{drop.id}/audit?purchases=false")
        if reply.status != 200:
            raise StepFailed(f"{drop}: no audit: {reply}")
        check_audit(drop, reply.body, findings)

    findings.differences += await in_parallel(plan.drops.values(), audit, MAX_OPERATOR_CALLS, progress, "audits")


def check_audit(drop: PlannedDrop, audit: Mapping[str, Any], findings: Findings) -> None:
    """Check a drop's audit: all units must be sold, and the counters must add up."""
    size, sold, held, available = (int(audit[name]) for name in ("size", "sold", "held", "available"))
    findings.units_sold += sold
    findings.oversold += max(0, sold - drop.stock, sold - size)
    findings.stranded += max(0, drop.stock - sold)
    findings.differences += [f"{drop}: {mismatch}" for mismatch in audit["mismatches"]]
    if size != drop.stock:
        findings.differences.append(f"{drop}: offers {size} units, not the {drop.stock} that were put")
    if size != sold + held + available:
        findings.differences.append(f"{drop}: {sold} sold + {held} held + {available} available are not {size}")
    if sold != drop.stock:
        findings.differences.append(f"{drop}: {sold} units sold of {drop.stock} wanted, {held} still held")


async def _check_orders(plan: Plan, run: RehearsalRun, client: Client, findings: Findings, progress: Progress) -> None:
    planned = {purchase.id: purchase for purchase in plan.purchases}
    refunded = refunded_units(plan, run)

    async def compare(order: PlacedOrder) -> None:
        reply = await client.as_buyer("order", "GET", f"/orders/{order.order_id}")
        check_order(plan, planned[order.purchase], order, reply, refunded[order.purchase], findings)

    findings.differences += await in_parallel(run.orders, compare, MAX_OPERATOR_CALLS, progress, "orders")
    placed = {order.purchase for order in run.orders}
    findings.differences += [f"{one}: was not ordered" for one in plan.purchases if one.id not in placed]
    findings.differences += _duplicate_orders(run.orders)


def refunded_units(plan: Plan, run: RehearsalRun) -> Mapping[str, dict[str, int]]:
    """Return refunded units by purchase and drop."""
    done = set(run.refunded_rows)
    refunded: dict[str, dict[str, int]] = defaultdict(dict)
    for refund in plan.refunds:
        if refund.row in done:
            units = refunded[refund.purchase]
            units[refund.drop_id] = units.get(refund.drop_id, 0) + refund.quantity
    return refunded


def check_order(
    plan: Plan,
    purchase: PlannedPurchase,
    order: PlacedOrder,
    reply: Reply,
    refunded: Mapping[str, int],
    findings: Findings,
) -> None:
    """Check an order: lines, prices, refunded units (by drop) and totals must be those of the plan."""
    name = f"order {order.order_id} of {purchase}"
    if reply.status != 200 or "line_items" not in reply.body:
        findings.differences.append(f"{name}: cannot be read: {reply}")
        return
    findings.orders += 1
    wanted = [
        (drop_id, quantity, plan.drops[drop_id].unit_price, quantity - refunded.get(drop_id, 0))
        for drop_id, quantity in purchase.units.items()
    ]
    found = [
        (
            line["item"]["id"],
            line["quantity"].get("original", line["quantity"]["total"]),
            line["item"]["price"],
            line["quantity"]["total"],
        )
        for line in reply.body["line_items"]
    ]
    findings.differences += _line_differences(name, wanted, found)
    subtotal = _total(reply.body, "subtotal")
    findings.goods_amount_ordered += subtotal
    amount = plan.goods_amount(purchase)
    if subtotal != amount:
        findings.differences.append(f"{name}: its subtotal is {subtotal}, the input's is {amount}")
    if (total := _total(reply.body, "total")) != order.total:
        findings.differences.append(f"{name}: its total is {total}, the buyer was shown {order.total}")
    for refund in reply.body.get("adjustments", []):
        if refund["status"] != "completed":
            findings.differences.append(f"{name}: its refund {refund['id']} is {refund['status']}")
    if reply.body.get("checkout_id") != order.checkout_id:
        findings.differences.append(f"{name}: belongs to {reply.body.get('checkout_id')}, not {order.checkout_id}")


_Line = tuple[str, int, int, int]


def _line_differences(name: str, wanted: Sequence[_Line], found: Sequence[_Line]) -> Iterator[str]:
    known = {line[0]: line for line in found}
    if len(known) != len(found):
        yield f"{name}: has more than one line of a drop"
    for line in wanted:
        drop_id, ordered, price, remaining = line
        if drop_id not in known:
            yield f"{name}: lacks {ordered} of drop {drop_id}"
        elif known[drop_id] != line:
            _, actual_ordered, actual_price, actual_remaining = known[drop_id]
            yield (
                f"{name}, drop {drop_id}: {actual_ordered} at {actual_price} "
                f"with {actual_remaining} left after refunds, not {ordered} at {price} with {remaining} left"
            )
    for drop_id in known.keys() - {line[0] for line in wanted}:
        yield f"{name}: has {known[drop_id][1]} of drop {drop_id}, which was not ordered"


def _total(body: Mapping[str, Any], kind: str) -> int:
    return sum(int(total["amount"]) for total in body["totals"] if total["type"] == kind)


def _duplicate_orders(orders: Sequence[PlacedOrder]) -> Iterator[str]:
    purchases: dict[str, str] = {}
    for order in orders:
        if order.order_id in purchases:
            yield f"order {order.order_id}: answers purchases {purchases[order.order_id]} and {order.purchase}"
        purchases[order.order_id] = order.purchase


async def _check_export(
    plan: Plan, run: RehearsalRun, stack_info: StackInfo, client: Client, findings: Findings, timeout_seconds: float
) -> None:
    """Check finance's export. The ledger follows the orders within seconds, so the export is repeated until it agrees
    or the time is over."""

    def differences(exported: Exported) -> list[str]:
        return [*export_differences(plan, run, exported), *exported.finance_differences()]

    try:
        exported = await export_until(
            lambda one: not differences(one), plan.show_id, run, stack_info, client, timeout_seconds
        )
    except StepFailed as failure:
        findings.differences.append(f"export: {failure}")
        return
    findings.exports = exported.keys
    findings.goods_amount_exported = exported.gross("sale")
    findings.refund_amount_exported = -exported.gross("refund")
    findings.differences += differences(exported)


def export_differences(plan: Plan, run: RehearsalRun, exported: Exported) -> Iterator[str]:
    """Compare units and gross of each order's lines and refunds in finance's file with the plan."""
    refunded = refunded_units(plan, run)
    planned = {purchase.id: purchase for purchase in plan.purchases}
    expected = {order.order_id: order for order in run.orders}
    for order_id in exported.orders() - expected.keys():
        yield f"export: has order {order_id}, which no buyer placed"
    for order_id, order in expected.items():
        for kind, units in (
            ("sale", planned[order.purchase].units),
            ("refund", {drop_id: -quantity for drop_id, quantity in refunded[order.purchase].items()}),
        ):
            wanted = {drop: (count, count * plan.drops[drop].unit_price) for drop, count in units.items()}
            found = exported.lines.get((order_id, kind), {})
            for drop_id in sorted(wanted.keys() | found.keys()):
                if wanted.get(drop_id) != found.get(drop_id):
                    actual, expected_line = found.get(drop_id, (0, 0)), wanted.get(drop_id, (0, 0))
                    yield (
                        f"export, order {order_id}, drop {drop_id}, {kind}: "
                        f"{actual[0]} units for {actual[1]}, not {expected_line[0]} for {expected_line[1]}"
                    )
