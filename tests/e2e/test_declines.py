"""The deployed API refuses attempts by the declines that the worker counted, and prices by the market table."""

from __future__ import annotations

import time
import uuid
from typing import Any

import httpx
import pytest

from tests.e2e.buyer import AGENT

pytestmark = pytest.mark.e2e


def idempotency_header() -> dict[str, str]:
    return {"Idempotency-Key": str(uuid.uuid4())}


def try_to_pay(http: httpx.Client, token: str) -> Any:
    """Let a new buyer try to pay with this card. Returns the session after the decision."""
    somebody = uuid.uuid4().hex
    address = {"street_address": f"{somebody} High Street", "address_country": "GB"}
    body = {
        "line_items": [{"item": {"id": "scissor"}, "quantity": 1}],
        "buyer": {"email": f"{somebody}@example.com"},
        "fulfillment": {"methods": [{"type": "shipping", "destinations": [address]}]},
    }
    session = http.post("/checkout-sessions", json=body, headers=idempotency_header()).json()["id"]
    card = {"id": "card", "handler_id": "sandbox", "type": "card", "selected": True}
    paying = {"payment": {"instruments": [card | {"credential": {"type": "token", "token": token}}]}}
    answer = http.post(f"/checkout-sessions/{session}/complete", json=paying, headers=idempotency_header()).json()
    deadline = time.monotonic() + 60
    while answer["status"] == "complete_in_progress" and time.monotonic() < deadline:
        time.sleep(0.2)
        answer = http.get(f"/checkout-sessions/{session}").json()
    return answer


def test_card_declined_three_times_is_refused_the_fourth_time(stack: dict[str, Any]) -> None:
    with httpx.Client(base_url=stack["http"], headers=AGENT, timeout=30) as http:
        codes = [try_to_pay(http, "declined_4242")["messages"][0]["code"] for _ in range(4)]
        assert codes == ["payment_failed"] * 3 + ["too_many_attempts"]
        assert try_to_pay(http, "ok_4343")["status"] == "completed"
    bearer = {"Authorization": f"Bearer {stack['operator_token']}"}
    risk = httpx.get(f"{stack['http']}/drops/scissor/risk", headers=bearer, timeout=30).json()
    assert (risk["declines"] >= 3, risk["step_up"]) == (True, False)


def test_market_table_of_an_operator_applies_after_a_second(stack: dict[str, Any]) -> None:
    bearer = {"Authorization": f"Bearer {stack['operator_token']}"}
    with httpx.Client(base_url=stack["http"], headers=AGENT, timeout=30) as http:
        held = http.get("/markets", headers=bearer).json()
        table = {name: held[name] for name in ("markets", "elsewhere")}
        (home,) = [market for market in table["markets"] if market["id"] == "GB"]
        home["shipping"][0]["free_from"] = {"GBP": 0}
        assert http.put("/markets", json=table, headers=bearer).status_code == 201
        time.sleep(1.1)
        totals = {part["type"]: part["amount"] for part in try_to_pay(http, "ok")["totals"]}
        assert (totals["fulfillment"], totals["total"]) == (0, totals["subtotal"])
        del home["shipping"][0]["free_from"]
        assert http.put("/markets", json=table, headers=bearer).status_code == 201
