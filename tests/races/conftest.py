"""The race harness, one for each engine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import count
from typing import Any

import pytest

from tests.conftest import EmulatorAccount
from tests.races import dynamodb_local
from tests.races.race_clock import RaceClock
from tests.races.race_harness import RaceHarness, racing_processes

ENGINES = ["emulator", "dynamodb-local"] if os.environ.get("LIVEDROP_SECOND_ENGINE") == "1" else ["emulator"]

_accounts = count(200_000_000_001)


@pytest.fixture(scope="session")
def race_processes() -> Iterator[tuple[RaceClock, ProcessPoolExecutor]]:
    """Start the processes of races once."""
    with racing_processes() as started:
        yield started


@pytest.fixture(scope="session")
def second_engine() -> Iterator[str]:
    """Run DynamoDB Local, and yield its endpoint URL."""
    with dynamodb_local.running() as endpoint:
        yield endpoint


@pytest.fixture(params=ENGINES)
def harness(request: pytest.FixtureRequest, race_processes: tuple[RaceClock, ProcessPoolExecutor]) -> RaceHarness:
    """Combine an engine's empty account with the processes that race on it."""
    engine: str = request.param
    endpoint: Any = (
        request.getfixturevalue("emulator_process").endpoint
        if engine == "emulator"
        else request.getfixturevalue("second_engine")
    )
    return RaceHarness(engine, EmulatorAccount(endpoint, str(next(_accounts))), *race_processes)
