"""Arenas: one for each engine that is to be raced on."""

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

ENGINES = ["embedded", "dynamodb-local"] if os.environ.get("LIVEDROP_SECOND_ENGINE") == "1" else ["embedded"]

_accounts = count(200_000_000_001)


@pytest.fixture(scope="session")
def race_processes() -> Iterator[tuple[RaceClock, ProcessPoolExecutor]]:
    """The processes beside this one, begun once."""
    with racing_processes() as begun:
        yield begun


@pytest.fixture(scope="session")
def second_engine() -> Iterator[str]:
    """DynamoDB Local's endpoint URL; ended with the tests."""
    with dynamodb_local.running() as endpoint:
        yield endpoint


@pytest.fixture(params=ENGINES)
def harness(request: pytest.FixtureRequest, race_processes: tuple[RaceClock, ProcessPoolExecutor]) -> RaceHarness:
    """An engine with an empty account, and processes to race on it."""
    engine: str = request.param
    endpoint: Any = (
        request.getfixturevalue("emulator_process").endpoint
        if engine == "embedded"
        else request.getfixturevalue("second_engine")
    )
    return RaceHarness(engine, EmulatorAccount(endpoint, str(next(_accounts))), *race_processes)
