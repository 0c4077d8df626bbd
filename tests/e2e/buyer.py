"""A buyer on the deployed stack, over HTTP alone."""

from __future__ import annotations

import time
import uuid
from typing import Any

import httpx

AGENT = {"UCP-Agent": 'profile="https://shop.example/.well-known/ucp"'}
SESSION = {
    "buyer": {"first_name": "Ada", "email": "ada@example.com"},
    "fulfillment": {
        "methods": [
            {"type": "shipping", "destinations": [{"street_address": "1 High Street", "address_country": "GB"}]}
        ]
    },
}


def place_order(stack: dict[str, Any], drop_id: str, token: str = "ok") -> str:
    """Hold one unit and complete. Returns the session's id, while the order is in progress."""
    with httpx.Client(base_url=stack["http"], headers=AGENT, timeout=30) as http:
        body = {"line_items": [{"item": {"id": drop_id}, "quantity": 1}], **SESSION}
        created = http.post("/checkout-sessions", json=body, headers={"Idempotency-Key": str(uuid.uuid4())})
        session = created.json()
        assert (created.status_code, session["status"]) == (201, "ready_for_complete"), session
        credential = {"type": "token", "token": token}
        card = {"id": "card", "handler_id": "sandbox", "type": "card", "selected": True, "credential": credential}
        completed = http.post(
            f"/checkout-sessions/{session['id']}/complete",
            json={"payment": {"instruments": [card]}},
            headers={"Idempotency-Key": str(uuid.uuid4())},
        )
        assert completed.json()["status"] == "complete_in_progress", completed.json()
        return str(session["id"])


def session_status(stack: dict[str, Any], session_id: str) -> str:
    """Return the UCP status of a session."""
    found = httpx.get(f"{stack['http']}/checkout-sessions/{session_id}", headers=AGENT, timeout=30)
    return str(found.json()["status"])


def completed_within(stack: dict[str, Any], session_ids: list[str], seconds: float) -> bool:
    """Return whether all sessions are completed within the given seconds."""
    deadline = time.monotonic() + seconds
    waiting = set(session_ids)
    while waiting and time.monotonic() < deadline:
        waiting = {one for one in waiting if session_status(stack, one) != "completed"}
        time.sleep(0.2)
    return not waiting
