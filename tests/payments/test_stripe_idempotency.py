"""At Stripe each call has its effect once: by its key while Stripe remembers it, by the stored objects afterwards."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.payments import Authorised, Captured, Declined, Refunded, RefundFailed
from chalicelib.payments.stripe.gateway import IDEMPOTENCY_WINDOW, StripeGateway
from tests.fakes.stripe.fake_stripe import FakeStripe
from tests.payments.stripe_requests import DECLINED, NOW, a_request, authorise, capture


def test_each_call_that_moves_money_has_its_own_idempotency_key(gateway: StripeGateway, stripe: FakeStripe) -> None:
    declined = gateway.authorise(a_request(DECLINED), now=NOW)
    gateway.authorise(a_request(attempt=2, provider_id=declined.provider_id), now=NOW)
    gateway.capture("pi_1", attempt=2, amount=1_000, now=NOW)
    gateway.refund("pi_1", refund_id="r1", amount=400, now=NOW)
    gateway.void(authorise(gateway, a_request(purchase_id="p2")), attempt=1, now=NOW)
    expected_keys = {"p1:1:create", "p1:2:update", "p1:2:confirm", "pi_1:2:capture", "pi_1:refund:r1", "p2:1:create"}
    assert {key for key in stripe.idempotency_keys if not key.endswith(":cancel")} == expected_keys
    assert len(stripe.idempotency_keys) == len(expected_keys) + 1


def test_an_attempt_past_the_idempotency_window_is_looked_up_and_never_begun(
    gateway: StripeGateway, stripe: FakeStripe
) -> None:
    provider_id = authorise(gateway)
    stripe.keeps_idempotency_keys = False
    late = NOW + IDEMPOTENCY_WINDOW + 1
    assert gateway.authorise(a_request(), now=late) == Authorised(provider_id, already_existed=True)
    assert gateway.authorise(a_request(attempt=2), now=late) == Declined(None, "attempt_expired")
    assert len(stripe.intents) == 1


def test_a_refund_is_made_once_and_never_exceeds_what_is_left(gateway: StripeGateway, stripe: FakeStripe) -> None:
    provider_id = capture(gateway)
    first = gateway.refund(provider_id, refund_id="r1", amount=400, now=NOW)
    assert gateway.refund(provider_id, refund_id="r1", amount=400, now=NOW) == first
    stripe.keeps_idempotency_keys = False
    assert gateway.refund(provider_id, refund_id="r1", amount=400, now=NOW) == first
    with pytest.raises(ValueError, match="another amount"):
        gateway.refund(provider_id, refund_id="r1", amount=401, now=NOW)
    refused = gateway.refund(provider_id, refund_id="r2", amount=601, now=NOW)
    assert refused == RefundFailed("charge_already_refunded")
    assert gateway.refund(provider_id, refund_id="r2", amount=600, now=NOW) != first
    assert stripe.net_captured == 0


def test_a_refund_that_failed_is_made_again(gateway: StripeGateway, stripe: FakeStripe) -> None:
    provider_id = capture(gateway)
    first = gateway.refund(provider_id, refund_id="r1", amount=400, now=NOW)
    assert isinstance(first, Refunded)
    stripe.refunds[first.provider_refund_id]["status"] = "failed"
    stripe.keeps_idempotency_keys = False
    assert gateway.refund(provider_id, refund_id="r1", amount=400, now=NOW) != first


def test_workers_of_one_attempt_at_once_capture_once(gateway: StripeGateway, stripe: FakeStripe) -> None:
    def work(_: int) -> object:
        return gateway.capture(authorise(gateway), attempt=1, amount=1_000, now=NOW)

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(work, range(16)))
    assert answers == {Captured("pi_1", "ch_3", 35)}
    assert (len(stripe.intents), stripe.net_captured) == (1, 1_000)
