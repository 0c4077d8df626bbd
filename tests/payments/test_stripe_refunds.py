"""A refund at Stripe has the state that Stripe gives it, and counts only if captured money moves by it."""

from __future__ import annotations

import pytest

from chalicelib.payments import ProviderRefund, RefundFailed, RefundStatus
from chalicelib.payments.stripe.gateway import StripeGateway
from tests.doubles.stripe import Account, Behaviour
from tests.payments.stripe_requests import NOW, a_captured_payment, a_request, authorise, capture, gateway_of

DAY = 86_400


def refund(gateway: StripeGateway, payment: str, refund_id: str = "r1", amount: int = 400) -> ProviderRefund:
    made = gateway.refund(payment, refund_id=refund_id, amount=amount, now=NOW)
    assert isinstance(made, ProviderRefund)
    return made


def read(gateway: StripeGateway, made: ProviderRefund) -> ProviderRefund:
    found = gateway.find_refund(made.provider_refund_id, now=NOW)
    assert found is not None
    return found


def test_a_refund_is_made_once_and_never_exceeds_what_is_left(account: Account, gateway: StripeGateway) -> None:
    payment = a_captured_payment(gateway)
    first = refund(gateway, payment)
    assert (first.amount, first.refund_id, first.status) == (400, "r1", RefundStatus.SUCCEEDED)
    assert first.payment_id == payment
    account.advance(2 * DAY)  # Stripe has forgotten the key
    assert refund(gateway, payment) == first
    with pytest.raises(ValueError, match="another amount"):
        refund(gateway, payment, amount=401)
    assert gateway.refund(payment, refund_id="r2", amount=601, now=NOW) == RefundFailed("refused")
    assert refund(gateway, payment, "r2", 600) != first
    assert gateway.refund(payment, refund_id="r3", amount=1, now=NOW) == RefundFailed("charge_already_refunded")
    account.check_balance()


def test_a_pending_refund_is_done_only_when_stripe_says_so() -> None:
    account = Account(Behaviour.kind(refund_status="pending"))
    gateway = gateway_of(account)
    made = refund(gateway, a_captured_payment(gateway))
    assert made.status is RefundStatus.PENDING
    account.advance(3_600)
    assert read(gateway, made).status is RefundStatus.SUCCEEDED


def test_a_refund_that_succeeded_may_fail_and_stays_failed_when_it_is_asked_for_again(
    account: Account, gateway: StripeGateway
) -> None:
    payment = a_captured_payment(gateway, a_request("pm_card_refundFail"))
    made = refund(gateway, payment)
    assert made.status is RefundStatus.SUCCEEDED
    account.advance(2 * 3_600)
    account.fail_refund(made.provider_refund_id)
    for _ in range(2):
        again = refund(gateway, payment)
        assert (again.status, again.failure_code) == (RefundStatus.FAILED, "expired_or_canceled_card")
    assert read(gateway, made) == again
    assert refund(gateway, payment, "r2", 1_000).status is RefundStatus.SUCCEEDED, "the sum is refundable again"
    account.check_balance()


@pytest.mark.parametrize(
    ("card", "status"),
    [
        ("refundFailAtOnce", RefundStatus.FAILED),
        ("pendingRefund", RefundStatus.PENDING),
        ("refundRequiresAction", RefundStatus.PENDING),
    ],
)
def test_no_other_state_of_a_refund_is_taken_as_done(gateway: StripeGateway, card: str, status: RefundStatus) -> None:
    payment = a_captured_payment(gateway, a_request(f"pm_card_{card}"))
    made = refund(gateway, payment)
    assert read(gateway, made).status is status


def test_a_refund_cancelled_in_the_console_is_failed() -> None:
    account = Account(Behaviour.kind(refund_status="pending"))
    gateway = gateway_of(account)
    made = refund(gateway, a_captured_payment(gateway))
    account.cancel_refund(made.provider_refund_id)
    assert read(gateway, made).status is RefundStatus.FAILED


def test_a_refund_in_the_console_is_found_without_an_id_of_ours(account: Account, gateway: StripeGateway) -> None:
    payment = a_captured_payment(gateway)
    name = account.console_refund(payment, 100)["id"]
    found = gateway.find_refund(name, now=NOW)
    assert found == ProviderRefund(name, 100, None, RefundStatus.SUCCEEDED, None, payment)
    assert list(gateway.refunds_of(payment, now=NOW)) == [found]


def test_a_released_hold_is_no_refund(account: Account, gateway: StripeGateway) -> None:
    voided, lapsed = authorise(gateway), authorise(gateway, a_request(attempt=2))
    gateway.void(voided, attempt=1, now=NOW)
    account.advance(8 * DAY)
    names = [one["id"] for one in account.records("refund")]
    assert len(names) == 2, "Stripe calls each a refund"
    assert [gateway.find_refund(name, now=NOW) for name in names] == [None, None]
    assert [list(gateway.refunds_of(one, now=NOW)) for one in (voided, lapsed)] == [[], []]


def test_the_rest_of_a_part_capture_is_no_refund(account: Account, gateway: StripeGateway) -> None:
    payment = authorise(gateway)
    account.console_capture(payment, 100)
    (rest,) = account.records("refund")
    assert rest["amount"] == 900
    assert gateway.find_refund(rest["id"], now=NOW) is None
    made = account.console_refund(payment, 30)
    assert [one.amount for one in gateway.refunds_of(payment, now=NOW)] == [30]
    assert gateway.find_refund(made["id"], now=NOW) is not None


def test_refunds_of_other_software_and_unknown_ones_are_none(account: Account, gateway: StripeGateway) -> None:
    foreign = account.console_refund(account.foreign_payment()["id"], 100)
    assert gateway.find_refund(foreign["id"], now=NOW) is None
    assert gateway.find_refund("re_unheard", now=NOW) is None


def test_a_refund_of_a_disputed_payment_is_refused_until_the_dispute_is_won(
    account: Account, gateway: StripeGateway
) -> None:
    payment = a_captured_payment(gateway)
    dispute = account.open_dispute(payment)["id"]
    assert gateway.refund(payment, refund_id="r1", amount=400, now=NOW) == RefundFailed("charge_disputed")
    account.win_dispute(dispute)
    account.advance(25 * 3_600)
    assert refund(gateway, payment).status is RefundStatus.SUCCEEDED


def test_a_hold_is_not_refunded(gateway: StripeGateway) -> None:
    payment = authorise(gateway)
    assert gateway.refund(payment, refund_id="r1", amount=1, now=NOW) == RefundFailed("refused")
    assert gateway.refund("pi_unheard", refund_id="r1", amount=1, now=NOW) == RefundFailed("resource_missing")
    assert capture(gateway, payment) is not None


def test_a_refund_is_sent_and_read_in_stripes_units(account: Account, gateway: StripeGateway) -> None:
    account.state.rates["isk"] = "0.005"
    payment = a_captured_payment(gateway, a_request(amount=5_000, currency="ISK"))
    made = refund(gateway, payment, amount=2_000)
    assert (made.amount, account.get(made.provider_refund_id)["amount"]) == (2_000, 200_000)
