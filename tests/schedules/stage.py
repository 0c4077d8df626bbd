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
from tests.schedules.table import Table

LIFETIME: Instant = 55 * SECOND
"""How long a function and its SDK's calls live at most: less than a fence."""

STEPS: Final[tuple[Instant, ...]] = (1, 10, 40)
"""How long a step of a play may take."""


@dataclass(frozen=True)
class Faults:
    """The share of an actor's calls that are cut (lost, or done with the answer lost), and of writes that land late."""

    cut: float = 0.0
    late: float = 0.0


FAULTS: Final = {
    "doubled": Faults(),
    "doubled and cut": Faults(cut=0.15),
    "doubled and late": Faults(late=0.1),
    "doubled, cut and late": Faults(cut=0.12, late=0.07),
}


class Actor:
    """One process doing ``play``, whose calls have ``faults``.

    Give each a client and a Stock of its own: a lock that two of them share would never be let go.
    """

    def __init__(self, stage: Stage, play: Callable[[], None], faults: Faults) -> None:
        self.faults, self.born, self.resting = faults, stage.now, False
        self._stage = stage
        self._greenlet = greenlet(play)

    @property
    def done(self) -> bool:
        return self._greenlet.dead

    def go_on(self) -> None:
        """Let it run to its next call, or to its end. What it raises is raised here."""
        self._stage.running = self
        self._greenlet.switch()
        self._stage.running = None

    def wait(self) -> None:
        """To be called by the actor itself: the stage goes on."""
        assert self._greenlet.parent is not None
        self._greenlet.parent.switch()

    def end(self) -> None:
        """Its process is gone, wherever it stood."""
        self._stage.running = self
        self._greenlet.throw()
        self._stage.running = None


class Stage:
    """The table, the clock, the actors, and what is still under way to the table. ``check`` runs after every write.

    Each step takes a while, in some plays so long that what a process remembers for a second is soon forgotten.
    ``happened`` counts what befell the calls, so that a run can show that it met what it is about.
    """

    def __init__(self, seed: int, check: Callable[[], None]) -> None:
        self.random = Random(seed)
        self.table = Table()
        self.now: Instant = 1_800_000_000_000
        self.running: Actor | None = None
        self.over = False
        self.client: Any = _Client(self)
        self.happened: Counter[str] = Counter()
        self._step = self.random.choice(STEPS)
        self._check = check
        self._actors: list[Actor] = []
        self._under_way: list[tuple[Instant, Callable[[], Any]]] = []

    def actor(self, play: Callable[[], None], faults: Faults = Faults()) -> Actor:
        """Bring an actor on. It does nothing before its first turn."""
        self._actors.append(Actor(self, play, faults))
        return self._actors[-1]

    def pass_time(self, milliseconds: Instant) -> None:
        """Time goes on; what is older than a function can live ends, with its writes."""
        self.now += milliseconds
        self._under_way = [(born, write) for born, write in self._under_way if born + LIFETIME > self.now]
        for actor in self._actors:
            if not (actor.done or actor.resting) and actor.born + LIFETIME <= self.now:
                actor.end()
                self.happened["processes died"] += 1

    def play(self, leaps: tuple[Instant, ...] = ()) -> None:
        """Until all actors are done. At each step perhaps a late write lands, or time leaps by one of ``leaps``.

        In some plays often, so that most processes die; in others seldom or never, so that much goes on at once.
        """
        leaping = self.random.choice([0.0, 0.01, 0.05]) if leaps else 0.0
        try:
            while alive := [actor for actor in self._actors if not actor.done]:
                if self._under_way and self.random.random() < 0.2:
                    self._land(self.random.randrange(len(self._under_way)))
                if self.random.random() < leaping:
                    self.pass_time(self.random.choice(leaps))
                    continue
                self.random.choice(alive).go_on()
                self.pass_time(self._step)
            while self._under_way:
                self._land(self.random.randrange(len(self._under_way)))
        finally:
            self.running, self.over = None, True
            for actor in self._actors:
                if not actor.done:
                    actor.end()
            self._actors = []

    def call(self, perform: Callable[[], Any], *, writes: bool) -> Any:
        """A call of the running actor. Outside the play (no actor runs) it is simply done."""
        actor = self.running
        if actor is None:
            return perform()
        self.let_others()
        fate, faults = self.random.random(), actor.faults
        if writes and fate < faults.late:
            self._under_way.append((actor.born, perform))
            raise ReadTimeoutError(endpoint_url="stage")
        if faults.late <= fate < faults.late + faults.cut:
            done = writes and self.random.random() < 0.5
            self.happened["answers lost" if done else "calls lost"] += 1
            if done:
                self._do(perform)
            raise ReadTimeoutError(endpoint_url="stage")
        return self._do(perform) if writes else perform()

    @contextmanager
    def asking(self) -> Iterator[None]:
        """A request of the running actor. Who asked outlives the process that was to answer."""
        try:
            yield
        except GreenletExit:
            if self.over:
                raise

    def rests(self, turns: int) -> None:
        """The running actor asks for nothing for a while, however long: its next request is another process's."""
        actor = self.running
        assert actor is not None
        actor.resting = True
        self.let_others(turns)
        actor.resting, actor.born = False, self.now

    def let_others(self, turns: int = 1) -> None:
        """The running actor waits while others go on, perhaps; outside the play nobody waits."""
        if self.running is not None:
            for _ in range(turns):
                self.running.wait()

    def _land(self, index: int) -> None:
        _, perform = self._under_way.pop(index)
        try:
            self._do(perform)
        except (ClientError, OutcomeUnknownError):
            self.happened["late writes refused"] += 1  # nobody is left to hear of it
        else:
            self.happened["late writes landed"] += 1

    def _do(self, perform: Callable[[], Any]) -> Any:
        answer = perform()
        self._check()
        return answer


class _Client:
    """A boto3 client as far as our stores go: every call is a step of the stage."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def get_item(self, **call: Any) -> Any:
        return self._stage.call(lambda: self._stage.table.get_item(**call), writes=False)

    def batch_get_item(self, **call: Any) -> Any:
        """Its items one by one, in any order, with others in between: no snapshot, as DynamoDB's is none."""
        places = [(table, key) for table, request in call["RequestItems"].items() for key in request["Keys"]]
        self._stage.random.shuffle(places)

        def one_by_one() -> dict[str, Any]:
            responses: dict[str, list[Any]] = {table: [] for table in call["RequestItems"]}
            for turn, (table, key) in enumerate(places):
                if turn:
                    self._stage.let_others()
                found = self._stage.table.batch_get_item(RequestItems={table: {"Keys": [key]}})
                responses[table] += found["Responses"][table]
            return {"Responses": responses, "UnprocessedKeys": {}}

        return self._stage.call(one_by_one, writes=False)

    def query(self, **call: Any) -> Any:
        return self._stage.call(lambda: self._stage.table.query(**call), writes=False)

    def scan(self, **call: Any) -> Any:
        return self._stage.call(lambda: self._stage.table.scan(**call), writes=False)

    def get_paginator(self, operation: str) -> Any:
        return self._stage.table.get_paginator(operation)

    def put_item(self, **call: Any) -> Any:
        return self._stage.call(lambda: self._stage.table.put_item(**call), writes=True)

    def transact_write_items(self, **call: Any) -> Any:
        return self._stage.call(lambda: self._stage.table.transact_write_items(**call), writes=True)

    def update_item(self, **call: Any) -> Any:
        return self._stage.call(lambda: self._stage.table.update_item(**call), writes=True)
