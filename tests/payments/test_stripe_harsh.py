"""The double's default is harsh: lagging search, late movements, pending refunds, limits, one-time tokens."""

from __future__ import annotations

from chalicelib.payments import Authorised, Captured, MovementKind, ProviderRefund, RefundStatus
from tests.doubles.stripe import Account
from tests.payments.stripe_requests import NOW, a_request, authorise, capture, gateway_of


def test_a_payment_is_captured_refunded_and_balanced() -> None:
    account = Account()
    gateway = gateway_of(account)
    payment = authorise(gateway, a_request("ctoken_visa_1"))
    assert gateway.find("p1", 1, now=NOW, since=NOW, began_at=NOW) == Authorised(payment, already_existed=True)
    captured = capture(gateway, payment)
    assert isinstance(captured, Captured)
    assert captured.amount == 1_000
    assert list(gateway.movements(NOW, NOW + 60_000)) == [], "the movement comes seconds later"
    account.advance(5)
    assert [one.kind for one in gateway.movements(NOW, NOW + 60_000)] == [MovementKind.CHARGE]
    refund = gateway.refund(payment, refund_id="r1", amount=1_000, now=NOW)
    assert isinstance(refund, ProviderRefund)
    assert refund.status is RefundStatus.PENDING
    account.advance(61)
    done = gateway.find_refund(refund.provider_refund_id, now=NOW)
    assert done is not None
    assert done.status is RefundStatus.SUCCEEDED
    again = gateway.find("p1", 1, now=NOW, provider_id=payment)
    assert isinstance(again, Captured)
    assert (again.amount, again.refunded) == (1_000, 1_000)
    kinds = sorted(one.kind for one in gateway.movements(NOW, NOW + 3_600_000))
    assert kinds == [MovementKind.CHARGE, MovementKind.REFUND]
    account.check_balance()
