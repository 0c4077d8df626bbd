"""Bill a client's calls as DynamoDB does, in units by kind.

The rules are those of the Amazon DynamoDB developer guide, "Read and write operations":

- A write costs one unit for each started KB of the item. A refused conditional write costs as much.
- A write in a transaction costs twice as much.
- A read costs one unit for each started 4 KB. An eventually consistent read costs half.

The meter uses the emulator's own counts where it has them. The emulator counts neither refused writes nor batch reads.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import TYPE_CHECKING, Any, Final

from infra.bench.environment import STOCK

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_WRITE_BYTES: Final = 1_024
_READ_BYTES: Final = 4_096


@dataclass(slots=True)
class Bill:
    """Units and calls by kind (``bucket write``, ``summary write``, ``bucket read`` ...), and the buckets written."""

    units: dict[str, float] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)
    written: list[str] = field(default_factory=list)

    @property
    def writes(self) -> float:
        return sum(units for kind, units in self.units.items() if "write" in kind)

    @property
    def reads(self) -> float:
        return sum(units for kind, units in self.units.items() if "read" in kind)

    def to_record(self) -> dict[str, float]:
        return {kind: round(units, 1) for kind, units in sorted(self.units.items())}


class Meter:
    """Add the cost of a client's calls to the current bill."""

    def __init__(self, dynamodb: DynamoDBClient) -> None:
        self.bill = Bill()
        self._lock = Lock()
        dynamodb.meta.events.register("provide-client-params.dynamodb", self._request_capacity)  # type: ignore[arg-type]
        dynamodb.meta.events.register("after-call.dynamodb", self._record_call)

    def new_bill(self) -> Bill:
        """Start a new bill."""
        with self._lock:
            self.bill = Bill()
            return self.bill

    def _request_capacity(self, params: dict[str, Any], context: dict[str, Any], **_: Any) -> dict[str, Any]:
        context["parameters"] = params
        return {**params, "ReturnConsumedCapacity": "TOTAL"}

    def _record_call(self, parsed: dict[str, Any], model: Any, context: dict[str, Any], **_: Any) -> None:
        kind, units = cost(model.name, context["parameters"], parsed)
        with self._lock:
            self.bill.units[kind] = self.bill.units.get(kind, 0) + units
            self.bill.calls[kind] += 1
            if kind == "bucket write":
                parameters = context["parameters"]
                self.bill.written.append(parameters.get("Key", parameters.get("Item"))["pk"]["S"])


def cost(operation: str, parameters: Mapping[str, Any], response: Mapping[str, Any]) -> tuple[str, float]:
    """Return the kind of a call and its units. Raises: ValueError, for an operation without a rule."""
    if operation == "BatchGetItem":
        ((table, wanted),) = parameters["RequestItems"].items()
        items = response["Responses"].get(table, [])
        whole = sum(_reads(item) for item in items) + len(wanted["Keys"]) - len(items)
        return f"{_table_kind(table)} read", whole if wanted.get("ConsistentRead") else whole / 2
    if operation == "TransactWriteItems":
        if "Error" in response:
            return "transaction write, refused", 2.0 * len(parameters["TransactItems"])
        return "transaction write", sum(used["CapacityUnits"] for used in response["ConsumedCapacity"])
    what = _table_kind(parameters["TableName"])
    if operation in ("GetItem", "Query"):
        items = response.get("Items", [response["Item"]] if "Item" in response else [])
        whole = max(1, -(-sum(size_of(item) for item in items) // _READ_BYTES))
        return f"{what} read", whole if parameters.get("ConsistentRead") else whole / 2
    if operation in ("UpdateItem", "PutItem"):
        if "Error" in response:
            return f"{what} write, refused", -(-max(1, size_of(response.get("Item", {}))) // _WRITE_BYTES)
        return f"{what} write", response["ConsumedCapacity"]["CapacityUnits"]
    raise ValueError(f"the meter has no rule for {operation}")


def size_of(item: Mapping[str, Any]) -> int:
    """Count an item's bytes as DynamoDB does ("DynamoDB item sizes and formats"): names and values."""
    return sum(len(name.encode()) + _bytes(value) for name, value in item.items())


def _bytes(value: Mapping[str, Any]) -> int:
    kind: str
    content: Any
    ((kind, content),) = value.items()
    match kind:
        case "S":
            return len(str(content).encode())
        case "B":
            return len(bytes(content))
        case "N":
            digits = str(content).lstrip("-")
            return -(-len(digits) // 2) + (1 if digits == content else 2)
        case "M":
            return 3 + sum(1 + len(name.encode()) + _bytes(part) for name, part in content.items())
        case "L":
            return 3 + sum(1 + _bytes(part) for part in content)
    return 1


def _reads(item: Mapping[str, Any]) -> int:
    return -(-size_of(item) // _READ_BYTES)


def _table_kind(table: str) -> str:
    return "bucket" if table == STOCK else "summary"
