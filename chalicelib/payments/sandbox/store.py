"""The sandbox's payments in DynamoDB."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from chalicelib import aws
from chalicelib.instants import Instant
from chalicelib.payments.gateway import OutcomeUnknownError

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient


ID_PREFIX: Final = "sbx_"
"""With a payment's own id, the id by which the shop knows the payment."""
CHARGE_PREFIX: Final = f"{ID_PREFIX}ch_"


class SandboxStatus(StrEnum):
    """The state of a sandbox payment. ``LOST``: a first request came and, as its token chose, had no effect."""

    LOST = "lost"
    REQUIRES_ACTION = "requires_action"
    AUTHORISED = "authorised"
    DECLINED = "declined"
    CAPTURED = "captured"
    VOIDED = "voided"


@dataclass(frozen=True, slots=True)
class SandboxPayment:
    """One payment as the sandbox stores it. ``left`` is what was captured and not refunded, in minor units."""

    id: str
    status: SandboxStatus
    behaviour: str = ""
    amount: int = 0
    currency: str = ""
    code: str | None = None
    captured: int = 0
    left: int = 0
    fee: int = 0
    has_failed_once: bool = False
    """Whether the one failure that the token chose has happened."""
    captured_at: Instant = 0
    refunds: dict[str, int] = field(default_factory=dict)
    """Amounts by refund id."""
    refunded_at: dict[str, Instant] = field(default_factory=dict)
    """When each refund was made, by refund id."""


_DERIVED = frozenset({"id", "captured_at", "refunded_at"})
"""Fields that a payment has from its key, or from later writes."""
_REFUNDED_AT = "refunded_at:"
"""With a refund's id, the name of the attribute that has its instant."""


def _to_payment(item: aws.Item) -> SandboxPayment:
    record = aws.from_item(item)
    record["id"] = record.pop("pk")
    record["refunded_at"] = {
        name.removeprefix(_REFUNDED_AT): instant for name, instant in record.items() if name.startswith(_REFUNDED_AT)
    }
    record["status"] = SandboxStatus(record["status"])
    return SandboxPayment(**{name: record[name] for name in SandboxPayment.__slots__ if name in record})


@dataclass(frozen=True, slots=True)
class SandboxStore:
    """Payments by id (purchase and attempt). Each verb is one conditional write: 1 WCU, refused or not.

    A verb returns None when its write landed, else the payment as it is.

    Raises:
        OutcomeUnknownError: from any verb, when DynamoDB did not answer.
    """

    dynamodb: DynamoDBClient
    table: str

    def create(self, payment: SandboxPayment, now: Instant) -> SandboxPayment | None:
        """Store a payment that does not exist yet."""
        record = {name: getattr(payment, name) for name in SandboxPayment.__slots__ if name not in _DERIVED}
        item = aws.to_item({"pk": payment.id, **record, "created_at": now})
        return self._write(
            self.dynamodb.put_item,
            Item=item,
            ConditionExpression="attribute_not_exists(pk)",
        )

    def read(self, payment_id: str) -> SandboxPayment | None:
        """Read a payment. One consistent read."""
        try:
            answer = self.dynamodb.get_item(TableName=self.table, Key={"pk": {"S": payment_id}}, ConsistentRead=True)
        except aws.AWS_ERRORS as error:
            raise OutcomeUnknownError from error
        return _to_payment(answer["Item"]) if "Item" in answer else None

    def apply_lost_request(self, payment_id: str) -> SandboxPayment | None:
        """Authorise the payment of a lost request."""
        return self._transition(payment_id, "SET #status = :authorised", "#status = :lost", {})

    def answer_challenge(self, payment_id: str, *, proved: bool) -> SandboxPayment | None:
        """Authorise or decline a payment that waits for its buyer."""
        if proved:
            return self._transition(payment_id, "SET #status = :authorised", "#status = :requires_action", {})
        return self._transition(
            payment_id,
            "SET #status = :declined, code = :code",
            "#status = :requires_action",
            {":code": "authentication_failed"},
        )

    def fail_once(self, payment_id: str) -> bool:
        """Return whether this call is the one that has to fail, as the token chose, before it has an effect."""
        values: dict[str, Any] = {":true": True}
        condition = "#status = :authorised AND has_failed_once <> :true"
        return self._transition(payment_id, "SET has_failed_once = :true", condition, values) is None

    def capture(self, payment_id: str, amount: int, fee: int, now: Instant) -> SandboxPayment | None:
        """Capture an authorised payment, at most the authorised amount."""
        return self._transition(
            payment_id,
            "SET #status = :captured, captured = :amount, #left = :amount, fee = :fee, captured_at = :now",
            "#status = :authorised AND amount >= :amount",
            {":amount": amount, ":fee": fee, ":now": now},
            left="left",
        )

    def void(self, payment_id: str, now: Instant) -> SandboxPayment | None:
        """Void a payment, and any authorisation of it that a late request would make."""
        return self._transition(
            payment_id,
            "SET #status = :voided, voided_at = :now",
            "attribute_not_exists(pk) OR #status IN (:authorised, :lost, :requires_action)",
            {":now": now},
        )

    def captured(self) -> Iterator[SandboxPayment]:
        """Yield the payments that were captured. A scan of the table."""
        for page in self.dynamodb.get_paginator("scan").paginate(TableName=self.table, ConsistentRead=True):
            for payment in map(_to_payment, page["Items"]):
                if payment.status is SandboxStatus.CAPTURED:
                    yield payment

    def refund(
        self, payment_id: str, refund_id: str, amount: int, now: Instant, *, failed: int = 0
    ) -> SandboxPayment | None:
        """Refund part of what is left of the captured money, once for a refund id.

        ``failed``: what earlier refunds have taken from it and failed to refund.
        """
        return self._transition(
            payment_id,
            "SET #left = #left - :amount, refunds.#refund = :amount, #refunded_at = :now",
            "#status = :captured AND #left >= :needed AND attribute_not_exists(refunds.#refund)",
            {":amount": amount, ":needed": amount - failed, ":now": now},
            left="left",
            refund=refund_id,
            refunded_at=_REFUNDED_AT + refund_id,
        )

    def _transition(
        self, payment_id: str, update: str, condition: str, values: dict[str, Any], **names: str
    ) -> SandboxPayment | None:
        statuses = {f":{status}": str(status) for status in SandboxStatus}
        used = {name: value for name, value in statuses.items() if name in update or name in condition}
        return self._write(
            self.dynamodb.update_item,
            Key={"pk": {"S": payment_id}},
            UpdateExpression=update,
            ConditionExpression=condition,
            ExpressionAttributeNames={"#status": "status", **{f"#{name}": value for name, value in names.items()}},
            ExpressionAttributeValues=aws.to_item(used | values),
        )

    def _write(self, call: Any, **arguments: Any) -> SandboxPayment | None:
        try:
            call(TableName=self.table, ReturnValuesOnConditionCheckFailure="ALL_OLD", **arguments)
        except ClientError as error:
            if not aws.is_condition_failure(error):
                raise OutcomeUnknownError from error
            existing = aws.existing_item(error)
            return _to_payment(existing) if existing else SandboxPayment(id="", status=SandboxStatus.LOST)
        except aws.AWS_ERRORS as error:
            raise OutcomeUnknownError from error
        return None
