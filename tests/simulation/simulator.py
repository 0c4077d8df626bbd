"""A deterministic simulator: processes are coroutines, one runs at a time, and each AWS call is a place to switch.

A seed determines the whole schedule: which process continues at each call, which call is cut, and which write is late.
A cut call is lost, or it takes effect and its answer is lost. A late write takes effect after its caller gave up. The
simulator has its own clock. A process or late write that is older than a function's longest lifetime ends.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, ReadTimeoutError
from greenlet import GreenletExit, greenlet

from chalicelib.errors import InvariantBroken, LivedropError
from chalicelib.instants import SECOND, Instant
from chalicelib.payments import OutcomeUnknownError, ProviderBusyError
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB

MAX_FUNCTION_LIFETIME: Instant = 55 * SECOND
"""The longest lifetime of a function, with the calls of its SDK. It is shorter than the lifetime of a fence."""

RETRYABLE_ERRORS: Final[tuple[type[Exception], ...]] = (
    BotoCoreError,
    OutcomeUnknownError,
    ProviderBusyError,
    *(kind for kind in LivedropError.__subclasses__() if kind is not InvariantBroken),
)
"""How a lost call, a rival's write or a silent provider ends a request or a message. Its sender sends it again.

A broken invariant is no such end: no schedule may bring it about.
"""

STEP_DURATIONS: Final[tuple[Instant, ...]] = (1, 10, 40)
"""Durations of one step. A schedule uses one of them throughout."""


@dataclass(frozen=True)
class FaultRates:
    """The shares of a process's calls that are cut (``unanswered``), and of its writes that are late.

    The names of fault classes say *doubled* where each request is sent twice.
    """

    unanswered: float = 0.0
    delayed_writes: float = 0.0


FAULT_CLASSES: Final = {
    "doubled": FaultRates(),
    "doubled and cut": FaultRates(unanswered=0.15),
    "doubled and late": FaultRates(delayed_writes=0.1),
    "doubled, cut and late": FaultRates(unanswered=0.12, delayed_writes=0.07),
}


class SimulatedProcess:
    """A process that runs ``body``, and whose calls have ``faults``.

    Each process needs its own client and its own ``Stock``: two processes that share a lock would block for ever.
    """

    def __init__(self, simulator: Simulator, body: Callable[[], None], faults: FaultRates) -> None:
        self.faults, self.started_at, self.idle = faults, simulator.now, False
        self._simulator = simulator
        self._greenlet = greenlet(body)

    @property
    def done(self) -> bool:
        return self._greenlet.dead

    def resume(self) -> None:
        """Run the process to its next call or to its end. Its exceptions propagate."""
        self._simulator.running_process = self
        self._greenlet.switch()
        self._simulator.running_process = None

    def yield_control(self) -> None:
        """Return control to the simulator. The process itself calls this."""
        assert self._greenlet.parent is not None
        self._greenlet.parent.switch()

    def kill(self) -> None:
        """End the process at its present call."""
        self._simulator.running_process = self
        self._greenlet.throw()
        self._simulator.running_process = None


class Simulator:
    """The table, the clock, the processes, and the writes that are late. Invariants are checked after every write.

    Each step takes time. In some schedules it takes so long that a cache of one second is soon stale. ``events_seen``
    counts the faults and results of calls, so that a search can show that it met the events it is about.
    """

    def __init__(self, seed: int, check_invariants: Callable[[], None]) -> None:
        self.random = Random(seed)
        self.table = StrictFakeDynamoDB()
        self.now: Instant = 1_800_000_000_000
        self.running_process: SimulatedProcess | None = None
        self.finished = False
        self.client: Any = _SimulatedClient(self)
        self.events_seen: Counter[str] = Counter()
        self._step_duration = self.random.choice(STEP_DURATIONS)
        self._check_invariants = check_invariants
        self._processes: list[SimulatedProcess] = []
        self._delayed_writes: list[tuple[Instant, Callable[[], Any]]] = []

    def add_process(self, body: Callable[[], None], faults: FaultRates = FaultRates()) -> SimulatedProcess:
        """Add a process. It does nothing before its first turn."""
        self._processes.append(SimulatedProcess(self, body, faults))
        return self._processes[-1]

    def advance_clock(self, milliseconds: Instant) -> None:
        """Advance the clock, and end the processes and late writes that are now too old."""
        self.now += milliseconds
        self._delayed_writes = [
            (started_at, write)
            for started_at, write in self._delayed_writes
            if started_at + MAX_FUNCTION_LIFETIME > self.now
        ]
        for process in self._processes:
            if not (process.done or process.idle) and process.started_at + MAX_FUNCTION_LIFETIME <= self.now:
                process.kill()
                self.events_seen["processes died"] += 1

    def run(self, clock_jumps: tuple[Instant, ...] = ()) -> None:
        """Run until all processes have ended. At a step, a late write may take effect or the clock may jump.

        In some schedules the clock jumps often, so that most processes die. In others it jumps seldom or never, so
        that many calls overlap.
        """
        jump_probability = self.random.choice([0.0, 0.01, 0.05]) if clock_jumps else 0.0
        try:
            while unfinished := [process for process in self._processes if not process.done]:
                if self._delayed_writes and self.random.random() < 0.2:
                    self._apply_delayed_write(self.random.randrange(len(self._delayed_writes)))
                if self.random.random() < jump_probability:
                    self.advance_clock(self.random.choice(clock_jumps))
                    continue
                self.random.choice(unfinished).resume()
                self.advance_clock(self._step_duration)
            while self._delayed_writes:
                self._apply_delayed_write(self.random.randrange(len(self._delayed_writes)))
        finally:
            self.running_process, self.finished = None, True
            for process in self._processes:
                if not process.done:
                    process.kill()
            self._processes = []

    def call(self, perform: Callable[[], Any], *, writes: bool) -> Any:
        """Make a call of the running process. Outside a run the call has no faults."""
        process = self.running_process
        if process is None:
            return perform()
        self.yield_to_others()
        draw, faults = self.random.random(), process.faults
        if writes and draw < faults.delayed_writes:
            self._delayed_writes.append((process.started_at, perform))
            raise ReadTimeoutError(endpoint_url="simulator")
        if faults.delayed_writes <= draw < faults.delayed_writes + faults.unanswered:
            performed = writes and self.random.random() < 0.5
            self.events_seen["answers lost" if performed else "calls lost"] += 1
            if performed:
                self._perform_and_check(perform)
            raise ReadTimeoutError(endpoint_url="simulator")
        return self._perform_and_check(perform) if writes else perform()

    @contextmanager
    def client_request(self) -> Iterator[None]:
        """Make a request of the running process. The client survives the death of the process that serves it."""
        try:
            yield
        except GreenletExit:
            if self.finished:
                raise

    def stay_idle(self, turns: int) -> None:
        """Pause the running process for some turns. Its age does not count: its next request runs in a new process."""
        process = self.running_process
        assert process is not None
        process.idle = True
        self.yield_to_others(turns)
        process.idle, process.started_at = False, self.now

    def yield_to_others(self, turns: int = 1) -> None:
        """Let other processes take turns. Outside a run this returns at once."""
        if self.running_process is not None:
            for _ in range(turns):
                self.running_process.yield_control()

    def _apply_delayed_write(self, index: int) -> None:
        _, perform = self._delayed_writes.pop(index)
        try:
            self._perform_and_check(perform)
        except (ClientError, OutcomeUnknownError):
            self.events_seen["late writes refused"] += 1  # the process that made it has given up
        else:
            self.events_seen["late writes landed"] += 1

    def _perform_and_check(self, perform: Callable[[], Any]) -> Any:
        answer = perform()
        self._check_invariants()
        return answer


class _SimulatedClient:
    """The calls of a boto3 client that the stores make. Each call is a step of the simulator."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def get_item(self, **call: Any) -> Any:
        return self._simulator.call(lambda: self._simulator.table.get_item(**call), writes=False)

    def batch_get_item(self, **call: Any) -> Any:
        """Read the items one by one, in random order. Other processes may write in between, as in DynamoDB."""
        places = [(table, key) for table, request in call["RequestItems"].items() for key in request["Keys"]]
        self._simulator.random.shuffle(places)

        def read_one_by_one() -> dict[str, Any]:
            responses: dict[str, list[Any]] = {table: [] for table in call["RequestItems"]}
            for turn, (table, key) in enumerate(places):
                if turn:
                    self._simulator.yield_to_others()
                found = self._simulator.table.batch_get_item(RequestItems={table: {"Keys": [key]}})
                responses[table] += found["Responses"][table]
            return {"Responses": responses, "UnprocessedKeys": {}}

        return self._simulator.call(read_one_by_one, writes=False)

    def query(self, **call: Any) -> Any:
        return self._simulator.call(lambda: self._simulator.table.query(**call), writes=False)

    def scan(self, **call: Any) -> Any:
        return self._simulator.call(lambda: self._simulator.table.scan(**call), writes=False)

    def get_paginator(self, operation: str) -> Any:
        return self._simulator.table.get_paginator(operation)

    def put_item(self, **call: Any) -> Any:
        return self._simulator.call(lambda: self._simulator.table.put_item(**call), writes=True)

    def transact_write_items(self, **call: Any) -> Any:
        return self._simulator.call(lambda: self._simulator.table.transact_write_items(**call), writes=True)

    def update_item(self, **call: Any) -> Any:
        return self._simulator.call(lambda: self._simulator.table.update_item(**call), writes=True)
