"""The rules: how many declines are too many, and what looks like card testing. Pure."""

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
    """By what declines are counted."""

    INSTRUMENT = "i"
    EMAIL = "e"
    ADDRESS = "a"


VelocityKey = str
"""What declines are counted of: a kind and a keyed hash, ``e#…``. Only the key could tell what it stands for."""


def velocity_key(key: bytes, kind: VelocityKind, text: str) -> VelocityKey:
    """The mark of a text: 64 bits of HMAC-SHA-256, under a key derived from the shop's for this purpose alone."""
    if not key:
        raise ValueError("a mark needs the shop's key")
    derived_key = hmac.digest(key, b"declines", hashlib.sha256)
    digest = hmac.digest(derived_key, f"{kind}\0{text}".encode("utf-8", "surrogatepass"), hashlib.sha256)
    return f"{kind}#{urlsafe_b64encode(digest[:8]).decode().rstrip('=')}"


@dataclass(frozen=True, slots=True)
class DeclineLimits:
    """How many declines within ``window`` (ms) end the tries of one instrument, e-mail or address; 0: none does."""

    instrument: int = 0
    email: int = 0
    address: int = 0
    window: Instant = HOUR

    def limit_of(self, kind: VelocityKind) -> int:
        """The limit of a kind."""
        return {
            VelocityKind.INSTRUMENT: self.instrument,
            VelocityKind.EMAIL: self.email,
            VelocityKind.ADDRESS: self.address,
        }[kind]


@dataclass(frozen=True, slots=True)
class TooManyDeclines:
    """Who tries was declined too often; ``retry_after`` ms from now it may try again."""

    kind: VelocityKind
    retry_after: Instant


def exceeded_limit(
    limits: DeclineLimits, declines: Mapping[VelocityKey, Iterable[Instant]], now: Instant
) -> TooManyDeclines | None:
    """What stands in the way of another try, for the longest; None when nothing does.

    A decline counts from its instant until ``window`` later, when it does not any more.
    """
    found = []
    for one, instants in declines.items():
        kind = VelocityKind(one.partition("#")[0])
        limit, counted = limits.limit_of(kind), sorted(at for at in instants if at > now - limits.window)
        if limit and len(counted) >= limit:
            found.append(TooManyDeclines(kind, counted[-limit] + limits.window - now))
    return max(found, key=lambda one: one.retry_after, default=None)


@dataclass(frozen=True, slots=True)
class StepUpRule:
    """When a drop asks every buyer to authenticate: ``declines`` within ``window`` (ms), if of the units tried for at
    least ``percent`` were declined. It does for ``lasts`` (ms). 0 declines: never, and nobody looks."""

    declines: int = 0
    percent: int = 100
    window: Instant = 5 * MINUTE
    duration: Instant = 30 * MINUTE

    def is_triggered(self, declines: int, declined_units: int, sold_units: int) -> bool:
        """Whether so much looks like card testing."""
        tried = declined_units + max(sold_units, 0)
        return 0 < self.declines <= declines and declined_units * 100 >= self.percent * tried


@dataclass(frozen=True, slots=True)
class DropRisk:
    """Declines of a drop in its latest window, and until when its buyers are asked to authenticate."""

    window_began: Instant = 0
    declines: int = 0
    declined_units: int = 0
    sold_before: int = 0
    """Units that were sold when the window began."""
    step_up_until: Instant = 0
    step_up_since: Instant = 0
    step_up_by: str | None = None
    """``declines``, or the operator who said so."""


@dataclass(frozen=True, slots=True)
class RiskRules:
    """What a shop chooses."""

    limits: DeclineLimits = DeclineLimits()
    step_up: StepUpRule = StepUpRule()

    @classmethod
    def parse(cls, limits: str, step_up: str) -> Self:
        """From texts such as ``instrument=3,email=5,address=10,minutes=60`` and
        ``declines=30,percent=40,within_minutes=5,minutes=30``; empty: nothing is limited. ``ValueError`` names what is
        wrong."""
        limit_numbers = _parse_numbers(
            "decline limits", limits, {"instrument": 0, "email": 0, "address": 0, "minutes": 1}
        )
        step_up_numbers = _parse_numbers(
            "step-up", step_up, {"declines": 0, "percent": 1, "within_minutes": 1, "minutes": 1}
        )
        if step_up_numbers and step_up_numbers["percent"] > 100:
            raise ValueError("step-up: percent must be 100 at most")
        return cls(
            DeclineLimits(
                limit_numbers["instrument"],
                limit_numbers["email"],
                limit_numbers["address"],
                limit_numbers["minutes"] * MINUTE,
            )
            if limit_numbers
            else DeclineLimits(),
            StepUpRule(
                step_up_numbers["declines"],
                step_up_numbers["percent"],
                step_up_numbers["within_minutes"] * MINUTE,
                step_up_numbers["minutes"] * MINUTE,
            )
            if step_up_numbers
            else StepUpRule(),
        )


NO_LIMITS: Final = RiskRules()


def _parse_numbers(setting: str, text: str, minimums: Mapping[str, int]) -> dict[str, int] | None:
    if not text.strip():
        return None
    given: dict[str, int] = {}
    for part in text.split(","):
        name, _, value = (side.strip() for side in part.partition("="))
        if name not in minimums or name in given:
            raise ValueError(f"{setting}: {name!r} must be one of {', '.join(minimums)}, once")
        if not re.fullmatch(r"[0-9]{1,6}", value) or int(value) < minimums[name]:
            raise ValueError(f"{setting}: {name} must be a whole number from {minimums[name]} to 999999")
        given[name] = int(value)
    for name in minimums:
        if name not in given:
            raise ValueError(f"{setting}: {name} is missing")
    return given
