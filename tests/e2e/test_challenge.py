"""3-D Secure on the deployed stack: the buyer confirms at a page, and the order continues with the result."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from typing import Any

import httpx
import pytest

from infra.paths import ROOT
from tests.e2e.buyer import AGENT, completed_within, place_order

pytestmark = pytest.mark.e2e


def challenge_url_within(stack: dict[str, Any], session_id: str, seconds: float) -> str:
    """Wait until the buyer must confirm. Returns the URL of the page."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        session = httpx.get(f"{stack['http']}/checkout-sessions/{session_id}", headers=AGENT, timeout=30).json()
        if session["status"] == "requires_escalation":
            return str(session["continue_url"])
        time.sleep(0.1)
    raise AssertionError(f"no challenge for the buyer: {session}")


def test_order_is_paid_after_its_buyer_confirms_at_the_page(stack: dict[str, Any]) -> None:
    session = place_order(stack, "scissor", token="requires_action")
    page = challenge_url_within(stack, session, seconds=30)
    assert "It is me" in httpx.get(page, timeout=30).text
    assert not completed_within(stack, [session], seconds=1)
    assert httpx.post(f"{page}?outcome=authenticated", timeout=30).status_code == 200
    assert completed_within(stack, [session], seconds=20)


def test_payments_and_orders_agree(stack: dict[str, Any]) -> None:
    """Include events that arrive twice, in another order or late, and a capture whose answer is lost."""
    tokens = ("ok", "webhooks_twice", "webhooks_reordered", "timeout", "captured_late")
    sessions = [place_order(stack, "scissor", token=token) for token in tokens]
    assert completed_within(stack, sessions, seconds=60)
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli.main", "payments", "reconcile"],
        env=os.environ | {"LIVEDROP_HOME": stack["home"]},
        check=True,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    found = json.loads(done.stdout)
    assert found["purchases"] >= found["orders"] >= len(tokens)
    assert found["differences"] == []
