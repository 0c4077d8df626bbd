"""Faults of the network and of Stripe itself, before or after the effect."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

from tests.doubles.stripe.clock import SECOND
from tests.doubles.stripe.state import State

if TYPE_CHECKING:
    from tests.doubles.stripe.api import Request


@dataclass(frozen=True)
class Fault:
    """The fault of one call."""

    kind: Literal["closed", "timeout", "garbage", "answer", "late"]
    after_effect: bool = False
    answer: str = ""
    """The row of the table that is answered."""
    stored: bool = False
    """Whether the idempotency key keeps this answer in place of the true one (I1, I2)."""
    forgotten: bool = False
    """Whether the key forgets even the true answer, so that a repeat is executed once more."""
    takes: int = 0
    """When the effect of a late call happens, in milliseconds after the call."""


Chooser = Callable[["Request", int], Fault | None]
"""Chooses the fault of a call by the request and the number of the call, from 1."""


class Maker(Protocol):
    """Makes a fault that happens before or after the effect."""

    def __call__(self, *, after_effect: bool = False) -> Fault: ...


def closed(*, after_effect: bool = False) -> Fault:
    """Close the connection."""
    return Fault("closed", after_effect)


def timeout(*, after_effect: bool = False) -> Fault:
    """Answer nothing until the client gives up."""
    return Fault("timeout", after_effect)


def garbage(*, after_effect: bool = False) -> Fault:
    """Answer 200 with a body that is no JSON."""
    return Fault("garbage", after_effect)


def server_error(status: int = 500, *, after_effect: bool = False, stored: bool = False) -> Fault:
    """Answer 500, 502, 503 or 504.

    A stored 500 is replayed for a day, and also if the payment went another way (I2, D). A 500 that is not stored
    leaves nothing under the key, even after the effect. After any other the key has the true answer, as a proxy failed.
    """
    row = "server_error" if stored else f"server_error_{status}"
    return Fault("answer", after_effect, row, stored, forgotten=status == 500 and not stored)


def refused(row: str, *, after_effect: bool = False) -> Fault:
    """Answer a row of the table, such as ``key_in_use``, ``lock_timeout`` or ``account_invalid``."""
    return Fault("answer", after_effect, row)


def late(takes: int = 20 * SECOND) -> Fault:
    """Let the client give up, and execute the request ``takes`` milliseconds later. Its key is in use until then."""
    return Fault("late", takes=takes)


def choose(state: State, request: Request) -> Fault | None:
    """Return the fault of this call: the chooser's, else the first in the plan that is for its operation."""
    number = state.count("call")
    if state.chooser is not None:
        chosen: Fault | None = state.chooser(request, number)
        if chosen is not None:
            return chosen
    for position, (operation, fault) in enumerate(state.faults):
        if operation in {None, request.operation}:
            del state.faults[position]
            planned: Fault | None = fault
            return planned
    return None
