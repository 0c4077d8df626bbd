"""A deterministic stage: actors are threads of which one runs at a time, and each AWS call is a place to switch.

The same seed gives the same play: which actor goes on, which call is cut (lost, or done with its answer lost), which
write lands late. Time is the stage's; an actor or late write older than a function can live is gone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from random import Random
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from chalicelib.instants import SECOND, Instant
from chalicelib.payments import OutcomeUnknownError
from tests.schedules.table import Table

LIFETIME: Instant = 55 * SECOND
"""How long a function and its SDK's calls live at most: less than a fence."""


class _Ended(BaseException):
    """The actor's process is gone; nothing in it may handle that."""


class Actor:
    """One process doing ``play``. ``cut`` and ``late``: the share of its calls that fail, and of writes that lag."""

    def __init__(self, stage: Stage, play: Callable[[], None], cut: float, late: float) -> None:
        self.cut, self.late, self.born = cut, late, stage.now
        self.done, self.ended = False, False
        self.error: BaseException | None = None
        self.turn = threading.Lock()
        self.turn.acquire()
        self._stage, self._play = stage, play
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        self.turn.acquire()
        try:
            if not self.ended:
                self._play()
        except _Ended:
            pass
        except BaseException as error:
            self.error = error
        self.done = True
        self._stage.back.release()

    def go_on(self) -> None:
        """Let it run to its next call, or to its end."""
        self._stage.running = self
        self.turn.release()
        if not self._stage.back.acquire(timeout=30):
            raise RuntimeError(
                "an actor waits for another: give each a process, that is a client and a Stock, of its own"
            )
        if self.done:
            self._thread.join()


class Stage:
    """The table, the clock, the actors, and what is still under way to the table. ``check`` runs after every write."""

    def __init__(self, seed: int, check: Callable[[], None]) -> None:
        self.random = Random(seed)
        self.table = Table()
        self.now: Instant = 1_800_000_000_000
        self.back = threading.Lock()
        self.back.acquire()
        self.running: Actor | None = None
        self.client: Any = _Client(self)
        self._check = check
        self._actors: list[Actor] = []
        self._under_way: list[tuple[Instant, Callable[[], Any]]] = []

    def actor(self, play: Callable[[], None], *, cut: float = 0.0, late: float = 0.0) -> None:
        """Bring an actor on. It does nothing before its first turn."""
        self._actors.append(Actor(self, play, cut, late))

    def pass_time(self, milliseconds: Instant) -> None:
        """Time goes on; what is older than a function can live ends, with its writes."""
        self.now += milliseconds
        self._under_way = [(born, write) for born, write in self._under_way if born + LIFETIME > self.now]
        for actor in self._actors:
            if not actor.done and actor.born + LIFETIME <= self.now:
                actor.ended = True
                actor.go_on()

    def play(self, leaps: tuple[Instant, ...] = ()) -> None:
        """Until all actors are done. At each step perhaps a late write lands, or time leaps by one of ``leaps``."""
        try:
            while alive := [actor for actor in self._actors if not actor.done]:
                if self._under_way and self.random.random() < 0.2:
                    self._land(self.random.randrange(len(self._under_way)))
                if leaps and self.random.random() < 0.05:
                    self.pass_time(self.random.choice(leaps))
                    continue
                self.random.choice(alive).go_on()
            while self._under_way:
                self._land(self.random.randrange(len(self._under_way)))
        finally:
            for actor in self._actors:
                if not actor.done:
                    actor.ended = True
                    actor.go_on()
        for actor in self._actors:
            if actor.error is not None:
                raise actor.error

    def call(self, perform: Callable[[], Any], *, writes: bool) -> Any:
        """A call of the running actor. Outside the play (no actor runs) it is simply done."""
        actor = self.running
        if actor is None:
            return perform()
        self.running = None
        self.back.release()
        actor.turn.acquire()
        if actor.ended:
            raise _Ended
        fate = self.random.random()
        if writes and fate < actor.late:
            self._under_way.append((actor.born, perform))
            raise ReadTimeoutError(endpoint_url="stage")
        if fate < actor.late + actor.cut:
            if self.random.random() < 0.5:
                self._do(perform)
            raise ReadTimeoutError(endpoint_url="stage")
        return self._do(perform)

    def _land(self, index: int) -> None:
        _, perform = self._under_way.pop(index)
        try:
            self._do(perform)
        except (ClientError, OutcomeUnknownError):
            return  # nobody is left to hear of it

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
        return self._stage.call(lambda: self._stage.table.batch_get_item(**call), writes=False)

    def query(self, **call: Any) -> Any:
        return self._stage.call(lambda: self._stage.table.query(**call), writes=False)

    def put_item(self, **call: Any) -> Any:
        return self._stage.call(lambda: self._stage.table.put_item(**call), writes=True)

    def transact_write_items(self, **call: Any) -> Any:
        return self._stage.call(lambda: self._stage.table.transact_write_items(**call), writes=True)

    def update_item(self, **call: Any) -> Any:
        return self._stage.call(lambda: self._stage.table.update_item(**call), writes=True)
