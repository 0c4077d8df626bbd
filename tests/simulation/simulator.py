"""A deterministic stage: actors are coroutines of which one runs at a time, and each AWS call is a place to switch.

The same seed gives the same play: which actor goes on, which call is cut (lost, or done with its answer lost), which
write lands late. Time is the stage's; an actor or late write older than a function can live is gone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any, Final

from botocore.exceptions import ClientError, ReadTimeoutError
from greenlet import GreenletExit, greenlet

from chalicelib.instants import SECOND, Instant
from chalicelib.payments import OutcomeUnknownError
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB

MAX_FUNCTION_LIFETIME: Instant = 55 * SECOND
"""How long a function and its SDK's calls live at most: less than a fence."""

STEP_DURATIONS: Final[tuple[Instant, ...]] = (1, 10, 40)
"""How long a step of a play may take."""


@dataclass(frozen=True)
class FaultRates:
    """The share of an actor's calls that are cut (lost, or done with the answer lost), and of writes that land late."""

    unanswered: float = 0.0
    delayed_writes: float = 0.0


FAULT_CLASSES: Final = {
    "doubled": FaultRates(),
    "doubled and cut": FaultRates(unanswered=0.15),
    "doubled and late": FaultRates(delayed_writes=0.1),
    "doubled, cut and late": FaultRates(unanswered=0.12, delayed_writes=0.07),
}


class SimulatedProcess:
    """One process doing ``play``, whose calls have ``faults``.

    Give each a client and a Stock of its own: a lock that two of them share would never be let go.
    """

    def __init__(self, simulator: Simulator, body: Callable[[], None], faults: FaultRates) -> None:
        self.faults, self.started_at, self.idle = faults, simulator.now, False
        self._simulator = simulator
        self._greenlet = greenlet(body)

    @property
    def done(self) -> bool:
        return self._greenlet.dead

    def resume(self) -> None:
        """Let it run to its next call, or to its end. What it raises is raised here."""
        self._simulator.running_process = self
        self._greenlet.switch()
        self._simulator.running_process = None

    def yield_control(self) -> None:
        """To be called by the actor itself: the stage goes on."""
        assert self._greenlet.parent is not None
        self._greenlet.parent.switch()

    def kill(self) -> None:
        """Its process is gone, wherever it stood."""
        self._simulator.running_process = self
        self._greenlet.throw()
        self._simulator.running_process = None


class Simulator:
    """The table, the clock, the actors, and what is still under way to the table. ``check`` runs after every write.

    Each step takes a while, in some plays so long that what a process remembers for a second is soon forgotten.
    ``happened`` counts what befell the calls, so that a run can show that it met what it is about.
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
        """Bring an actor on. It does nothing before its first turn."""
        self._processes.append(SimulatedProcess(self, body, faults))
        return self._processes[-1]

    def advance_clock(self, milliseconds: Instant) -> None:
        """Time goes on; what is older than a function can live ends, with its writes."""
        self.now += milliseconds
        self._delayed_writes = [
            (born, write) for born, write in self._delayed_writes if born + MAX_FUNCTION_LIFETIME > self.now
        ]
        for process in self._processes:
            if not (process.done or process.idle) and process.started_at + MAX_FUNCTION_LIFETIME <= self.now:
                process.kill()
                self.events_seen["processes died"] += 1

    def run(self, clock_jumps: tuple[Instant, ...] = ()) -> None:
        """Until all actors are done. At each step perhaps a late write lands, or time leaps by one of ``leaps``.

        In some plays often, so that most processes die; in others seldom or never, so that much goes on at once.
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
            for actor in self._processes:
                if not actor.done:
                    actor.kill()
            self._processes = []

    def call(self, perform: Callable[[], Any], *, writes: bool) -> Any:
        """A call of the running actor. Outside the play (no actor runs) it is simply done."""
        process = self.running_process
        if process is None:
            return perform()
        self.yield_to_others()
        draw, faults = self.random.random(), process.faults
        if writes and draw < faults.delayed_writes:
            self._delayed_writes.append((process.started_at, perform))
            raise ReadTimeoutError(endpoint_url="stage")
        if faults.delayed_writes <= draw < faults.delayed_writes + faults.unanswered:
            performed = writes and self.random.random() < 0.5
            self.events_seen["answers lost" if performed else "calls lost"] += 1
            if performed:
                self._perform_and_check(perform)
            raise ReadTimeoutError(endpoint_url="stage")
        return self._perform_and_check(perform) if writes else perform()

    @contextmanager
    def client_request(self) -> Iterator[None]:
        """A request of the running actor. Who asked outlives the process that was to answer."""
        try:
            yield
        except GreenletExit:
            if self.finished:
                raise

    def stay_idle(self, turns: int) -> None:
        """The running actor asks for nothing for a while, however long: its next request is another process's."""
        process = self.running_process
        assert process is not None
        process.idle = True
        self.yield_to_others(turns)
        process.idle, process.started_at = False, self.now

    def yield_to_others(self, turns: int = 1) -> None:
        """The running actor waits while others go on, perhaps; outside the play nobody waits."""
        if self.running_process is not None:
            for _ in range(turns):
                self.running_process.yield_control()

    def _apply_delayed_write(self, index: int) -> None:
        _, perform = self._delayed_writes.pop(index)
        try:
            self._perform_and_check(perform)
        except (ClientError, OutcomeUnknownError):
            self.events_seen["late writes refused"] += 1  # nobody is left to hear of it
        else:
            self.events_seen["late writes landed"] += 1

    def _perform_and_check(self, perform: Callable[[], Any]) -> Any:
        answer = perform()
        self._check_invariants()
        return answer


class _SimulatedClient:
    """A boto3 client as far as our stores go: every call is a step of the stage."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator

    def get_item(self, **call: Any) -> Any:
        return self._simulator.call(lambda: self._simulator.table.get_item(**call), writes=False)

    def batch_get_item(self, **call: Any) -> Any:
        """Its items one by one, in any order, with others in between: no snapshot, as DynamoDB's is none."""
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
