"""The sandbox's refunds that end late or fail, its disputes, and the movements of its balance."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.instants import MINUTE
from chalicelib.payments import (
    Captured,
    DisputeStatus,
    EventKind,
    EventStore,
    RefundFailed,
    RefundStatus,
    SandboxGateway,
)
from tests.conftest import Tables
from tests.payments.test_sandbox_gateway import NOW, PAYMENT, a_refund, authorise


@pytest.fixture
def gateway(tables: Tables) -> SandboxGateway:
    return SandboxGateway(tables.dynamodb, tables.sandbox)


def capture(gateway: SandboxGateway, token: str) -> str:
    provider_id = authorise(gateway, token)
    captured = gateway.capture(provider_id, attempt=1, amount=1_000, currency="GBP", now=NOW)
    assert captured == Captured(PAYMENT, "sbx_ch_p1#1", 1_000)
    return provider_id


def test_a_pending_refund_ends_by_time_and_tells_it_by_an_event(tables: Tables) -> None:
    events = EventStore(tables.dynamodb, tables.commerce)
    gateway = SandboxGateway(tables.dynamodb, tables.sandbox, events)
    payment = capture(gateway, "refund_pending")
    pending = replace(a_refund("rf_1", 600), status=RefundStatus.PENDING)
    for now in (NOW, NOW + MINUTE - 1):
        assert gateway.refund(payment, refund_id="rf_1", amount=600, now=now) == pending
    done = replace(pending, status=RefundStatus.SUCCEEDED)
    assert gateway.find_refund(pending.provider_refund_id, now=NOW + MINUTE) == done
    event = events.read("sandbox", pending.provider_refund_id)
    assert event is not None
    assert (event.kind, event.not_before) == (EventKind.REFUND, NOW + MINUTE)


def test_money_of_a_failed_refund_is_refundable_again(gateway: SandboxGateway) -> None:
    payment, late = capture(gateway, "refund_fails"), NOW + MINUTE
    first = gateway.refund(payment, refund_id="rf_1", amount=700, now=NOW)
    assert first == a_refund("rf_1", 700)
    assert gateway.refund(payment, refund_id="rf_2", amount=301, now=NOW) == RefundFailed("amount_too_large")
    failed = replace(a_refund("rf_1", 700), status=RefundStatus.FAILED, failure_code="expired_or_canceled_card")
    assert gateway.refund(payment, refund_id="rf_1", amount=700, now=late) == failed
    assert gateway.find("p1", 1, now=late) == Captured(PAYMENT, "sbx_ch_p1#1", 1_000)
    assert gateway.refund(payment, refund_id="rf_2", amount=1_001, now=late) == RefundFailed("amount_too_large")
    assert gateway.refund(payment, refund_id="rf_2", amount=1_000, now=late) == a_refund("rf_2", 1_000)
    assert gateway.refund(payment, refund_id="rf_3", amount=1, now=late) == RefundFailed("amount_too_large")
    assert [one.refund_id for one in gateway.refunds_of(payment, now=late)] == ["rf_1", "rf_2"]
    assert gateway.find("p1", 1, now=late) == Captured(PAYMENT, "sbx_ch_p1#1", 1_000, refunded=1_000)


@pytest.mark.parametrize(
    ("token", "end", "withdrawn"),
    [("dispute_won", DisputeStatus.WON, 0), ("dispute_lost", DisputeStatus.LOST, 1_000)],
)
def test_a_dispute_opens_and_ends_by_time(
    gateway: SandboxGateway, token: str, end: DisputeStatus, withdrawn: int
) -> None:
    payment = capture(gateway, token)
    assert gateway.find_dispute("sbx_dp_p1#1", now=NOW + MINUTE - 1) is None
    opened = gateway.find_dispute("sbx_dp_p1#1", now=NOW + MINUTE)
    assert opened is not None
    assert (opened.payment_id, opened.status, opened.withdrawn) == (payment, DisputeStatus.OPEN, 1_000)
    refused = RefundFailed("charge_disputed")
    assert gateway.refund(payment, refund_id="rf_1", amount=1, now=NOW + MINUTE) == refused
    ended = gateway.find_dispute("sbx_dp_p1#1", now=NOW + 2 * MINUTE)
    assert ended is not None
    assert (ended.status, ended.withdrawn) == (end, withdrawn)
    assert gateway.find_dispute("dp_of_another_provider", now=NOW + MINUTE) is None


@pytest.mark.parametrize(
    ("token", "amounts"),
    [
        ("ok", [1_000, -400]),
        ("refund_pending", [1_000, -400]),
        ("refund_fails", [1_000, -400, 400]),
        ("dispute_won", [1_000, -400, -600, 600]),
        ("dispute_lost", [1_000, -400, -600]),
    ],
)
def test_movements_follow_what_moved(gateway: SandboxGateway, token: str, amounts: list[int]) -> None:
    gateway.refund(capture(gateway, token), refund_id="rf_1", amount=400, now=NOW)
    found = list(gateway.movements(NOW, NOW + 3 * MINUTE))
    assert [one.amount for one in found] == amounts
    assert len({one.id for one in found}) == len(found)
    assert {(one.purchase_id, one.attempt, one.payment_id) for one in found} == {("p1", 1, PAYMENT)}
    assert sum(one.fee for one in found) == 35 + (1_500 if token.startswith("dispute") else 0)
    assert list(gateway.movements(NOW + 3 * MINUTE, NOW + 9 * MINUTE)) == []
