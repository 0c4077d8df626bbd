"""What the schedule searches share."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator

import pytest

from tests.simulation.schedule_search import ScheduleSearch


@pytest.fixture
def search(record_property: Callable[[str, object], None]) -> ScheduleSearch:
    return ScheduleSearch(record_property)


@pytest.fixture(autouse=True)
def _without_logging() -> Iterator[None]:
    """Hundreds of thousands of orders are played: nobody reads what each would log."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(autouse=True)
def _without_tracing() -> Iterator[None]:
    """Coverage is measured without these tests: tracing makes them three times as long, and loses its way between
    coroutines."""
    tracer = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(tracer)
