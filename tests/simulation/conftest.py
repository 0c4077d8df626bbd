"""Fixtures of the schedule searches."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from tests.simulation.schedule_search import ScheduleSearch


@pytest.fixture
def search(record_property: Callable[[str, object], None]) -> ScheduleSearch:
    return ScheduleSearch(record_property)


@pytest.fixture(autouse=True)
def _without_logging(without_logs: None) -> None:
    """Disable logs: a search places hundreds of thousands of orders."""


@pytest.fixture(autouse=True)
def _without_tracing() -> Iterator[None]:
    """Disable tracing: it makes these tests three times as long and loses its place between coroutines."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)
