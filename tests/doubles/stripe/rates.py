"""Rate limiters: token buckets for the account, each endpoint, and all searches (T1 to T3, L3)."""

from __future__ import annotations

from collections import Counter
from typing import Final

from tests.doubles.stripe.answers import refusal
from tests.doubles.stripe.clock import SECOND
from tests.doubles.stripe.state import State

ENDPOINT, LIVE, SANDBOX, SEARCH, PAYOUTS = 25, 100, 25, 20, 15
_OWN: Final = {"payment_intents.search": SEARCH, "charges.search": SEARCH}


def limit(state: State, operation: str) -> None:
    """Take one token from each bucket of a call, or refuse it (T3, D). A refused call takes none."""
    if not state.behaviour.limits:
        return
    bucket = "search" if operation.endswith(".search") else operation
    size = PAYOUTS if operation.startswith("payouts.") else _OWN.get(operation, ENDPOINT)
    wanted = {bucket: size, "account": LIVE if state.behaviour.livemode else SANDBOX}
    for name, per_second in wanted.items():
        if _level(state, name, per_second) < 1:
            reason = "global-rate" if name == "account" else "endpoint-rate"
            raise refusal(f"rate_limit_{reason}", message="Too many requests hit the API too quickly.")
    for name, per_second in wanted.items():
        state.buckets[name] = (_level(state, name, per_second) - 1, state.now)


def _level(state: State, name: str, per_second: int) -> float:
    left, at = state.buckets.get(name, (float(per_second), state.now))
    return min(float(per_second), left + (state.now - at) * per_second / SECOND)


def max_calls_in_a_second(state: State, operation: str | None = None) -> int:
    """Return the greatest number of calls that began within any whole second of the clock."""
    seconds = Counter(at // SECOND for at, called in state.calls if operation in {None, called})
    return max(seconds.values(), default=0)
