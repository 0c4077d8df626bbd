"""The size of a stored purchase, which decides what a write costs."""

from __future__ import annotations

from typing import Any

from chalicelib.purchase import Purchase
from tests.conftest import Tables


def size_of(value: dict[str, Any]) -> int:
    """Return the size of a value, by the rules of DynamoDB's manual (CapacityUnitCalculations)."""
    ((kind, content),) = value.items()
    match kind:
        case "N":
            return (len(content.lstrip("-")) + 1) // 2 + 1
        case "L":
            return 3 + sum(1 + size_of(part) for part in content)
        case "M":
            return 3 + sum(1 + len(name) + size_of(part) for name, part in content.items())
        case "BOOL":
            return 1
    return len(content.encode())


def read_item(tables: Tables, purchase: Purchase) -> dict[str, Any]:
    key = {"pk": {"S": f"PURCHASE#{purchase.id}"}, "sk": {"S": "PURCHASE"}}
    return tables.dynamodb.get_item(TableName=tables.commerce, Key=key)["Item"]
