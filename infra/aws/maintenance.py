"""Call the deployed maintenance function: recovery of orders, audits, reconciliation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class MaintenanceFailed(RuntimeError):
    """The maintenance function ended with an error, which the message contains."""


def invoke_maintenance(functions: Any, name: str, request: Mapping[str, Any] | None = None) -> Any:
    """Run the maintenance function and return its answer. ``functions`` is a Lambda client.

    Without a request the function recovers orders whose message was lost.

    Raises: MaintenanceFailed.
    """
    response = functions.invoke(FunctionName=name, Payload=json.dumps(request or {}).encode())
    result = json.loads(response["Payload"].read() or b"null")
    if "FunctionError" in response:
        raise MaintenanceFailed(f"maintenance failed: {result}")
    return result
