"""Run many buyers on a few threads. Each is a generator that yields where other buyers may act."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Final, TypeVar

from chalicelib.aws import AWS_ERRORS
from chalicelib.errors import Unavailable, WriteConflict
from chalicelib.payments import OutcomeUnknownError
from tests.fakes.process_died import ProcessDied
from tests.races.race_clock import RaceClock

ResultT = TypeVar("ResultT")
BuyerSteps = Iterator[None]

NO_ANSWER: Final = (*AWS_ERRORS, WriteConflict, Unavailable, OutcomeUnknownError)
"""Errors after which a client does not know whether its request took effect. It sends the request again."""

_MAX_TRIES: Final = 8


def run_buyers(buyers: Sequence[BuyerSteps], clock: RaceClock, seed: str, *, threads: int, step_ms: int) -> list[str]:
    """Run all buyers until each has ended or died. Up to ``step_ms`` pass between two steps. Return other errors."""
    shares = [list(buyers[thread::threads]) for thread in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        results = [
            pool.submit(_run_share, share, clock, Random(f"{seed}/{thread}"), step_ms)
            for thread, share in enumerate(shares)
        ]
    return [error for one in results for error in one.result()]


def _run_share(buyers: list[BuyerSteps], clock: RaceClock, random: Random, step_ms: int) -> list[str]:
    errors = []
    while buyers:
        buyer = random.choice(buyers)
        try:
            next(buyer)
        except (StopIteration, ProcessDied):
            buyers.remove(buyer)
        except Exception as error:  # a control may raise any error
            errors.append(repr(error))
            buyers.remove(buyer)
        clock.advance(random.randrange(step_ms))
    return errors


def send_until_answered(step: Callable[[], ResultT]) -> ResultT | None:
    """Send a request until its outcome is known. Return None where it stays unknown."""
    for _ in range(_MAX_TRIES):
        try:
            return step()
        except NO_ANSWER:
            continue
    return None


def at_once(*steps: Callable[[], ResultT]) -> list[ResultT | None]:
    """Send requests at the same moment, each until its outcome is known. If a process dies, all requests end first."""
    if len(steps) == 1:
        return [send_until_answered(steps[0])]
    with ThreadPoolExecutor(len(steps)) as pool:
        sent = [pool.submit(send_until_answered, step) for step in steps]
    return [one.result() for one in sent]
