"""Concurrent calls on a bucket are linearizable: some sequential order explains every answer (Invariants 1a and 2b)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any

import pytest

from chalicelib.stock import Committed, HoldGone, HoldRef, OrderRef, Pool, Stock, Taken, hold_id
from tests.races.faulty_client import NO_FAULTS, ClientFaultRates, FaultyClient
from tests.races.history import BucketRecorder, History, serialise_bucket, stored_bucket_spec
from tests.races.invariants import read_buckets
from tests.races.linearizability import RecordedOperation, is_linearizable
from tests.races.race_harness import MANY_ROUNDS, ROUNDS, RaceHarness, is_caught, report, run_control, sum_figures
from tests.races.sequential_spec import REFUSED, BucketState, HoldState, Operation, bucket_spec

NOW = 1_800_000_000_000
SECONDS = NOW // 1000
HOLD_SECONDS = 8
THREADS, STEPS, NAMES, SIZE = 4, 9, 5, 7
HISTORIES = 4 * ROUNDS
FAULT_RATES = ClientFaultRates(lost=0.02, unanswered=0.04)

VERBS = ("take",) * 5 + ("commit",) * 4 + ("release",) * 2 + ("revert_to_hold", "shrink", "restock", "tombstone", "add")


class RandomCaller:
    """A thread that calls random verbs on a few holds, which it shares with other threads."""

    def __init__(self, stock: Stock, pool: Pool, history: History, verbs: tuple[str, ...], seed: str) -> None:
        self._stock, self._pool, self._history = stock, pool, history
        self._verbs, self._random = verbs, Random(seed)

    def run(self) -> None:
        for step in range(STEPS):
            self._step(SECONDS + 2 * step + self._random.randrange(3))

    def _step(self, now: int) -> None:
        random, number = self._random, self._random.randrange(NAMES)
        verb, held = random.choice(self._verbs), 1 + number % 4
        order = OrderRef(f"{number if random.random() < 0.9 else 99:09d}", random.randint(1, 3))
        believed = random.randint(1, held)
        operation = Operation(
            verb, hold_id(f"p{number}", "d", 1, held), believed=believed, now=now, expires_at=now + HOLD_SECONDS,
            order=order, quantity=held if verb == "take" else random.randint(verb != "restock", believed),
            plan=random.randint(1, 3),
        )  # fmt: skip
        if verb in {"take", "release", "tombstone", "add"}:
            operation = replace(operation, order=None, believed=0, quantity=2 if verb == "add" else operation.quantity)
        self._history.add(operation, partial(self._answer, operation))

    def _answer(self, operation: Operation) -> Any:
        stock, pool = self._stock, self._pool
        ref = HoldRef(operation.name, 0, max(operation.believed, operation.quantity), operation.expires_at)
        order = operation.order or OrderRef(f"{0:09d}", 0)
        match operation.verb:
            case "take":
                taken = stock.take(
                    pool, operation.name, operation.quantity, operation.expires_at, None, now=operation.now * 1000
                )
                if not isinstance(taken, Taken):
                    return REFUSED
                return taken.hold.quantity, taken.hold.expires_at, taken.committed
            case "commit":
                return stock.commit(pool, ref, operation.quantity, order)
            case "revert_to_hold":
                return stock.revert_to_hold(pool, ref, order, operation.expires_at)
            case "release":
                return stock.release(pool, ref)
            case "shrink":
                return stock.shrink(pool, ref, operation.quantity)
            case "restock":
                return stock.restock(pool, ref, order, operation.believed, operation.quantity)
            case "tombstone":
                return stock.tombstone(pool, operation.name)
            case _:
                stock.add_units(pool, operation.plan, operation.quantity, operation.now * 1000)
                return True


def record_run(
    harness: RaceHarness, drop_id: str, sizes: list[int], verbs: tuple[str, ...], *, reads_then_writes: bool = False
) -> tuple[History, BucketRecorder]:
    """Run threads on a new drop. Return the history of their verbs, and the histories of the buckets."""
    tables, client = harness.tables("control" if reads_then_writes else "race"), harness.account.client("dynamodb")
    pool = Pool(drop_id, len(sizes))
    Stock(client, tables.stock, tables.commerce).create_buckets(drop_id, sizes, NOW)
    client_with_faults = FaultyClient(client, tables.stock, FAULT_RATES, drop_id, reads_then_writes=reads_then_writes)
    recorder, history = BucketRecorder(client_with_faults, tables.stock), History()
    stock = Stock(recorder, tables.stock, tables.commerce)  # type: ignore[arg-type]
    with ThreadPoolExecutor(THREADS) as executor:
        callers = [RandomCaller(stock, pool, history, verbs, f"{drop_id}/{number}") for number in range(THREADS)]
        for one in [executor.submit(caller.run) for caller in callers]:
            one.result()
    client_with_faults.faults = NO_FAULTS
    history.add(Operation("read"), lambda: _bucket_state(read_buckets(recorder, tables.stock, pool)[0]))
    return history, recorder


def _bucket_state(bucket: Mapping[str, Any]) -> BucketState:
    holds = {name: HoldState(entry["q"], entry.get("u"), entry.get("o")) for name, entry in bucket["h"].items()}
    return BucketState(bucket["a"], tuple(sorted(holds.items(), key=lambda one: one[0])), bucket.get("p", 0))


def check_verbs(harness: RaceHarness, number: int, *, reads_then_writes: bool = False) -> Counter[str]:
    """Check the verbs of one run on one bucket, and check again with forged answers."""
    history, _ = record_run(harness, f"verbs-{number}", [SIZE], VERBS, reads_then_writes=reads_then_writes)
    events = history.events
    found = Counter(histories=1, events=len(events), unanswered=sum(not event.answered for event in events))
    found["not_linearizable"] += not is_linearizable(events, BucketState(SIZE), bucket_spec)
    if not reads_then_writes:
        found["forged"] += 1
        found["forged_and_caught"] += not is_linearizable(_with_lost_update(events), BucketState(SIZE), bucket_spec)
        sold = [index for index, event in enumerate(events) if isinstance(event.answer, Committed)]
        shrunk = [index for index, event in enumerate(events) if event.operation.verb == "shrink" and event.answer]
        for name, forged_answer, indexes in (("sales", HoldGone(), sold), ("shrinks", False, shrunk)):
            for index in indexes:
                forged_history = [*events[:index], replace(events[index], answer=forged_answer), *events[index + 1 :]]
                found[f"forged_{name}"] += 1
                found[f"forged_{name}_caught"] += not is_linearizable(forged_history, BucketState(SIZE), bucket_spec)
    return found


def _with_lost_update(events: list[RecordedOperation]) -> list[RecordedOperation]:
    """Add a unit to the last reading, as a lost update would. (Plans add two units.)"""
    last = events[-1]
    return [*events[:-1], replace(last, answer=replace(last.answer, available=last.answer.available + 1))]


def check_buckets(harness: RaceHarness, number: int, *, reads_then_writes: bool = False) -> Counter[str]:
    """Check the reads and writes of each bucket in a run on three, with pointers, fences and overflow."""
    sizes = [4, 3, 3]
    _, recorder = record_run(harness, f"buckets-{number}", sizes, VERBS, reads_then_writes=reads_then_writes)
    found: Counter[str] = Counter()
    for bucket, size in enumerate(sizes):
        key = f"buckets-{number}#{bucket}"
        events = recorder.histories[key]
        start = serialise_bucket({"pk": key, "a": size, "s": size, "h": {}})
        found.update(histories=1, events=len(events), unanswered=sum(not event.answered for event in events))
        found["not_linearizable"] += not is_linearizable(events, start, stored_bucket_spec)
    return found


@pytest.mark.parametrize("checked", [check_verbs, check_buckets])
def test_concurrent_runs_are_linearizable(harness: RaceHarness, checked: Callable[..., Counter[str]]) -> None:
    figures = sum_figures(checked(harness, number) for number in range(HISTORIES))
    control = run_control(partial(checked, harness, reads_then_writes=True))
    report(f"linearity, {checked.__name__}", harness.engine, figures, control)
    assert figures["not_linearizable"] == 0
    assert figures["forged_and_caught"] == figures["forged"]
    assert 2 * figures["forged_sales_caught"] >= figures["forged_sales"]  # another order explains a few
    if checked is check_verbs:
        assert figures["forged_sales"] > 0
        assert ROUNDS < MANY_ROUNDS or figures["forged_shrinks_caught"] > 0  # few holds are used again after a shrink
    assert is_caught(control), "reading, then writing, was not caught"


def test_shrink_that_writes_nothing_is_caught(harness: RaceHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control for shrink: it answers success and writes nothing."""
    monkeypatch.setattr(Stock, "shrink", lambda self, pool, hold, keep, expires_at=None: True)
    assert is_caught(run_control(lambda number: check_verbs(harness, 1_000_000 + number)))


def test_shrunk_and_expired_hold_is_taken_again_with_its_units(harness: RaceHarness) -> None:
    tables, pool = harness.tables("race"), Pool("shrunk", 1)
    stock = Stock(harness.account.client("dynamodb"), tables.stock, tables.commerce)
    stock.create_buckets("shrunk", [SIZE], NOW)
    first = stock.take(pool, name := hold_id("p", "d", 1, 4), 4, SECONDS + 8, None, now=NOW)
    assert isinstance(first, Taken)
    assert stock.shrink(pool, first.hold, 2)
    again = stock.take(pool, name, 4, SECONDS + 18, None, now=NOW + 10_000)
    assert isinstance(again, Taken)
    assert again.hold.quantity == 2


A = Operation("take", "a", 1, expires_at=SECONDS + 8, now=SECONDS)
B = replace(A, name="b")
HELD = (1, SECONDS + 8, False)


@pytest.mark.parametrize(
    ("history", "possible"),
    [
        ([RecordedOperation(0, 3, A, HELD), RecordedOperation(1, 2, B, REFUSED)], True),
        ([RecordedOperation(0, 3, A, HELD), RecordedOperation(1, 2, B, HELD)], False),
        ([RecordedOperation(0, None, A), RecordedOperation(1, 2, B, HELD)], True),
        ([RecordedOperation(0, 3, A, HELD), RecordedOperation(1, 2, Operation("read"), BucketState(1))], True),
        ([RecordedOperation(0, 1, A, HELD), RecordedOperation(2, 3, Operation("read"), BucketState(1))], False),
        (
            [
                RecordedOperation(0, None, A),
                RecordedOperation(1, 2, Operation("read"), BucketState(0, (("a", HoldState(1, SECONDS + 8)),))),
            ],
            True,
        ),
        (
            [
                RecordedOperation(0, 1, Operation("read"), BucketState(0, (("a", HoldState(1, SECONDS + 8)),))),
                RecordedOperation(2, None, A),
            ],
            False,
        ),
    ],
    ids=["one wins", "both win", "lost or late", "read before", "read stale", "late and read", "read too early"],
)
def test_checker_separates_possible_from_impossible_histories(history: list[RecordedOperation], possible: bool) -> None:
    assert is_linearizable(history, BucketState(1), bucket_spec) == possible
