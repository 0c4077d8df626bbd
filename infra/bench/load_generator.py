"""Generate load: concurrent buyers as threads in several processes. Each buyer asks once, then the next one follows."""

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
from infra.bench.environment import STOCK, BenchEnvironment, RunningEmulator
from infra.bench.strategies import STRATEGIES, Attempt

PROCESSES: Final = 2
"""Each process has its own interpreter lock. More do not help while the emulator uses one of two cores."""


@dataclass(frozen=True, slots=True)
class LoadRound:
    """``buyers`` who each ask once for a unit of one of ``drops`` in turn."""

    strategy: str
    drops: tuple[str, ...]
    first_buyer: int
    buyers: int


@dataclass(slots=True)
class LoadResult:
    """The result of a round. ``taken`` and ``refused`` are the seconds of each answer."""

    began: float
    ended: float
    cpu_seconds: float
    taken: array[float]
    refused: array[float]

    @property
    def seconds(self) -> float:
        return self.ended - self.began


class LoadGenerator:
    """Concurrent buyers in processes that keep their connections open between rounds."""

    def __init__(self, pipes: Sequence[Connection]) -> None:
        self._pipes = pipes
        self._next_buyer = 0

    def run(self, strategy: str, drops: tuple[str, ...], buyers: int) -> LoadResult:
        """Run a round. The processes share the buyers evenly, and no buyer asks twice."""
        each = -(-buyers // len(self._pipes))
        left = buyers
        for pipe in self._pipes:
            share = min(each, left)
            pipe.send(LoadRound(strategy, drops, self._next_buyer, share))
            self._next_buyer += share
            left -= share
        parts = [pipe.recv() for pipe in self._pipes]
        for part in parts:
            if isinstance(part, BaseException):
                raise part
        return _combine(parts)


@contextmanager
def load_generator(emulator: RunningEmulator, buyers: int) -> Iterator[LoadGenerator]:
    """Start the processes for ``buyers`` concurrent buyers, and stop them at the end."""
    spawn = multiprocessing.get_context("spawn")
    shares = [buyers // PROCESSES] * PROCESSES if buyers >= PROCESSES else [buyers]
    pipes, workers = [], []
    try:
        for threads in shares:
            parent_end, child_end = spawn.Pipe()
            worker = spawn.Process(target=_worker, args=(child_end, emulator.variables, threads), daemon=True)
            worker.start()
            pipes.append(parent_end)
            workers.append(worker)
        for pipe in pipes:
            pipe.recv()
        yield LoadGenerator(pipes)
    finally:
        for pipe in pipes:
            pipe.close()
        for worker in workers:
            worker.join(timeout=10)
            if worker.is_alive():
                worker.terminate()


def _combine(parts: Sequence[LoadResult]) -> LoadResult:
    whole = parts[0]
    for part in parts[1:]:
        whole.began = min(whole.began, part.began)
        whole.ended = max(whole.ended, part.ended)
        whole.cpu_seconds += part.cpu_seconds
        whole.taken.extend(part.taken)
        whole.refused.extend(part.refused)
    return whole


def _worker(pipe: Connection, environment: dict[str, str], threads: int) -> None:
    """Run rounds in a process of the load generator. Discards the metrics that the product prints."""
    os.environ.update(environment)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    bench_env = BenchEnvironment.of(client("dynamodb"))
    attempts = {name: strategy(bench_env) for name, strategy in STRATEGIES.items()}
    with ThreadPoolExecutor(threads) as executor:
        for _ in range(3):  # a connection for each thread
            list(
                executor.map(
                    lambda _: bench_env.dynamodb.get_item(TableName=STOCK, Key={"pk": {"S": "-"}}), range(threads)
                )
            )
        pipe.send("ready")
        while True:
            try:
                load_round: LoadRound = pipe.recv()
            except EOFError:
                return
            try:
                pipe.send(_run_round(executor, threads, attempts[load_round.strategy], load_round))
            except Exception as error:
                pipe.send(error)


def _run_round(executor: ThreadPoolExecutor, threads: int, attempt: Attempt, load_round: LoadRound) -> LoadResult:
    places = count()

    def buyer_after_buyer() -> tuple[array[float], array[float]]:
        taken, refused = array("d"), array("d")
        while (place := next(places)) < load_round.buyers:
            asked = time.perf_counter()
            took = attempt(load_round.drops[place % len(load_round.drops)], load_round.first_buyer + place)
            (taken if took else refused).append(time.perf_counter() - asked)
        return taken, refused

    result = LoadResult(time.perf_counter(), 0.0, -time.process_time(), array("d"), array("d"))
    for waiting in [executor.submit(buyer_after_buyer) for _ in range(threads)]:
        taken, refused = waiting.result()
        result.taken.extend(taken)
        result.refused.extend(refused)
    result.ended = time.perf_counter()
    result.cpu_seconds += time.process_time()
    return result
