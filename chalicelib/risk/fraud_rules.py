"""The rules of risk, without I/O: how many declines are too many, and which declines look like card testing."""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from chalicelib.instants import HOUR, MINUTE, Instant


class VelocityKind(StrEnum):
    """The property of a buyer that declines are counted by."""

    INSTRUMENT = "i"
    EMAIL = "e"
    ADDRESS = "a"


VelocityKey = str
"""One counted value, as a kind and a keyed hash: ``e#…``. Nobody can read the value without the shop's key."""


def velocity_key(key: bytes, kind: VelocityKind, text: str) -> VelocityKey:
    """Hash a text to its velocity key: 64 bits of HMAC-SHA-256.

    The hash uses a key of its own, derived from the shop's ``key``, so that it matches no other hash of the shop.

    Raises: ``ValueError`` without a key.
    """
    if not key:
        raise ValueError("A velocity key needs the shop's key.")
    derived_key = hmac.digest(key, b"declines", hashlib.sha256)
    digest = hmac.digest(derived_key, f"{kind}\0{text}".encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"{kind}#{urlsafe_b64encode(digest[:8]).decode().rstrip('=')}"


@dataclass(frozen=True, slots=True)
class DeclineLimits:
    """How many declines within ``window`` (ms) block an instrument, e-mail or address; 0 means no limit."""

    instrument: int = 0
    email: int = 0
    address: int = 0
    window: Instant = HOUR

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read limits from a text such as ``instrument=3,email=5,address=10,minutes=60``; no text means no limits.

        Raises: ``ValueError`` naming the number that is wrong.
        """
        numbers = _parse_numbers("decline limits", text, {"instrument": 0, "email": 0, "address": 0, "minutes": 1})
        if numbers is None:
            return cls()
        return cls(numbers["instrument"], numbers["email"], numbers["address"], numbers["minutes"] * MINUTE)

    def limit_of(self, kind: VelocityKind) -> int:
        """Return the limit of one kind."""
        return {
            VelocityKind.INSTRUMENT: self.instrument,
            VelocityKind.EMAIL: self.email,
            VelocityKind.ADDRESS: self.address,
        }[kind]


@dataclass(frozen=True, slots=True)
class TooManyDeclines:
    """A limit that is reached. The buyer can try again ``retry_after`` ms from now."""

    kind: VelocityKind
    retry_after: Instant


def exceeded_limit(
    limits: DeclineLimits, declines: Mapping[VelocityKey, Iterable[Instant]], now: Instant
) -> TooManyDeclines | None:
    """Return the reached limit with the longest wait; None when the buyer may try again.

    A decline counts from its instant until just before ``window`` later.
    """
    exceeded = []
    for key, instants in declines.items():
        kind = VelocityKind(key.partition("#")[0])
        limit, counted = limits.limit_of(kind), sorted(at for at in instants if at > now - limits.window)
        if limit and len(counted) >= limit:
            exceeded.append(TooManyDeclines(kind, counted[-limit] + limits.window - now))
    return max(exceeded, key=lambda limit: limit.retry_after, default=None)


@dataclass(frozen=True, slots=True)
class StepUpRule:
    """When a drop starts to ask each buyer for 3-D Secure, and for how long.

    The step-up begins with ``declines`` attempts declined within ``window`` (ms), if these are at least ``percent`` of
    all units tried for. It ends after ``duration`` (ms). With 0 declines it never begins, and the risk room reads and
    writes nothing.
    """

    declines: int = 0
    percent: int = 100
    window: Instant = 5 * MINUTE
    duration: Instant = 30 * MINUTE

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the rule from a text such as ``declines=30,percent=40,within_minutes=5,minutes=30``; no text: never.

        Raises: ``ValueError`` naming the number that is wrong.
        """
        numbers = _parse_numbers("step-up", text, {"declines": 0, "percent": 1, "within_minutes": 1, "minutes": 1})
        if numbers is None:
            return cls()
        if numbers["percent"] > 100:
            raise ValueError("step-up: percent must be 100 at most.")
        window, duration = numbers["within_minutes"] * MINUTE, numbers["minutes"] * MINUTE
        return cls(numbers["declines"], numbers["percent"], window, duration)

    def is_triggered(self, declines: int, declined_units: int, sold_units: int) -> bool:
        """Return whether these declines, beside these sales, look like card testing."""
        tried = declined_units + max(sold_units, 0)
        return 0 < self.declines <= declines and declined_units * 100 >= self.percent * tried


@dataclass(frozen=True, slots=True)
class DropRisk:
    """Declines of a drop in its latest window, and the end of its step-up."""

    window_began: Instant = 0
    declines: int = 0
    declined_units: int = 0
    sold_before: int = 0
    """Units sold before the window began."""
    step_up_until: Instant = 0
    step_up_since: Instant = 0
    step_up_by: str | None = None
    """``declines``, or the operator who set the step-up."""


@dataclass(frozen=True, slots=True)
class FraudRules:
    """A shop's choice of limits and step-up."""

    limits: DeclineLimits = DeclineLimits()
    step_up: StepUpRule = StepUpRule()

    @classmethod
    def parse(cls, limits: str, step_up: str) -> Self:
        """Read both rules from the texts of the template's parameters.

        Raises: ``ValueError`` naming the number that is wrong.
        """
        return cls(DeclineLimits.parse(limits), StepUpRule.parse(step_up))


NO_LIMITS: Final = FraudRules()


def _parse_numbers(setting: str, text: str, minimums: Mapping[str, int]) -> dict[str, int] | None:
    if not text.strip():
        return None
    numbers: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = (side.strip() for side in part.partition("="))
        if name not in minimums or name in numbers:
            raise ValueError(f"{setting}: {name!r} must be one of {', '.join(minimums)}, once.")
        if not re.fullmatch(r"[0-9]{1,6}", value) or int(value) < minimums[name]:
            raise ValueError(f"{setting}: {name} must be a whole number from {minimums[name]} to 999999.")
        numbers[name] = int(value)
    for name in minimums:
        if name not in numbers:
            raise ValueError(f"{setting}: {name} is missing.")
    return numbers
