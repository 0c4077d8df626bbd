"""A rehearsal on the deployed stack succeeds, and its check finds data that somebody changed."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from chalicelib.purchase import PurchaseStore, Written
from infra.local.local_state import LocalState, aws_client
from infra.paths import ROOT
from infra.rehearse.command import Rehearsal, new_show_id, rehearse
from infra.rehearse.drive import RehearsalRun

pytestmark = pytest.mark.e2e

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
FEW = HEADER + (
    "1,22554,PLASTERS,12,2011-11-25 08:05:00,1.65,100,France\n"
    "1,22555,STRONGMAN,2,2011-11-25 08:05:00,0.65,100,France\n"
    "2,22554,PLASTERS,3,2011-11-25 08:06:00,1.65,200,USA\n"
    "3,22554a,PLASTERS,1,2011-11-25 08:07:00,1.45,,United Kingdom\n"
    "3,POST,POSTAGE,1,2011-11-25 08:07:00,18,,United Kingdom\n"
    "4,84997D,CUTLERY,7,2011-11-25 08:08:00,4.15,300,EIRE\n"
    "C5,22554,PLASTERS,-4,2011-11-25 08:15:00,1.65,100,France\n"
    "C6,22554,PLASTERS,-4,2011-11-25 08:16:00,1.65,200,USA\n"
)


@pytest.fixture
def orders(tmp_path: Path) -> Path:
    target = tmp_path / "orders.csv"
    target.write_text(FEW)
    return target


def silent_console() -> Console:
    return Console(file=io.StringIO(), width=200)


def test_rehearsal_of_a_few_orders_succeeds(stack: dict[str, Any], orders: Path, tmp_path: Path) -> None:
    build = tmp_path / "build"
    assert rehearse(orders, _local_state(stack), build, console=silent_console()) == 0
    report = json.loads((build / "rehearsal.json").read_text())
    assert report["refused"] == [
        {"row": 5, "reason": "StockCode POST is no article: postage, fee or manual line"},
        {"row": 8, "reason": "unmatched cancellation: no order of customer 200 has 4 of 22554 at 1.65 left"},
    ]
    merchandise = 15 * 165 + 2 * 65 + 145 + 7 * 415
    wanted = {
        "read": 8,
        "accepted": 6,
        "orders": 4,
        "units_sold": 25,
        "refunds": 1,
        "ok": True,
        "goods_amount": merchandise,
        "goods_amount_exported": merchandise,
        "refund_amount_exported": 4 * 165,
        "differences": 0,
        "oversold": 0,
        "stranded": 0,
    }
    assert {name: report[name] for name in wanted} == wanted
    assert all(report["show"] in key for key in report["exports"])
    holds = report["cue_to_first_hold"]
    assert holds["kinesis"]["count"] + holds["http"]["count"] == 4
    assert min(holds["kinesis"]["count"], holds["http"]["count"]) > 0


@contextmanager
def an_order_changed(stack: dict[str, Any], rehearsal: Rehearsal, run: RehearsalRun) -> Iterator[str]:
    """Remove one unit from a line of an order."""
    purchases = PurchaseStore(aws_client(stack, "dynamodb"), stack["commerce_table"])
    order = next(order for order in run.orders if order.purchase == "1.1")
    purchase = purchases.read(order.order_id.removeprefix("ord_"))
    assert purchase is not None
    first = purchase.lines[0]
    less = first.model_copy(update={"quantity": first.quantity - 1})
    changed = purchase.model_copy(update={"lines": (less, *purchase.lines[1:]), "version": purchase.version + 1})
    assert purchases.replace(changed) == Written()
    try:
        yield order.order_id
    finally:
        assert purchases.replace(purchase.model_copy(update={"version": purchase.version + 2})) == Written()


@contextmanager
def a_bucket_changed(stack: dict[str, Any], rehearsal: Rehearsal, run: RehearsalRun) -> Iterator[str]:
    """Add one unit to a bucket."""
    drop_id = next(iter(rehearsal.plan.drops))

    def add(units: str) -> None:
        aws_client(stack, "dynamodb").update_item(
            TableName=stack["stock_table"],
            Key={"pk": {"S": f"{drop_id}#0"}},
            UpdateExpression="ADD a :units",
            ExpressionAttributeValues={":units": {"N": units}},
        )

    add("1")
    try:
        yield drop_id
    finally:
        add("-1")


@pytest.mark.parametrize("tampering", [an_order_changed, a_bucket_changed])
def test_change_between_run_and_check_is_found_and_named(
    stack: dict[str, Any], orders: Path, tmp_path: Path, tampering: Callable[..., Any]
) -> None:
    rehearsal = Rehearsal.of(orders, _local_state(stack), tmp_path / "build", new_show_id())
    run = rehearsal.run(silent_console())
    # Tamper only after the ledger has every order; otherwise it would record the changed data.
    assert rehearsal.verify(run, silent_console())["difference_details"] == []
    with tampering(stack, rehearsal, run) as name:
        report = rehearsal.verify(run, silent_console(), ledger_timeout_seconds=0)
    assert report["ok"] is False
    assert report["differences"] == len(report["difference_details"]) > 0
    assert any(name in sentence for sentence in report["difference_details"])
    assert rehearsal.verify(run, silent_console())["difference_details"] == []


class _Watched(io.StringIO):
    """A stream that sets an event once a text has been written to it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.seen = threading.Event()

    def write(self, text: str) -> int:
        written = super().write(text)
        if self._text in self.getvalue():
            self.seen.set()
        return written


def test_rehearsal_succeeds_although_every_process_is_killed(stack: dict[str, Any], tmp_path: Path) -> None:
    orders = tmp_path / "orders.csv"
    lines = (
        f"{invoice},{20_000 + (invoice * 3 + line) % 30},THING,{1 + line},2011-11-25 08:05:00,1.65,{invoice},France\n"
        for invoice in range(1, 49)
        for line in range(4)
    )
    orders.write_text(HEADER + "".join(lines))
    output, build = _Watched("buyers: 12 of 48"), tmp_path / "build"
    ended: list[int] = []

    def play() -> None:
        try:
            ended.append(rehearse(orders, _local_state(stack), build, console=Console(file=output, width=200)))
        finally:
            output.seen.set()

    playing = threading.Thread(target=play)
    playing.start()
    output.seen.wait()
    assert not ended
    _livedrop(stack, "crash")
    _livedrop(stack, "restart-emulator")
    playing.join()
    report = json.loads((build / "rehearsal.json").read_text())
    assert report["difference_details"] == []
    assert (report["orders"], report["oversold"], report["stranded"]) == (48, 0, 0)
    assert ended == [0]
    assert any(what.startswith("repeated after") for what in report["counts"])


def _local_state(stack: dict[str, Any]) -> LocalState:
    return LocalState(Path(stack["home"]))


def _livedrop(stack: dict[str, Any], *words: str) -> None:
    variables = os.environ | {"LIVEDROP_HOME": stack["home"]}
    subprocess.run([sys.executable, "-m", "infra.cli.main", *words], check=True, env=variables, cwd=ROOT)
