"""Controls of the crash searches with Stripe: the product's own code with one wrong piece. Each must be caught.

A control runs a use case with faults at its HTTP calls.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.crashes.crash_runner import CrashEnumeration
from tests.crashes.test_crashes import sequential_reads_without_logs
from tests.crashes.test_stripe_crashes import ASKS, CASES, stripe_worlds_of
from tests.crashes.use_case import UseCase
from tests.providers.wrong_stripe import (
    each_event_adds_a_refund,
    entries_numbered_by_position,
    failure_believed,
    inquiry_taken_as_loss,
    pending_refund_taken_as_done,
    processing_taken_as_paid,
    released_money_taken_as_refund,
    replayed_refund_believed,
    second_try_without_look_up,
    stripe_units_taken_as_minor_units,
)

__all__ = ["sequential_reads_without_logs"]

Control = Callable[[pytest.MonkeyPatch], None]

CONTROLS: list[tuple[Control, str]] = [
    (failure_believed, "capture: ok"),
    (second_try_without_look_up, "capture: a card that works again"),
    (processing_taken_as_paid, "capture: CaptureFailsLater"),
    (released_money_taken_as_refund, "event: of a released hold"),
    (pending_refund_taken_as_done, "refund an amount"),
    (replayed_refund_believed, "refund: answer lost, failed, then repeated"),
    (replayed_refund_believed, "refund: answer lost, then repeated after a day"),
    (entries_numbered_by_position, "refund: the second is done first"),
    (inquiry_taken_as_loss, "dispute: an inquiry"),
    (stripe_units_taken_as_minor_units, "in ariary: capture"),
    (each_event_adds_a_refund, "refund in the console"),
]


@pytest.mark.parametrize(("wrong", "name"), CONTROLS, ids=[f"{wrong.__name__}-{name}" for wrong, name in CONTROLS])
def test_the_enumeration_catches_a_wrong_piece(wrong: Control, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = next(case for case in CASES if case.name == name)
    wrong(monkeypatch)
    assert violations_of(case) != []


def violations_of(case: UseCase) -> list[str]:
    """Return the broken rules of a use case. Without faults, a queue that is never empty is one, too."""
    try:
        enumeration = CrashEnumeration(case, stripe_worlds_of(case), only_calls_of=ASKS)
        enumeration.run_without_faults()
    except AssertionError as error:
        return [str(error)]
    return enumeration.explore().violations
