"""The command reports bad input and a missing stack before it drives anything."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from infra.local.local_state import LocalState, NotRunning
from infra.rehearse.command import rehearse
from infra.rehearse.stack_info import StackInfo
from tests.infra.test_local_state import a_killed_stack, a_local_state
from tests.rehearse.test_orders import HEADER, a_csv_line


def rehearse_output(orders: Path | None, folder: Path, build: Path) -> tuple[int, str]:
    console = Console(file=io.StringIO(), width=500)
    code = rehearse(orders, LocalState(folder), build, console=console)
    assert isinstance(console.file, io.StringIO)
    return code, console.file.getvalue()


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        ("", "the file is empty: not even a header"),
        ("a,b\n1,2\n", "the header lacks InvoiceNo, StockCode, Quantity, InvoiceDate, UnitPrice, CustomerID, Country"),
        (HEADER + a_csv_line(code="POST"), "no row can be used (1 refused of 1 read)"),
        (HEADER, "no row can be used (0 refused of 0 read)"),
    ],
)
def test_file_without_orders_is_reported_with_exit_code_2(tmp_path: Path, content: str, complaint: str) -> None:
    orders = tmp_path / "orders.csv"
    orders.write_text(content)
    assert rehearse_output(orders, tmp_path, tmp_path / "build") == (2, f"cannot rehearse: {orders}: {complaint}\n")
    assert not (tmp_path / "build").exists()


def test_bad_file_starts_no_stack(tmp_path: Path) -> None:
    started: list[str] = []
    code = rehearse(
        tmp_path / "nowhere.csv",
        LocalState(tmp_path),
        tmp_path,
        start_stack=lambda: started.append("stack"),
        console=Console(file=io.StringIO()),
    )
    assert (code, started) == (2, [])


def test_missing_stack_is_reported_with_the_command_to_start_it(tmp_path: Path) -> None:
    expected = "cannot rehearse: No stack runs on this machine. Start it with `make run`.\n"
    assert rehearse_output(None, tmp_path, tmp_path / "build") == (2, expected)


def test_killed_stack_is_started_again(tmp_path: Path) -> None:
    home, started = a_killed_stack(tmp_path), []

    def start_stack() -> None:
        started.append("stack")

    code = rehearse(None, home, tmp_path / "build", start_stack=start_stack, console=Console(file=io.StringIO()))
    assert (code, started) == (2, ["stack"])  # this start runs no stack, so there is still none to rehearse with


def test_stack_info_without_a_time_zone_has_the_default_and_no_other_field_has_one(tmp_path: Path) -> None:
    names = (
        *("http", "aws_endpoint", "region", "operator_token", "finance_token", "platform_profile", "platform_key"),
        *("cue_secret", "cue_stream", "bucket", "aws_access_key_id", "aws_secret_access_key"),
    )
    facts = StackInfo.read(a_local_state(tmp_path, run=os.getpid(), **{name: name for name in (*names, "stock_table")}))
    assert (facts.http, facts.cue_stream, facts.time_zone) == ("http", "cue_stream", "Europe/London")
    with pytest.raises(NotRunning, match=r"local\.json lacks a field that `make run` writes: KeyError\('http'\)"):
        StackInfo.read(a_local_state(tmp_path, run=os.getpid(), **{name: name for name in names[1:]}))
