"""Operators read a drop's declines, and begin and end its step-up. Buyers get the time of the next try."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.capture import process_attempt
from chalicelib.instants import clock
from chalicelib.purchase import CheckoutContext
from chalicelib.risk import DeclineLimits, FraudRules, Risk, StepUpRule
from tests.api.conftest import ApiClient, express_checkout, payment_body, token
from tests.api.schemas import CHECKOUT, assert_valid


@pytest.fixture
def limited(api: ApiClient) -> ApiClient:
    """The API of a shop with limits on declined payments."""
    context = api.services.context
    rules = FraudRules(DeclineLimits(email=2), StepUpRule(declines=2, percent=50))
    risk = Risk(api.tables.dynamodb, api.tables.commerce, context.stock, rules)
    object.__setattr__(api.services, "context", replace(context, risk=risk))
    assert isinstance(api.services.context, CheckoutContext)
    api.an_open_drop(stock=9)
    return api


def buy(api: ApiClient, credential: str) -> Any:
    session = api.send("POST", "/checkout-sessions", express_checkout()).body
    answer = api.send("POST", f"/checkout-sessions/{session['id']}/complete", payment_body(credential))
    assert answer.status == 200
    assert_valid(CHECKOUT, answer.body)
    if answer.body["status"] == "complete_in_progress":
        process_attempt(api.services.context, session["id"].removeprefix("chk_"), 1, clock())
    return answer.body


def test_buyer_with_too_many_declines_gets_the_time_of_the_next_try(limited: ApiClient) -> None:
    for _ in range(2):
        assert buy(limited, "declined")["status"] == "complete_in_progress"
    answer = buy(limited, "ok")
    assert answer["status"] == "ready_for_complete"
    (message,) = answer["messages"]
    assert (message["code"], message["severity"]) == ("too_many_attempts", "recoverable")
    assert 3_590_000 < message["retry_after_ms"] <= 3_600_000


def test_operator_reads_and_ends_a_step_up(limited: ApiClient) -> None:
    calm = limited.send("GET", "/drops/mug/risk").body
    assert (calm["declines"], calm["step_up"], calm["window_began"]) == (0, False, None)
    for _ in range(2):
        buy(limited, "declined")
    tripped = limited.send("GET", "/drops/mug/risk").body
    assert (tripped["declines"], tripped["step_up"], tripped["step_up_by"]) == (2, True, "declines")
    ended = limited.send("PUT", "/drops/mug/risk", {"step_up_minutes": 0})
    assert (ended.status, ended.body["step_up"], ended.body["step_up_by"]) == (200, False, "ada")
    begun = limited.send("PUT", "/drops/mug/risk", {"step_up_minutes": 5}).body
    assert begun["step_up"]
    assert limited.send("GET", "/drops/mug/risk").body["step_up_until"] == begun["step_up_until"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "$.step_up_minutes"),
        ({"step_up_minutes": -1}, "$.step_up_minutes"),
        ({"step_up_minutes": 1_441}, "$.step_up_minutes"),
        ({"step_up_minutes": "5"}, "$.step_up_minutes"),
        ({"step_up_minutes": 5, "more": 1}, "$.more"),
    ],
)
def test_invalid_step_up_is_refused_with_its_field(limited: ApiClient, body: Any, field: str) -> None:
    before = limited.snapshot()
    answer = limited.send("PUT", "/drops/mug/risk", body)
    assert (answer.status, answer.body["field"]) == (400, field)
    assert limited.snapshot() == before


def test_risk_needs_a_known_drop_and_an_operator_token(limited: ApiClient) -> None:
    before = limited.snapshot()
    for method, body in (("GET", None), ("PUT", {"step_up_minutes": 5})):
        assert limited.send(method, "/drops/ghost/risk", body).status == 404
        assert limited.send(method, "/drops/mug/risk", body, authorization=None).status == 401
        assert limited.send(method, "/drops/mug/risk", body, authorization=f"Bearer {token('finance')}").status == 403
    assert limited.snapshot() == before


def test_step_up_is_refused_where_the_shop_has_none(api: ApiClient) -> None:
    api.an_open_drop()
    answer = api.send("PUT", "/drops/mug/risk", {"step_up_minutes": 5})
    assert (answer.status, answer.body["code"]) == (409, "step_up_off")
