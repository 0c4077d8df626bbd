"""Whoever dies, and after whichever call: each intent is applied once, and no rule is broken, then or ever.

Every use case that writes runs with each fault at each AWS and provider call, in memory. ``LIVEDROP_CRASHES=all``
leaves no point out (by default only each fifth one of the long jobs is played), lets the repeats of short ones die too,
and plays each tenth point in the emulator.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
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
from tests.fakes.aws import emulated_aws, in_memory_aws

LONG_FORM = os.environ.get("LIVEDROP_CRASHES") == "all"
ONLY_CALL = int(os.environ.get("LIVEDROP_CRASH_CALL", "0")) or None
LONG_JOB = 20
"""A job with more calls than this writes the files of a day: its points are much alike."""


class _SequentialPool:
    """A pool of no threads."""

    def __init__(self, readers: int) -> None:
        self.map = map

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.fixture(autouse=True)
def sequential_reads_without_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Objects are read one after another, so that the n-th call is the same each time; and nothing is logged."""
    monkeypatch.setattr(store, "ThreadPoolExecutor", _SequentialPool)
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def in_memory_worlds_of(case: UseCase) -> Callable[[], CrashWorld]:
    """The use case's beginning, made once and copied for each play."""
    prepared = case.set_up(CrashWorld(in_memory_aws()))
    return lambda: CrashWorld(prepared.fake_aws.fork(), prepared.now)


@pytest.mark.parametrize("case", USE_CASES, ids=lambda case: case.name)
def test_each_intent_is_applied_once_after_any_crash(
    case: UseCase, record_property: Callable[[str, object], None]
) -> None:
    enumeration = CrashEnumeration(case, in_memory_worlds_of(case))
    calls, _ = enumeration.run_without_faults()
    long = len(calls) > LONG_JOB
    enumeration.sample_every = 5 if long and not LONG_FORM else 1
    enumeration.max_faults = 2 if LONG_FORM and not long else 1
    enumeration.only_call = ONLY_CALL
    stats = enumeration.explore()
    record_property(PROPERTY, asdict(stats) | {"case": case.name})
    assert stats.violations == []
    assert stats.points >= (len(calls) if ONLY_CALL is None else 1)


A_FEW = ("take crumbs raked together", "close of a day after another")
IN_EMULATOR = [case for case in USE_CASES if LONG_FORM or case.name in A_FEW]


@pytest.mark.parametrize("case", IN_EMULATOR, ids=lambda case: case.name)
def test_memory_and_emulator_reach_the_same_end(case: UseCase, tables: Tables) -> None:
    """The clouds agree, call by call and in the end; so what is found in memory is not memory's."""
    numbers = count()

    def new_world() -> CrashWorld:
        prefix = f"play-{next(numbers)}-"
        return case.set_up(CrashWorld(emulated_aws(make_tables(tables.dynamodb, prefix), prefix)))

    there = CrashEnumeration(case, new_world, sample_every=10, check_every_write=False)
    here = CrashEnumeration(case, in_memory_worlds_of(case), check_every_write=False)
    assert there.run_without_faults() == here.run_without_faults()
    if LONG_FORM:
        stats: CrashStats = there.explore()
        assert stats.violations == []
        assert stats.points
