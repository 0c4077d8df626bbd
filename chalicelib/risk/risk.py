"""The risk desk: the rules bound to this process's table and its memory of the last second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from chalicelib.cache import SingleFlightCache
from chalicelib.instants import Instant
from chalicelib.risk.model import DropRisk, RiskRules, TooManyDeclines, VelocityKey, exceeded_limit
from chalicelib.risk.store import RiskStore
from chalicelib.telemetry import count, logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_MAX_STALE_REMOVED: Final = 50
"""Stale attempts that one write forgets."""


@dataclass(frozen=True, slots=True)
class Risk:
    """Who tried too often, and which drops are under attack. What is not limited costs no call."""

    dynamodb: DynamoDBClient
    commerce_table: str
    rules: RiskRules
    cache: SingleFlightCache[DropRisk]

    @property
    def _store(self) -> RiskStore:
        return RiskStore(self.dynamodb, self.commerce_table)

    def check_velocity(
        self, velocity_keys: Sequence[VelocityKey], now: Instant, *, strong: bool
    ) -> TooManyDeclines | None:
        """Why these may not try again yet; None when they may. One read of 0.5 RCU a mark (``strong``: 1), no write."""
        if not velocity_keys:
            return None
        declines = self._store.declines(velocity_keys, strong=strong)
        return exceeded_limit(self.rules.limits, {one: at.values() for one, at in declines.items()}, now)

    def note_decline(self, velocity_keys: Sequence[VelocityKey], attempt: str, now: Instant) -> None:
        """Count a declined attempt for each of its marks, once however often it is told. 1 WCU a mark and one read."""
        if not velocity_keys:
            return
        window = self.rules.limits.window
        for velocity_key, attempts in self._store.declines(velocity_keys, strong=False).items():
            stale = [name for name, at in attempts.items() if at <= now - window and name != attempt]
            self._store.add_decline(velocity_key, attempt, now, stale[:_MAX_STALE_REMOVED], now + window)

    def note_decline_of_drop(self, drop_id: str, attempt: str, units: int, now: Instant) -> None:
        """Count a declined attempt for a drop; the one that makes it look like card testing begins the step-up.

        1 WCU and 0.5 RCU. Told again after others, it is counted again.
        """
        rule = self.rules.step_up
        if not rule.declines:
            return
        sold = self._store.sold_units(drop_id)
        risk = self._store.count_decline(drop_id, attempt, units, now - now % rule.window, sold, now)
        if risk is None or risk.step_up_until > now:
            return
        sold_since = sold - risk.sold_before
        if not rule.is_triggered(risk.declines, risk.declined_units, sold_since):
            return
        if self._store.begin_step_up(drop_id, now + rule.duration, "declines", now):
            self.cache.invalidate(drop_id)
            count("step_ups")
            seen = {"declines": risk.declines, "declined_units": risk.declined_units, "sold_units": sold_since}
            logger.error("card testing: a drop asks its buyers to authenticate", extra={"drop": drop_id, **seen})

    def requires_step_up(self, drop_id: str, now: Instant) -> bool:
        """Whether buyers of a drop are asked to authenticate, as it was at most a second ago: 0.5 RCU a second."""
        if not self.rules.step_up.declines:
            return False
        risk = self.cache.get(drop_id, now, lambda: self._store.drop_risk(drop_id))
        return risk is not None and risk.step_up_until > now

    def drop_risk(self, drop_id: str) -> DropRisk:
        """The risk of a drop as it stands."""
        return self._store.drop_risk(drop_id)

    def set_step_up(self, drop_id: str, until: Instant, actor: str, now: Instant) -> DropRisk:
        """An operator begins a step-up, or ends it (``until`` now)."""
        risk = self._store.set_step_up(drop_id, until, actor, now)
        self.cache.invalidate(drop_id)
        logger.info("step-up set", extra={"drop": drop_id, "by": actor, "until": until})
        return risk
