"""A movement that could not be recorded is a difference, unless the order says the same by now."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.capture import process_attempt
from chalicelib.instants import HOUR, MINUTE, Instant
from chalicelib.payments import ProviderDispute, ProviderRefund
from chalicelib.payments.sandbox.afterwards import dispute_id_of
from chalicelib.purchase import Purchase
from chalicelib.recovery import Comparison
from chalicelib.refunds import record_dispute, record_provider_refund
from tests.builders.purchases import NOW
from tests.builders.reconciliation import compare_all
from tests.builders.shop import ShopFixture

LATER = NOW + 10 * MINUTE
CONSOLE_REFUND = "in-the-console"


def refunded_in_console(shop: ShopFixture) -> Purchase:
    shop.put_drop("mug")
    paid = shop.pay(("mug", 1))
    shop.gateway.refund(f"sbx_{paid.id}#1", refund_id=CONSOLE_REFUND, amount=300, now=NOW + MINUTE)
    return paid


def disputed(shop: ShopFixture) -> Purchase:
    shop.put_drop("mug")
    paid = shop.place(("mug", 1), token="dispute_lost")
    process_attempt(shop.context, paid.id, 1, NOW)
    return shop.read(paid.id)


def named(comparison: Comparison) -> list[tuple[Any, ...]]:
    return [tuple(one[name] for name in ("kind", "subject", "expected", "found")) for one in comparison.differences]


def test_refund_that_a_webhook_records_during_the_comparison_is_no_difference(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = refunded_in_console(shop)
    find_refund = shop.gateway.find_refund

    def find_while_a_webhook_records(provider_refund_id: str, *, now: Instant) -> ProviderRefund | None:
        made = find_refund(provider_refund_id, now=now)
        assert made is not None
        assert record_provider_refund(shop.context, paid.id, made, now)
        return made

    monkeypatch.setattr(shop.gateway, "find_refund", find_while_a_webhook_records)
    found = compare_all(shop.context, LATER)
    assert (found.refunds_recorded, found.failed, named(found)) == (0, 0, [])
    assert [one.amount for one in shop.read(paid.id).refunds] == [300]


def test_refund_that_moved_and_that_the_provider_cannot_find_is_named(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = refunded_in_console(shop)
    monkeypatch.setattr(shop.gateway, "find_refund", lambda *_, **__: None)
    found = compare_all(shop.context, LATER)
    difference = ("refund", f"sbx_{paid.id}#1-{CONSOLE_REFUND}", 0, 300)
    assert (found.refunds_recorded, found.failed, named(found)) == (0, 0, [difference])
    assert shop.read(paid.id).refunds == ()


def test_dispute_that_a_webhook_records_during_the_comparison_is_no_difference(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = disputed(shop)
    find_dispute, asked = shop.gateway.find_dispute, list[Instant]()

    def find_while_a_webhook_records(dispute_id: str, *, now: Instant) -> ProviderDispute | None:
        asked.append(now)
        if len(asked) == 1:
            assert record_dispute(shop.context, paid.id, dispute_id, now)
        return find_dispute(dispute_id, now=now)

    monkeypatch.setattr(shop.gateway, "find_dispute", find_while_a_webhook_records)
    found = compare_all(shop.context, LATER)
    assert (found.disputes_recorded, found.failed, named(found)) == (0, 0, [])
    assert [one.withdrawn for one in shop.read(paid.id).disputes] == [paid.totals.total]


def test_dispute_that_moved_and_that_the_provider_cannot_find_is_named(
    shop: ShopFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    paid = disputed(shop)
    monkeypatch.setattr(shop.gateway, "find_dispute", lambda *_, **__: None)
    found = compare_all(shop.context, NOW + HOUR)
    difference = ("dispute", dispute_id_of(f"{paid.id}#1"), 0, paid.totals.total)
    assert (found.disputes_recorded, found.failed, named(found)) == (0, 0, [difference])
    assert shop.read(paid.id).disputes == ()
