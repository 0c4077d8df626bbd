"""A crowd: many buyers, each a generator that yields where others may come in between, on a few threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Final, TypeVar

from chalicelib.aws import AWS_ERRORS
from chalicelib.errors import Unavailable, WriteConflict
from chalicelib.payments import OutcomeUnknownError
from tests.races.faulty_client import ProcessDied
from tests.races.race_clock import RaceClock

ResultT = TypeVar("ResultT")
BuyerSteps = Iterator[None]

NO_ANSWER: Final = (*AWS_ERRORS, WriteConflict, Unavailable, OutcomeUnknownError)
"""What a request may end with that tells nothing of its effect; whoever sent it sends it again."""

_MAX_TRIES: Final = 8


def run_buyers(buyers: Sequence[BuyerSteps], clock: RaceClock, seed: str, *, threads: int, step_ms: int) -> list[str]:
    """Until every buyer is done or dead. Between two steps up to ``step_ms`` pass. What else was raised is returned."""
    shares = [list(buyers[thread::threads]) for thread in range(threads)]
    with ThreadPoolExecutor(threads) as pool:
        played = [
            pool.submit(_run_share, share, clock, Random(f"{seed}/{thread}"), step_ms)
            for thread, share in enumerate(shares)
        ]
    return [error for one in played for error in one.result()]


def _run_share(buyers: list[BuyerSteps], clock: RaceClock, random: Random, step_ms: int) -> list[str]:
    errors = []
    while buyers:
        buyer = random.choice(buyers)
        try:
            next(buyer)
        except (StopIteration, ProcessDied):
            buyers.remove(buyer)
        except Exception as error:  # a control may raise anything
            errors.append(repr(error))
            buyers.remove(buyer)
        clock.advance(random.randrange(step_ms))
    return errors


def send_until_answered(step: Callable[[], ResultT]) -> ResultT | None:
    """What a request answers, sent again while its outcome is unknown; None: it stays unknown."""
    for _ in range(_MAX_TRIES):
        try:
            return step()
        except NO_ANSWER:
            continue
    return None


def at_once(*steps: Callable[[], ResultT]) -> list[ResultT | None]:
    """Several requests at the same moment, each sent again while its outcome is unknown; in a crash all end first."""
    if len(steps) == 1:
        return [send_until_answered(steps[0])]
    with ThreadPoolExecutor(len(steps)) as pool:
        sent = [pool.submit(send_until_answered, step) for step in steps]
    return [one.result() for one in sent]
