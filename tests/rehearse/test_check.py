"""The check reports each kind of fault as a difference, in a sentence that names its drop or order."""

from __future__ import annotations

from typing import Any

import pytest

from infra.rehearse.buyer import PlacedOrder
from infra.rehearse.check import Findings, check_audit, check_order, export_differences
from infra.rehearse.client import Reply
from infra.rehearse.command import SAMPLE
from infra.rehearse.demand import Demand, demand
from infra.rehearse.drive import RehearsalRun
from infra.rehearse.exported import Exported
from infra.rehearse.orders import load, parse
from infra.rehearse.plan import plan
from infra.rehearse.report import build_report
from tests.rehearse.test_orders import HEADER, a_csv_line

TWO_LINES = HEADER + a_csv_line(quantity="10") + a_csv_line(code="22555", quantity="3", price="2")
PLAN = plan(demand(parse(TWO_LINES + a_csv_line(invoice="C2", quantity="-4"))), "s")
FIRST, SECOND = PLAN.drops
ORDER = PlacedOrder("1.1", "chk_X", "ord_X", 2645, {FIRST: "li_1", SECOND: "li_2"})
DROP = PLAN.drops[FIRST]


def an_audit(**changes: Any) -> dict[str, Any]:
    return {"size": 10, "available": 0, "held": 0, "sold": 10, "mismatches": []} | changes


@pytest.mark.parametrize(
    ("audit", "differences", "oversold", "stranded"),
    [
        (an_audit(), [], 0, 0),
        (
            an_audit(sold=9, available=1),
            ["drop s.00001 (22554 at 1.65): 9 units sold of 10 wanted, 0 still held"],
            0,
            1,
        ),
        (
            an_audit(sold=8, held=2),
            ["drop s.00001 (22554 at 1.65): 8 units sold of 10 wanted, 2 still held"],
            0,
            2,
        ),
        (
            an_audit(sold=11),
            [
                "drop s.00001 (22554 at 1.65): 11 sold + 0 held + 0 available are not 10",
                "drop s.00001 (22554 at 1.65): 11 units sold of 10 wanted, 0 still held",
            ],
            1,
            0,
        ),
        (an_audit(mismatches=["bucket 0: a"]), ["drop s.00001 (22554 at 1.65): bucket 0: a"], 0, 0),
        (
            an_audit(size=11, available=1),
            ["drop s.00001 (22554 at 1.65): offers 11 units, not the 10 that were put"],
            0,
            0,
        ),
    ],
)
def test_every_unit_of_a_drop_is_accounted_for(
    audit: dict[str, Any], differences: list[str], oversold: int, stranded: int
) -> None:
    findings = Findings()
    check_audit(DROP, audit, findings)
    assert (findings.differences, findings.oversold, findings.stranded) == (differences, oversold, stranded)


def an_order_reply(
    first: dict[str, int] | None = None, price: int = 165, subtotal: int = 2250, **changes: Any
) -> Reply:
    lines = [
        {
            "item": {"id": FIRST, "price": price},
            "quantity": {"original": 10, "total": 6, "fulfilled": 0} | (first or {}),
        },
        {"item": {"id": SECOND, "price": 200}, "quantity": {"original": 3, "total": 3, "fulfilled": 0}},
    ]
    totals = [
        {"type": "subtotal", "amount": subtotal},
        {"type": "fulfillment", "amount": 395},
        {"type": "total", "amount": subtotal + 395},
    ]
    return Reply(200, {"checkout_id": "chk_X", "line_items": lines, "totals": totals} | changes)


NAME = "order ord_X of purchase 1.1 (invoice 578001)"


@pytest.mark.parametrize(
    ("reply", "differences"),
    [
        (an_order_reply(), []),
        (
            an_order_reply({"original": 9}),
            [f"{NAME}, drop s.00001: 9 at 165 with 6 left after refunds, not 10 at 165 with 6 left"],
        ),
        (
            an_order_reply({"total": 10}),
            [f"{NAME}, drop s.00001: 10 at 165 with 10 left after refunds, not 10 at 165 with 6 left"],
        ),
        (
            an_order_reply(price=164),
            [f"{NAME}, drop s.00001: 10 at 164 with 6 left after refunds, not 10 at 165 with 6 left"],
        ),
        (
            an_order_reply(subtotal=2249),
            [
                f"{NAME}: its subtotal is 2249, the input's is 2250",
                f"{NAME}: its total is 2644, the buyer was shown 2645",
            ],
        ),
        (an_order_reply(adjustments=[{"id": "rf_1", "status": "pending"}]), [f"{NAME}: its refund rf_1 is pending"]),
        (an_order_reply(checkout_id="chk_Y"), [f"{NAME}: belongs to chk_Y, not chk_X"]),
        (Reply(200, {"messages": []}), [f'{NAME}: cannot be read: 200 {{"messages": []}}']),
        (
            an_order_reply(line_items=an_order_reply().body["line_items"][:1]),
            [f"{NAME}: lacks 3 of drop s.00002"],
        ),
        (
            an_order_reply(
                line_items=[
                    *an_order_reply().body["line_items"],
                    {"item": {"id": "s.9", "price": 1}, "quantity": {"original": 2, "total": 2}},
                ]
            ),
            [f"{NAME}: has 2 of drop s.9, which was not ordered"],
        ),
    ],
)
def test_order_must_equal_its_plan_to_the_penny(reply: Reply, differences: list[str]) -> None:
    findings = Findings()
    check_order(PLAN, PLAN.purchases[0], ORDER, reply, {FIRST: 4}, findings)
    assert findings.differences == differences


COLUMNS = "order_id,entry_type,drop_id,quantity,gross\r\n"
SALES = f"ord_X,sale,{FIRST},10,1650\r\nord_X,sale,{SECOND},3,600\r\n"
REFUND = f"ord_X,refund,{FIRST},-4,-660\r\n"


@pytest.mark.parametrize(
    ("rows", "differences"),
    [
        (SALES + REFUND, []),
        (SALES, ["export, order ord_X, drop s.00001, refund: 0 units for 0, not -4 for -660"]),
        (
            SALES.replace("1650", "1651") + REFUND,
            ["export, order ord_X, drop s.00001, sale: 10 units for 1651, not 10 for 1650"],
        ),
        (
            SALES + SALES.splitlines(keepends=True)[1] + REFUND,
            ["export, order ord_X, drop s.00002, sale: 6 units for 1200, not 3 for 600"],
        ),
        (
            SALES + REFUND + f"ord_Y,sale,{SECOND},1,200\r\n",
            ["export: has order ord_Y, which no buyer placed"],
        ),
    ],
)
def test_finance_export_must_equal_the_planned_orders_and_refunds(rows: str, differences: list[str]) -> None:
    exported = Exported()
    exported.add(COLUMNS + rows)
    run = RehearsalRun("s", "", orders=[ORDER], refunded_rows=[3])
    assert list(export_differences(PLAN, run, exported)) == differences


def test_difference_found_by_finance_is_a_difference_of_the_check() -> None:
    exported = Exported(manifests=[{"date": "2026-11-23", "differences_count": 2}])
    assert exported.finance_differences() == ["export 2026-11-23: finance's own check found 2 differences"]


def matching_findings(wanted: Demand) -> Findings:
    return Findings(
        units_sold=wanted.units,
        goods_amount_ordered=wanted.goods_amount,
        goods_amount_exported=wanted.goods_amount,
        orders=34,
    )


def test_report_has_its_documented_keys_and_is_ok_without_differences() -> None:
    wanted = demand(load(SAMPLE))
    the_plan = plan(wanted, "s")
    report = build_report(wanted, the_plan, RehearsalRun("s", ""), matching_findings(wanted))
    assert report.keys() >= {
        *("show", "read", "accepted", "refused", "orders", "units_sold", "goods_amount", "goods_amount_exported"),
        *("refunds", "differences", "oversold", "stranded", "latency", "cue_to_first_hold", "ok"),
    }
    assert (report["ok"], report["differences"], report["read"], report["accepted"]) == (True, 0, 913, 903)
    assert report["refused"][0] == {
        "row": 167,
        "reason": "UnitPrice 0.0 is below one penny: a sample, gift or write-off",
    }
    assert report["goods_amount"] == report["goods_amount_exported"] == 1_759_383


@pytest.mark.parametrize(
    ("change", "differences"),
    [
        ({"oversold": 1}, 0),
        ({"stranded": 1}, 0),
        ({"differences": ["order ord_X: wrong"]}, 1),
        ({"units_sold": 8_037}, 1),
        ({"goods_amount_exported": 1_759_382}, 1),
        ({"goods_amount_ordered": 1_759_384}, 1),
    ],
)
def test_report_is_not_ok_after_one_fault(change: dict[str, Any], differences: int) -> None:
    wanted = demand(load(SAMPLE))
    findings = matching_findings(wanted)
    for name, value in change.items():
        setattr(findings, name, value)
    report = build_report(wanted, plan(wanted, "s"), RehearsalRun("s", ""), findings)
    assert (report["ok"], report["differences"]) == (False, differences)


def test_rehearsal_run_survives_the_file_between_driving_and_checking() -> None:
    run = RehearsalRun("s", "a", "b", [ORDER], [3], ["x"], {"drops": 1.5})
    run.measures.observe("hold", 0.25)
    run.measures.count("busy")
    assert RehearsalRun.from_record(run.to_record()) == run
