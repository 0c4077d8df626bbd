"""A drop is open from ``opens_at`` until just before ``closes_at``, by the instant of the request alone."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.shows import DropState, drop_state, window_state
from chalicelib.shows.windows import next_transition_at
from chalicelib.stock import Summary
from tests.builders.shows import NOW, a_drop_record


def a_summary(sold: int) -> Summary:
    return Summary("d1", 3, 3 - sold, 0, sold, (), None, NOW if sold == 3 else None, NOW)


@pytest.mark.parametrize(
    ("drop", "expected"),
    [
        ({}, DropState.SCHEDULED),
        ({"opens_at": NOW + 1}, DropState.SCHEDULED),
        ({"opens_at": NOW}, DropState.OPEN),
        ({"opens_at": NOW - 1, "closes_at": NOW + 1}, DropState.OPEN),
        ({"opens_at": NOW - 1, "closes_at": NOW}, DropState.CLOSED),
        ({"closes_at": NOW - 1}, DropState.CLOSED),
        ({"opens_at": NOW, "suspended": True}, DropState.SUSPENDED),
        ({"opens_at": NOW + 1, "suspended": True}, DropState.SCHEDULED),
        ({"opens_at": NOW - 1, "closes_at": NOW, "suspended": True}, DropState.CLOSED),
    ],
)
def test_window_is_half_open(drop: dict[str, Any], expected: DropState) -> None:
    assert window_state(a_drop_record(**drop), NOW) is expected


@pytest.mark.parametrize(
    ("drop", "sold", "expected"),
    [
        ({"opens_at": NOW}, 2, DropState.OPEN),
        ({"opens_at": NOW}, 3, DropState.SOLD_OUT),
        ({"opens_at": NOW, "suspended": True}, 3, DropState.SOLD_OUT),
        ({"opens_at": NOW - 1, "closes_at": NOW}, 3, DropState.CLOSED),
        ({}, 3, DropState.SCHEDULED),
    ],
)
def test_sold_out_shows_in_an_open_window_only(drop: dict[str, Any], sold: int, expected: DropState) -> None:
    assert drop_state(a_drop_record(**drop), a_summary(sold), NOW) is expected


@pytest.mark.parametrize(
    ("drop", "expected"),
    [
        ({}, None),
        ({"opens_at": NOW + 5, "closes_at": NOW + 9}, NOW + 5),
        ({"opens_at": NOW, "closes_at": NOW + 9}, NOW + 9),
        ({"opens_at": NOW + 5, "closes_at": NOW}, None),
    ],
)
def test_next_transition_is_the_next_end_of_the_window(drop: dict[str, Any], expected: int | None) -> None:
    assert next_transition_at(a_drop_record(**drop), NOW) == expected
