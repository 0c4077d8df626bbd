"""Declines by velocity key, and the risk of drops, in the commerce table.

Items: ``VELOCITY#<key> / DECLINES`` has one attribute for each declined attempt, with its instant.
``DROP#<drop> / RISK`` has the counts and the step-up of a drop. Both expire.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.instants import DAY, SECOND, Instant
from chalicelib.risk.fraud_rules import DropRisk, VelocityKey

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_PREFIX: Final = "VELOCITY#"
_OTHER_ATTRIBUTES: Final = frozenset({"pk", "sk", "expires_at"})
_TRIES: Final = 5
_RISK_NAMES: Final = {
    "#began": "window_began", "#declines": "declines", "#units": "declined_units", "#sold": "sold_before",
    "#last": "last_attempt", "#e": "expires_at",
}  # fmt: skip
_STEP_UP_NAMES: Final = {"#until": "step_up_until", "#since": "step_up_since", "#by": "step_up_by", "#e": "expires_at"}


@dataclass(frozen=True, slots=True)
class RiskStore:
    """Reads and writes declines and step-ups."""

    dynamodb: DynamoDBClient
    commerce_table: str

    def declines(self, velocity_keys: Iterable[VelocityKey], *, strong: bool) -> dict[VelocityKey, dict[str, Instant]]:
        """Read the declined attempts of each key, with their instants: one call, 0.5 RCU a key (``strong``: 1)."""
        found: dict[VelocityKey, dict[str, Instant]] = {key: {} for key in velocity_keys}
        keys = [_declines_key(key) for key in found]
        for item in aws.batch_get(self.dynamodb, self.commerce_table, keys, strong=strong):
            record = aws.from_item(item)
            attempts = {name: at for name, at in record.items() if name not in _OTHER_ATTRIBUTES}
            found[record["pk"].removeprefix(_PREFIX)] = attempts
        return found

    def add_decline(
        self, velocity_key: VelocityKey, attempt: str, at: Instant, stale: Iterable[str], expires_at: Instant
    ) -> None:
        """Store a declined attempt, unless it is stored, and remove the ``stale`` ones. 1 WCU."""
        names = {"#own": attempt} | {f"#s{index}": name for index, name in enumerate(stale)}
        removed = ", ".join(name for name in names if name != "#own")
        self._update(
            _declines_key(velocity_key),
            "SET #own = :at, #ends = :ends" + (f" REMOVE {removed}" if removed else ""),
            "attribute_not_exists(#own)",
            {":at": at, ":ends": expires_at // SECOND},
            {**names, "#ends": "expires_at"},
        )

    def drop_risk(self, drop_id: str) -> DropRisk:
        """Read the risk of a drop (0.5 RCU)."""
        answer = self.dynamodb.get_item(TableName=self.commerce_table, Key=_risk_key(drop_id))
        return _to_drop_risk(answer.get("Item", {}))

    def count_decline(
        self, drop_id: str, attempt: str, units: int, began: Instant, sold: int, now: Instant
    ) -> DropRisk | None:
        """Count a declined attempt in the window that ``began`` then, or in a later one that is stored.

        Costs 1 WCU, 2 for the first of a window. The attempt that was counted last is not counted again, so that a
        direct repeat changes nothing. Returns None when rivals won each try; this attempt is then not counted.
        """
        key, values = _risk_key(drop_id), {":attempt": attempt, ":units": units, ":one": 1, ":began": began}
        values |= {":ends": (now + DAY) // SECOND}
        for _ in range(_TRIES):
            done, item = self._update(
                key,
                "SET #declines = #declines + :one, #units = #units + :units, #last = :attempt, #e = :ends",
                "#began >= :began AND #last <> :attempt",
                values,
                {name: path for name, path in _RISK_NAMES.items() if name != "#sold"},
            )
            if done or item.get("last_attempt") == {"S": attempt}:
                return _to_drop_risk(item)
            done, item = self._update(
                key,
                "SET #began = :began, #sold = :sold, #declines = :one, #units = :units, #last = :attempt, #e = :ends",
                "attribute_not_exists(#began) OR #began < :began",
                {**values, ":sold": sold},
                _RISK_NAMES,
            )
            if done:
                return _to_drop_risk(item)
        return None

    def begin_step_up(self, drop_id: str, until: Instant, by: str, now: Instant) -> bool:
        """Begin a step-up unless one is on; return whether this call did. 1 WCU."""
        return self._write_step_up(drop_id, until, by, now, "attribute_not_exists(#until) OR #until <= :now")[0]

    def set_step_up(self, drop_id: str, until: Instant, by: str, now: Instant) -> DropRisk:
        """Begin, change or end (``until`` now) a step-up, without regard to the stored one. 1 WCU."""
        always = "attribute_not_exists(#until) OR attribute_exists(#until)"
        return _to_drop_risk(self._write_step_up(drop_id, until, by, now, always)[1])

    def _write_step_up(
        self, drop_id: str, until: Instant, by: str, now: Instant, condition: str
    ) -> tuple[bool, Mapping[str, Any]]:
        values = {":until": until, ":now": now, ":by": by, ":ends": (max(until, now) + DAY) // SECOND}
        update = "SET #until = :until, #since = :now, #by = :by, #e = :ends"
        return self._update(_risk_key(drop_id), update, condition, values, _STEP_UP_NAMES)

    def _update(
        self, key: aws.Item, update: str, condition: str, values: Mapping[str, Any], names: Mapping[str, str]
    ) -> tuple[bool, Mapping[str, Any]]:
        """Do a conditional update; return whether it was done, and the item after it or the one that refused it."""
        try:
            answer = self.dynamodb.update_item(
                TableName=self.commerce_table,
                Key=key,
                UpdateExpression=update,
                ConditionExpression=condition,
                ExpressionAttributeValues=aws.to_item(values),
                ExpressionAttributeNames=names,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
            )
        except ClientError as error:
            if not aws.is_condition_failure(error):
                raise
            return False, aws.existing_item(error) or {}
        return True, answer["Attributes"]


def _declines_key(velocity_key: VelocityKey) -> aws.Item:
    return {"pk": {"S": _PREFIX + velocity_key}, "sk": {"S": "DECLINES"}}


def _risk_key(drop_id: str) -> aws.Item:
    return {"pk": {"S": f"DROP#{drop_id}"}, "sk": {"S": "RISK"}}


def _to_drop_risk(item: Mapping[str, Any]) -> DropRisk:
    record = aws.from_item(item)
    return DropRisk(**{name: value for name, value in record.items() if name in DropRisk.__slots__})
