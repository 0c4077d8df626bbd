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
from tests.crashes.cases import UseCase
from tests.crashes.cloud import emulated_aws, in_memory_aws
from tests.crashes.play import Enumeration, Tally
from tests.crashes.summary import PROPERTY
from tests.crashes.use_cases import USE_CASES
from tests.crashes.world import CrashWorld

ALL = os.environ.get("LIVEDROP_CRASHES") == "all"
LONG_JOB = 20
"""A job with more calls than this writes the files of a day: its points are much alike."""


class _OneAfterAnother:
    """A pool of no threads."""

    def __init__(self, readers: int) -> None:
        self.map = map

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


@pytest.fixture(autouse=True)
def quiet_and_in_order(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Objects are read one after another, so that the n-th call is the same each time; and nothing is logged."""
    monkeypatch.setattr(store, "ThreadPoolExecutor", _OneAfterAnother)
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def in_memory_from(case: UseCase) -> Callable[[], CrashWorld]:
    """The use case's beginning, made once and copied for each play."""
    begun = case.set_up(CrashWorld(in_memory_aws()))
    return lambda: CrashWorld(begun.fake_aws.fork(), begun.now)


@pytest.mark.parametrize("case", USE_CASES, ids=lambda case: case.name)
def test_whoever_dies_each_intent_is_applied_once(
    case: UseCase, record_property: Callable[[str, object], None]
) -> None:
    enumeration = Enumeration(case, in_memory_from(case))
    calls, _ = enumeration.undisturbed()
    long = len(calls) > LONG_JOB
    enumeration.every = 5 if long and not ALL else 1
    enumeration.depth = 2 if ALL and not long else 1
    tally = enumeration.explore()
    record_property(PROPERTY, asdict(tally) | {"case": case.name})
    assert tally.broken == []
    assert tally.points >= len(calls)


A_FEW = ("take crumbs raked together", "close of a day after another")
IN_EMULATOR = [case for case in USE_CASES if ALL or case.name in A_FEW]


@pytest.mark.parametrize("case", IN_EMULATOR, ids=lambda case: case.name)
def test_memory_and_emulator_come_to_the_same_end(case: UseCase, tables: Tables) -> None:
    """The clouds agree, call by call and in the end; so what is found in memory is not memory's."""
    numbers = count()

    def fresh() -> CrashWorld:
        prefix = f"play-{next(numbers)}-"
        return case.set_up(CrashWorld(emulated_aws(make_tables(tables.dynamodb, prefix), prefix)))

    there = Enumeration(case, fresh, every=10, watching=False)
    here = Enumeration(case, in_memory_from(case), watching=False)
    assert there.undisturbed() == here.undisturbed()
    if ALL:
        tally: Tally = there.explore()
        assert tally.broken == []
        assert tally.points
