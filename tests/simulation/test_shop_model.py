"""The shop does what its model says, in every order of requests that hypothesis draws. Wrong variants do not.

``LIVEDROP_STEPS`` is the number of all steps.
"""

from __future__ import annotations

import os
from collections import Counter
from itertools import count

import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from chalicelib.stock import OrderRef, expressions
from chalicelib.stock.bucket import BucketEntry
from tests.simulation.schedule_search import ScheduleSearch
from tests.simulation.shop_model import MISMATCH_MESSAGE
from tests.simulation.shop_state_machine import ShopStateMachine

TOTAL_STEPS = int(os.environ.get("LIVEDROP_STEPS", "4000"))
PARTS = 2
EXPECTED_EVENTS = [
    "created",
    "created while units were surely free",
    "create refused",
    "updated",
    "placed",
    "not placed",
    "captured: ok",
    "captured: declined",
]
EXPECTED_EVENTS += [
    "cancelled",
    "order cancelled",
    "stock changed",
    "delivered again or late",
    "answered with the present state",
]


def run_examples(round_: int, examples: int = 10) -> Counter[str]:
    """Run examples of up to fifty steps and count their events. A round always has the same examples."""
    events_seen: Counter[str] = Counter()

    class CountedMachine(ShopStateMachine):
        steps = events_seen

    without_database = settings(
        max_examples=examples, stateful_step_count=50, derandomize=True, deadline=None, database=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(seed(round_)(CountedMachine), settings=without_database)
    return events_seen


@pytest.mark.parametrize("part", range(PARTS))
def test_the_shop_does_what_its_model_says(search: ScheduleSearch, part: int) -> None:
    events_seen: Counter[str] = Counter()
    for round_ in count(part, PARTS):
        events_seen += run_examples(round_)
        if events_seen["steps"] >= TOTAL_STEPS / PARTS:
            break
    search.record_model_steps(events_seen, expected_events=EXPECTED_EVENTS)


def test_the_model_catches_a_take_of_units_that_are_still_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BucketEntry, "is_expired", lambda self, now: self.expires_at is not None)
    with pytest.raises(AssertionError, match=MISMATCH_MESSAGE):
        run_examples(0, examples=30)


def test_the_model_catches_a_release_that_forgets_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    def release(hold: str, order: OrderRef | None) -> expressions.Write:
        write = real(hold, order)
        values = {**write.values, ":one": 1}
        return expressions.Write("SET a = a + :one REMOVE h.#h", write.condition, values, write.names)

    real = expressions.release
    monkeypatch.setattr(expressions, "release", release)
    with pytest.raises(AssertionError, match=MISMATCH_MESSAGE):
        run_examples(0, examples=30)


def test_the_model_catches_a_repeat_that_counts_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expressions, "_NO_OWN_ENTRY", "attribute_exists(pk)")
    with pytest.raises(AssertionError, match=MISMATCH_MESSAGE):
        run_examples(0, examples=30)
