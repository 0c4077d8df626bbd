"""Idempotency keys: what is stored, replayed, refused and pruned (I1 to I10)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tests.doubles.stripe.answers import refusal
from tests.doubles.stripe.clock import DAY
from tests.doubles.stripe.state import State

MAX_KEY: Final = 255


@dataclass(frozen=True)
class Stored:
    """The answer under a key. Without a status, the first request is still running."""

    request: str
    at: int
    status: int | None = None
    body: Any = None
    headers: Mapping[str, str] | None = None


def fingerprint(method: str, path: str, sent: Mapping[str, Any]) -> str:
    """Return what must be the same in each use of a key: endpoint and parameters (I5, D)."""
    return json.dumps([method, path, sent], sort_keys=True)


def look_up(state: State, key: str, request: str) -> Stored | None:
    """Return the stored answer to a key; None when the key is new or pruned.

    Raises: ``Refusal`` when another request used the key (I5), or the first one is still running (I6).
    """
    known: Stored | None = state.stored.get(key)
    if known is None or (known.status is not None and known.at + DAY <= state.now):
        return None
    if known.request != request:
        message = "Keys for idempotent requests can only be used with the same parameters they were first used with."
        raise refusal("key_mismatch", message=message)
    if known.status is None:
        raise refusal("key_in_use", message="There is currently another in-progress request using this key.")
    return known


def begin(state: State, key: str, request: str) -> None:
    """Mark a key as running."""
    state.stored[key] = Stored(request, state.now)


def end(state: State, key: str, request: str, answer: tuple[int, Any, Mapping[str, str]] | None) -> None:
    """Store an answer under a key; None: leave nothing, so that the key may be used again (I3)."""
    if answer is None:
        state.stored.pop(key, None)
    else:
        state.stored[key] = Stored(request, state.now, *answer)
