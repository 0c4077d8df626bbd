"""The room's face: check and count declines, and ask the buyers of a drop for 3-D Secure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from chalicelib.cache import SingleFlightCache
from chalicelib.instants import Instant
from chalicelib.risk.fraud_rules import DropRisk, FraudRules, TooManyDeclines, VelocityKey, exceeded_limit
from chalicelib.risk.store import RiskStore
from chalicelib.stock import Stock
from chalicelib.telemetry import count, logger

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_MAX_CACHED_DROPS: Final = 5_000
_MAX_STALE_REMOVED: Final = 50
"""Expired attempts that one write removes."""


class Risk:
    """Declines and step-ups of one deployment. Made once a process; safe between threads.

    A rule that is off costs no call.
    """

    def __init__(self, dynamodb: DynamoDBClient, commerce_table: str, stock: Stock, rules: FraudRules) -> None:
        self.rules = rules
        self._store = RiskStore(dynamodb, commerce_table)
        self._stock = stock
        self._cache: SingleFlightCache[DropRisk] = SingleFlightCache(_MAX_CACHED_DROPS)

    def check_velocity(
        self, velocity_keys: Sequence[VelocityKey], now: Instant, *, strong: bool, attempt: str | None = None
    ) -> TooManyDeclines | None:
        """Return the limit that blocks another attempt; None when there is none.

        No limit blocks ``attempt`` once it is counted as declined itself: its repeat has to count the other keys, too.
        Costs one call of 0.5 RCU a key (``strong``: 1), and no write.
        """
        if not velocity_keys:
            return None
        declines = self._store.declines(velocity_keys, strong=strong)
        if any(attempt in attempts for attempts in declines.values()):
            return None
        return exceeded_limit(self.rules.limits, {key: attempts.values() for key, attempts in declines.items()}, now)

    def note_decline(self, velocity_keys: Sequence[VelocityKey], attempt: str, now: Instant) -> None:
        """Count a declined attempt under each of its keys. A repeat counts nothing.

        Costs one read of 0.5 RCU a key, and 1 WCU a key.
        """
        if not velocity_keys:
            return
        window = self.rules.limits.window
        for key, attempts in self._store.declines(velocity_keys, strong=False).items():
            stale = [name for name, at in attempts.items() if at <= now - window and name != attempt]
            self._store.add_decline(key, attempt, now, stale[:_MAX_STALE_REMOVED], now + window)

    def note_decline_of_drop(self, drop_id: str, attempt: str, units: int, now: Instant) -> None:
        """Count a declined attempt for a drop; begin the step-up when the declines look like card testing.

        Costs 1 WCU and 0.5 RCU. A repeat directly after the first call counts nothing. A repeat after another attempt
        counts again.
        """
        rule = self.rules.step_up
        if not rule.declines:
            return
        summary = self._stock.summary(drop_id)
        sold = summary.sold if summary is not None else 0
        risk = self._store.count_decline(drop_id, attempt, units, now - now % rule.window, sold, now)
        if risk is None or risk.step_up_until > now:
            return
        sold_since = sold - risk.sold_before
        if not rule.is_triggered(risk.declines, risk.declined_units, sold_since):
            return
        if self._store.begin_step_up(drop_id, now + rule.duration, "declines", now):
            self._cache.invalidate(drop_id)
            count("step_ups")
            cause = {"declines": risk.declines, "declined_units": risk.declined_units, "sold_units": sold_since}
            logger.error("card testing: step-up begun", extra={"drop": drop_id, **cause})

    def requires_step_up(self, drop_id: str, now: Instant) -> bool:
        """Return whether the buyers of a drop must authenticate, at most one second old: 0.5 RCU a second."""
        if not self.rules.step_up.declines:
            return False
        risk = self._cache.get(drop_id, now, lambda: self._store.drop_risk(drop_id))
        return risk is not None and risk.step_up_until > now

    def drop_risk(self, drop_id: str) -> DropRisk:
        """Read the risk of a drop from the table (0.5 RCU)."""
        return self._store.drop_risk(drop_id)

    def set_step_up(self, drop_id: str, until: Instant, actor: str, now: Instant) -> DropRisk:
        """Begin a step-up for an operator, or end it (``until`` now). 1 WCU."""
        risk = self._store.set_step_up(drop_id, until, actor, now)
        self._cache.invalidate(drop_id)
        logger.info("step-up set", extra={"drop": drop_id, "by": actor, "until": until})
        return risk
