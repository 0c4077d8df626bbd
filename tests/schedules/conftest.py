"""What the schedule searches share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator

import pytest

from tests.schedules.search import Search


@pytest.fixture
def search(record_property: Callable[[str, object], None]) -> Search:
    return Search(record_property)


@pytest.fixture(autouse=True)
def _no_log() -> Iterator[None]:
    """Hundreds of thousands of orders are played: nobody reads what each would log."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
