"""Each intent is applied once, and all invariants hold, after a crash at any call.

Every use case that writes runs in memory with each fault at each AWS and provider call. By default long jobs run every
fifth crash point. ``LIVEDROP_CRASHES=all`` runs all of them, lets the repeats of short jobs fail, too, and runs every
tenth point in moto. ``LIVEDROP_CRASH_CALL`` replays the faults of one call, for example 3.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import asdict
from itertools import count
from typing import Self

import pytest

from chalicelib.finance import store
from infra.local.tables import make_tables
from tests.conftest import Tables
from tests.crashes.crash_report import PROPERTY
from tests.crashes.crash_runner import CrashEnumeration, CrashStats
from tests.crashes.crash_world import CrashWorld
from tests.crashes.use_case import UseCase
from tests.crashes.use_cases import USE_CASES
from tests.fakes.aws import in_memory_aws, moto_aws

LONG_FORM = os.environ.get("LIVEDROP_CRASHES") == "all"
ONLY_CALL = int(os.environ.get("LIVEDROP_CRASH_CALL", "0")) or None
LONG_JOB = 20
"""A job with more calls than this writes the files of a day. Its crash points are much alike."""


class _SequentialPool:
    """A stand-in for a thread pool that runs each call at once."""

    def __init__(self, readers: int) -> None:
        self.map = map

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.fixture(autouse=True)
def sequential_reads_without_logs(monkeypatch: pytest.MonkeyPatch, without_logs: None) -> None:
    """Read objects one after another, so that the n-th call is always the same, and disable logs."""
    monkeypatch.setattr(store, "ThreadPoolExecutor", _SequentialPool)


def in_memory_worlds_of(case: UseCase) -> Callable[[], CrashWorld]:
    """Set a use case up once, and return a function that copies its world."""
    return case.set_up(CrashWorld(in_memory_aws())).fork


@pytest.mark.parametrize("case", USE_CASES, ids=lambda case: case.name)
def test_each_intent_is_applied_once_after_any_crash(
    case: UseCase, record_property: Callable[[str, object], None]
) -> None:
    enumeration = CrashEnumeration(case, in_memory_worlds_of(case))
    calls, _ = enumeration.run_without_faults()
    if ONLY_CALL is not None and len(calls) < ONLY_CALL:
        pytest.skip(f"{case.name} makes {len(calls)} calls")
    long = len(calls) > LONG_JOB
    enumeration.sample_every = 5 if long and not LONG_FORM else 1
    enumeration.max_faults = 2 if LONG_FORM and not long else 1
    enumeration.only_call = ONLY_CALL
    stats = enumeration.explore()
    record_property(PROPERTY, asdict(stats) | {"case": case.name})
    assert stats.violations == []
    assert stats.points >= (len(calls) if ONLY_CALL is None else 1)


IN_MOTO_ALWAYS = ("take consolidated units", "close of a day after another")
IN_MOTO = [case for case in USE_CASES if LONG_FORM or case.name in IN_MOTO_ALWAYS]


@pytest.mark.parametrize("case", IN_MOTO, ids=lambda case: case.name)
def test_memory_and_moto_reach_the_same_end(case: UseCase, tables: Tables) -> None:
    """Both make the same calls and reach the same outcome, so that findings in memory are findings of the product."""
    numbers = count()

    def new_world() -> CrashWorld:
        prefix = f"world-{next(numbers)}-"
        return case.set_up(CrashWorld(moto_aws(make_tables(tables.dynamodb, prefix), prefix)))

    in_moto = CrashEnumeration(case, new_world, sample_every=10, check_every_write=False)
    in_memory = CrashEnumeration(case, in_memory_worlds_of(case), check_every_write=False)
    assert in_moto.run_without_faults() == in_memory.run_without_faults()
    if LONG_FORM:
        stats: CrashStats = in_moto.explore()
        assert stats.violations == []
        assert stats.points
