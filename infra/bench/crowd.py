"""A crowd: buyers at the same time, as threads spread over processes, each asking once and making room for the next."""

from __future__ import annotations

import multiprocessing
import os
import time
from array import array
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from typing import Final

from chalicelib.aws import client
from infra.bench.ground import STOCK, Ground, Site
from infra.bench.ways import WAYS, Attempt

PROCESSES: Final = 2
"""One interpreter lock each; more do not help where the engine has one of two cores."""


@dataclass(frozen=True, slots=True)
class Round:
    """``buyers`` ask once each, for a unit of one of ``drops`` in turn."""

    way: str
    drops: tuple[str, ...]
    first_buyer: int
    buyers: int


@dataclass(slots=True)
class Played:
    """What a round came to. ``taken`` and ``refused`` are the seconds that each answer took."""

    began: float
    ended: float
    cpu_seconds: float
    taken: array[float]
    refused: array[float]

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class Crowd:
    """``buyers`` at a time, in processes that stay, with their connections open."""

    def __init__(self, pipes: Sequence[Connection]) -> None:
        self._pipes = pipes
        self._next_buyer = 0

    def play(self, way: str, drops: tuple[str, ...], buyers: int) -> Played:
        """Play a round; buyers are shared out evenly between the processes, and none asks twice."""
        each = -(-buyers // len(self._pipes))
        left = buyers
        for pipe in self._pipes:
            share = min(each, left)
            pipe.send(Round(way, drops, self._next_buyer, share))
            self._next_buyer += share
            left -= share
        parts = [pipe.recv() for pipe in self._pipes]
        for part in parts:
            if isinstance(part, BaseException):
                raise part
        return _together(parts)


@contextmanager
def crowd(site: Site, buyers: int) -> Iterator[Crowd]:
    """A crowd of ``buyers`` at a time; its processes end with it."""
    spawn = multiprocessing.get_context("spawn")
    shares = [buyers // PROCESSES] * PROCESSES if buyers >= PROCESSES else [buyers]
    pipes, members = [], []
    try:
        for threads in shares:
            ours, theirs = spawn.Pipe()
            member = spawn.Process(target=_member, args=(theirs, site.environment, threads), daemon=True)
            member.start()
            pipes.append(ours)
            members.append(member)
        for pipe in pipes:
            pipe.recv()
        yield Crowd(pipes)
    finally:
        for pipe in pipes:
            pipe.close()
        for member in members:
            member.join(timeout=10)
            if member.is_alive():
                member.terminate()


def _together(parts: Sequence[Played]) -> Played:
    whole = parts[0]
    for part in parts[1:]:
        whole.began = min(whole.began, part.began)
        whole.ended = max(whole.ended, part.ended)
        whole.cpu_seconds += part.cpu_seconds
        whole.taken.extend(part.taken)
        whole.refused.extend(part.refused)
    return whole


def _member(pipe: Connection, environment: dict[str, str], threads: int) -> None:
    """A process of the crowd. What the product's metrics print is not part of a benchmark's output."""
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    here = Ground.of(client("dynamodb"))
    ways = {name: way(here) for name, way in WAYS.items()}
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(3):  # a connection for each thread
            list(pool.map(lambda _: here.dynamodb.get_item(TableName=STOCK, Key={"pk": {"S": "-"}}), range(threads)))
        pipe.send("ready")
        while True:
            try:
                todo: Round = pipe.recv()
            except EOFError:
                return
            try:
                pipe.send(_play(pool, threads, ways[todo.way], todo))
            except Exception as error:
                pipe.send(error)


def _play(pool: ThreadPoolExecutor, threads: int, attempt: Attempt, todo: Round) -> Played:
    places = count()

    def buyer_after_buyer() -> tuple[array[float], array[float]]:
        taken, refused = array("d"), array("d")
        while (place := next(places)) < todo.buyers:
            asked = time.perf_counter()
            took = attempt(todo.drops[place % len(todo.drops)], todo.first_buyer + place)
            (taken if took else refused).append(time.perf_counter() - asked)
        return taken, refused

    played = Played(time.perf_counter(), 0.0, -time.process_time(), array("d"), array("d"))
    for waiting in [pool.submit(buyer_after_buyer) for _ in range(threads)]:
        taken, refused = waiting.result()
        played.taken.extend(taken)
        played.refused.extend(refused)
    played.ended = time.perf_counter()
    played.cpu_seconds += time.process_time()
    return played
