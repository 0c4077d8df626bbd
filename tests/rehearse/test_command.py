"""What the command does before anything is driven: bad input and a missing stack are told clearly."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from infra.rehearse import rehearse
from infra.rehearse.facts import Facts, NotRunning
from tests.rehearse.test_orders import HEADER, a_line


def said(orders: Path | None, local: Path, build: Path) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=500)
    code = rehearse(orders, local, build, console=console)
    assert isinstance(console.file, io.StringIO)
    return code, console.file.getvalue()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "the file is empty: not even a header"),
        ("a,b\n1,2\n", "the header lacks InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice, CustomerID, Country"),
        (HEADER + a_line(code="POST"), "no row can be played (1 refused of 1 read)"),
        (HEADER, "no row can be played (0 refused of 0 read)"),
    ],
)
def test_a_file_without_orders_ends_with_its_reason_and_exit_code_2(
    tmp_path: Path, content: str, complaint: str
) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text(content)
    assert said(orders, tmp_path / "local.json", tmp_path / "build") == (2, f"cannot rehearse: {orders}: {complaint}\n")
    assert not (tmp_path / "build").exists()


def test_a_bad_file_starts_no_stack(tmp_path: Path) -> None:
    started: list[str] = []
    code = rehearse(
        tmp_path / "nowhere.csv",
        tmp_path / "local.json",
        tmp_path,
        start_stack=lambda: started.append("stack"),
        console=Console(file=io.StringIO()),
    )
    assert (code, started) == (2, [])


def test_without_a_stack_it_says_how_to_start_one(tmp_path: Path) -> None:
    local = tmp_path / "local.json"
    code, text = said(None, local, tmp_path / "build")
    assert (code, text) == (2, f"cannot rehearse: {local} is missing: start the stack with 'make run'\n")


def test_facts_are_read_and_the_shops_time_zone_has_a_default(tmp_path: Path) -> None:
    local = tmp_path / "local.json"
    names = (
        *("http", "aws_endpoint", "region", "operator_token", "finance_token", "platform_profile", "platform_key"),
        *("cue_secret", "cue_stream", "bucket", "aws_access_key_id", "aws_secret_access_key"),
    )
    local.write_text(json.dumps({name: name for name in (*names, "stock_table")}))
    facts = Facts.read(local)
    assert (facts.http, facts.cue_stream, facts.time_zone) == ("http", "cue_stream", "Europe/London")
    local.write_text(json.dumps({name: name for name in names[1:]}))
    with pytest.raises(NotRunning):
        Facts.read(local)
