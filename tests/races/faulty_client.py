"""A client with faults between a racing process and the engine: lost calls, lost answers, and death before a write.

The client checks every bucket that it reads or writes. So Invariant 1a is checked at every instant and not only at the
end.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from math import inf
from random import Random
from time import monotonic_ns
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, ReadTimeoutError

from chalicelib.aws import existing_item, from_item
from tests.fakes.process_died import ProcessDied
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB
from tests.independent_counts import units_add_up, unsold_units
from tests.races.sold_out_check import BucketWrite

_READS: Final = {"get_item", "batch_get_item", "query"}
_WRITES: Final = {"put_item", "update_item", "transact_write_items"}

_CONTROL_PAUSE_SECONDS: Final = 0.003
"""The control's pause between its read and its write. It is long enough for other writes in every round."""


@dataclass(frozen=True, slots=True)
class ClientFaultRates:
    """Shares of calls: ``lost`` ones have no effect, ``unanswered`` ones have. A process dies before ``died`` ones."""

    lost: float = 0.0
    unanswered: float = 0.0
    died: float = 0.0


NO_FAULTS: Final = ClientFaultRates()
RACE_FAULT_RATES: Final = ClientFaultRates(lost=0.03, unanswered=0.05, died=0.02)


class FaultyClient:
    """The DynamoDB calls of the stores. ``reads_then_writes`` is the control: it reads, decides, and then writes."""

    def __init__(
        self, client: Any, stock_table: str, faults: ClientFaultRates, seed: str, *, reads_then_writes: bool = False
    ) -> None:
        self._client, self._stock_table = client, stock_table
        self.faults, self._random, self._reads_then_writes = faults, Random(seed), reads_then_writes
        self.figures: Counter[str] = Counter()
        """``broken`` counts buckets that do not add up, ``reclaims`` expired holds that a take reclaimed."""
        self.writes: list[BucketWrite] = []

    def __getattr__(self, name: str) -> Any:
        if name in _READS | _WRITES:
            return partial(self._call, name)
        return getattr(self._client, name)

    def _call(self, name: str, **call: Any) -> Any:
        draw, faults = self._random.random(), self.faults
        writes = name in _WRITES
        if writes and draw > 1 - faults.died:
            self.figures["faults"] += 1
            raise ProcessDied
        if draw < faults.lost:
            self.figures["faults"] += 1
            raise ConnectTimeoutError(endpoint_url="race")
        answer = self._perform(name, call)
        if draw < faults.lost + faults.unanswered:
            self.figures["faults"] += 1
            raise ReadTimeoutError(endpoint_url="race")
        return answer

    def _perform(self, name: str, call: dict[str, Any]) -> Any:
        called = monotonic_ns()
        try:
            answer = self._read_then_write(name, call) if self._reads_then_writes else self._call_once(name, call)
        except ClientError as error:
            self._check_bucket(call.get("TableName"), existing_item(error))
            raise
        except BotoCoreError:
            self._record_write(called, inf, name, call, {})
            raise
        self._record_write(called, monotonic_ns(), name, call, answer)
        if name == "update_item":
            reclaimed = [one for one in call.get("ExpressionAttributeNames", {}) if one.startswith("#e")]
            self.figures["reclaims"] += len(reclaimed)
        if name == "transact_write_items":
            updates = [write["Update"]["TableName"] for write in call["TransactItems"] if "Update" in write]
            self.figures["consolidations"] += self._stock_table in updates
        self._check_bucket(call.get("TableName"), answer.get("Item") or answer.pop("Attributes", None))
        for table, items in answer.get("Responses", {}).items():
            for item in items:
                self._check_bucket(table, item)
        return answer

    def _call_once(self, name: str, call: dict[str, Any]) -> Any:
        if name == "update_item":
            return self._client.update_item(ReturnValues="ALL_NEW", **call)
        return getattr(self._client, name)(**call)

    def _read_then_write(self, name: str, call: dict[str, Any]) -> Any:
        """Apply a write as the control does: read the item, decide here, and write the result."""
        if name not in {"put_item", "update_item"} or "ConditionExpression" not in call:
            return self._call_once(name, call)
        table: str = call["TableName"]
        key = call.get("Key") or {part: call["Item"][part] for part in ("pk", "sk") if part in call["Item"]}
        item = self._client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")
        fake_table = StrictFakeDynamoDB()
        if item is not None:
            fake_table.put_item(TableName=table, Item=item, ConditionExpression="attribute_not_exists(pk)")
        getattr(fake_table, name)(**call)
        after = fake_table.get_item(TableName=table, Key=key)["Item"]
        time.sleep(_CONTROL_PAUSE_SECONDS)
        self._client.put_item(TableName=table, Item=after)
        return {"Attributes": after} if name == "update_item" else {}

    def _record_write(
        self, called: float, returned: float, name: str, call: Mapping[str, Any], answer: Mapping[str, Any]
    ) -> None:
        """Record the units that a write left in a bucket. A transaction does not return them."""
        updates = [write.get("Update", {}) for write in call.get("TransactItems", [])]
        for update in [call] if name == "update_item" else updates:
            if update.get("TableName") == self._stock_table:
                left = unsold_units(from_item(answer["Attributes"])) if "Attributes" in answer else None
                self.writes.append(BucketWrite(update["Key"]["pk"]["S"], called, returned, left))

    def _check_bucket(self, table: str | None, item: Mapping[str, Any] | None) -> None:
        if item is not None and table == self._stock_table and not units_add_up(from_item(item)):
            self.figures["broken"] += 1
