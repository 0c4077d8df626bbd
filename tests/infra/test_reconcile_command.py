"""The command that reconciles payments runs the function until every order is compared, and stops when it is stuck."""

from __future__ import annotations

from typing import Any

import pytest

from infra.cli.payments import until_complete


def a_report(**changes: Any) -> dict[str, Any]:
    standard = {
        "complete": False,
        "movements_until": "2026-11-28T02:25:00.000Z",
        "movements_complete": True,
        "provider_available": True,
        "provider_problem": None,
        "purchases": 0,
        "movements": 0,
    }
    return standard | changes


def run(*reports: dict[str, Any]) -> tuple[dict[str, Any], list[bool]]:
    """Return the last report, and whether each run was to begin a comparison."""
    waiting, begins = list(reports), []

    def function(begin: bool) -> dict[str, Any]:
        begins.append(begin)
        return waiting.pop(0)

    return until_complete(function), begins


def test_one_run_is_enough_for_a_small_shop() -> None:
    done = a_report(complete=True)
    assert run(done) == (done, [True])


def test_comparison_begins_once_all_movements_are_stored_and_goes_on_until_it_is_complete() -> None:
    done = a_report(complete=True, purchases=30_000)
    behind = a_report(movements_complete=False, movements_until="2026-11-01T00:00:00.000Z")
    assert run(behind, a_report(purchases=10_000), a_report(purchases=20_000), done) == (
        done,
        [True, True, False, False],
    )


def test_reading_days_again_is_progress() -> None:
    first, second = (a_report(reading_again_from=f"2026-11-{day}T00:00:00.000Z") for day in ("03", "17"))
    done = a_report(complete=True)
    assert run(first, second, done) == (done, [True, False, False])


def test_run_that_comes_no_further_ends_the_command() -> None:
    stuck = a_report(purchases=10_000)
    assert run(stuck, stuck) == (stuck, [True, False])


def test_provider_that_does_not_answer_ends_the_command_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    silent = a_report(movements_complete=False, provider_available=False, provider_problem="provider_key_refused")
    assert run(silent) == (silent, [True])
    assert "the provider does not say what moved: provider_key_refused" in capsys.readouterr().err
