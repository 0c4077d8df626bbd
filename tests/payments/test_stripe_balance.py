"""Movements of the balance and disputes, as Stripe has them."""

from __future__ import annotations

from decimal import Decimal

import pytest

from chalicelib.instants import DAY
from chalicelib.payments import DisputeStatus, Movement, MovementKind
from chalicelib.payments.stripe.gateway import StripeGateway
from tests.doubles.stripe import Account, Behaviour
from tests.payments.stripe_requests import NOW, a_captured_payment, a_request, authorise, gateway_of

YEAR = 365 * DAY


def movements(gateway: StripeGateway) -> list[Movement]:
    return sorted(gateway.movements(NOW, NOW + YEAR), key=lambda one: (one.created_at, one.id))


def kinds(gateway: StripeGateway) -> list[tuple[MovementKind, int]]:
    return [(one.kind, one.amount) for one in movements(gateway)]


def test_a_charge_moves_its_amount_less_the_fee(account: Account, gateway: StripeGateway) -> None:
    payment = a_captured_payment(gateway)
    (charge,) = movements(gateway)
    transaction = account.records("balance_transaction")[0]
    assert charge == Movement(
        id=transaction["id"],
        provider="stripe",
        kind=MovementKind.CHARGE,
        provider_type="charge",
        amount=1_000,
        fee=35,
        currency="GBP",
        created_at=NOW,
        source_id=account.get(payment)["latest_charge"],
        payment_id=payment,
        purchase_id="p1",
        attempt=1,
        charged_amount=1_000,
        charged_currency="GBP",
    )


def test_a_fee_is_in_the_currency_of_settlement_with_its_rate(account: Account, gateway: StripeGateway) -> None:
    account.state.rates["jpy"] = "0.005"
    a_captured_payment(gateway, a_request(amount=41_000, currency="JPY"))
    (charge,) = movements(gateway)
    assert (charge.currency, charge.charged_amount, charge.charged_currency) == ("GBP", 41_000, "JPY")
    assert charge.amount == account.records("balance_transaction")[0]["amount"]
    assert charge.conversion_rate is not None
    assert abs(Decimal(charge.conversion_rate) * 41_000 - charge.amount) <= 1


def test_refunds_and_their_failures_move_the_balance_for_their_purchase(
    account: Account, gateway: StripeGateway
) -> None:
    payment = a_captured_payment(gateway)
    made = gateway.refund(payment, refund_id="r1", amount=400, now=NOW)
    account.console_refund(payment, 100)
    account.advance(60)
    account.fail_refund(made.provider_refund_id)  # type: ignore[union-attr]
    found = movements(gateway)
    assert sorted((one.kind, one.amount) for one in found) == [
        (MovementKind.CHARGE, 1_000),
        (MovementKind.REFUND, -400),
        (MovementKind.REFUND, -100),
        (MovementKind.REFUND_FAILED, 400),
    ]
    assert {(one.purchase_id, one.attempt, one.payment_id, one.is_foreign) for one in found} == {
        ("p1", 1, payment, False)
    }
    assert {one.charged_amount for one in found} == {1_000, -400, -100, 400}


def test_the_rest_of_a_part_capture_is_a_movement_of_its_own_kind(account: Account, gateway: StripeGateway) -> None:
    account.console_capture(authorise(gateway), 100)
    assert sorted(kinds(gateway)) == [(MovementKind.CHARGE, 1_000), (MovementKind.HOLD_RELEASED, -900)]


def test_a_hold_and_its_release_move_nothing(account: Account, gateway: StripeGateway) -> None:
    gateway.void(authorise(gateway), attempt=1, now=NOW)
    assert movements(gateway) == []


def test_payments_of_other_software_and_payouts_are_movements_without_a_purchase(
    account: Account, gateway: StripeGateway
) -> None:
    foreign = account.foreign_payment()
    account.console_refund(foreign["id"], 100)
    account.advance(10 * 86_400)
    account.payout_now()
    by_kind = {one.kind: one for one in movements(gateway)}
    assert set(by_kind) >= {MovementKind.CHARGE, MovementKind.REFUND, MovementKind.PAYOUT}
    assert {one.purchase_id for one in by_kind.values()} == {None}
    assert by_kind[MovementKind.CHARGE].is_foreign
    assert by_kind[MovementKind.REFUND].is_foreign
    assert not by_kind[MovementKind.PAYOUT].is_foreign


def test_the_sum_of_all_movements_is_what_stripe_paid_out_and_holds(account: Account, gateway: StripeGateway) -> None:
    payment = a_captured_payment(gateway)
    gateway.refund(payment, refund_id="r1", amount=300, now=NOW)
    account.foreign_payment()
    account.lose_dispute(account.open_dispute(a_captured_payment(gateway, a_request(purchase_id="p2")))["id"])
    account.advance(30 * 86_400)
    transactions = account.records("balance_transaction")
    found = movements(gateway)
    assert sorted(one.id for one in found) == sorted(one["id"] for one in transactions)
    assert sum(one.net for one in found) == sum(one["net"] for one in transactions)
    account.check_balance()


def test_a_period_has_its_first_instant_and_not_its_last(account: Account, gateway: StripeGateway) -> None:
    a_captured_payment(gateway)
    assert len(list(gateway.movements(NOW, NOW + 1_000))) == 1
    assert list(gateway.movements(NOW - 1_000, NOW)) == []
    assert list(gateway.movements(NOW + 1, NOW + 1_000)) == []


def test_the_next_page_of_movements_is_read_when_the_one_before_is_used_up(
    account: Account, gateway: StripeGateway
) -> None:
    for _ in range(101):
        account.foreign_payment(amount=900)
    listed, pages_at = gateway.movements(NOW, NOW + YEAR), list[int]()
    for _ in listed:
        pages_at.append(account.operations().count("balance_transactions.list"))
    assert pages_at == [1] * 100 + [2]


def test_a_dispute_tells_what_is_withdrawn_by_its_movements(account: Account, gateway: StripeGateway) -> None:
    payment = a_captured_payment(gateway)
    name = account.open_dispute(payment, amount=600)["id"]
    opened = gateway.find_dispute(name, now=NOW)
    assert opened is not None
    assert (opened.id, opened.payment_id, opened.status) == (name, payment, DisputeStatus.OPEN)
    assert (opened.amount, opened.currency, opened.withdrawn, opened.opened_at) == (600, "GBP", 600, NOW)
    assert opened.evidence_due is not None
    account.win_dispute(name)
    won = gateway.find_dispute(name, now=NOW)
    assert won is not None
    assert (won.status, won.withdrawn) == (DisputeStatus.WON, 0)
    assert sorted(one.kind for one in movements(gateway)) == [
        MovementKind.CHARGE, MovementKind.DISPUTE, MovementKind.DISPUTE_REVERSED,
    ]  # fmt: skip
    assert {one.purchase_id for one in movements(gateway)} == {"p1"}


def test_a_lost_dispute_stays_withdrawn_and_an_inquiry_withdraws_nothing(
    account: Account, gateway: StripeGateway
) -> None:
    name = account.open_dispute(a_captured_payment(gateway))["id"]
    account.lose_dispute(name)
    lost = gateway.find_dispute(name, now=NOW)
    assert lost is not None
    assert (lost.status, lost.withdrawn) == (DisputeStatus.LOST, 1_000)
    inquiry = account.open_dispute(a_captured_payment(gateway, a_request(purchase_id="p2")), inquiry=True)["id"]
    asked = gateway.find_dispute(inquiry, now=NOW)
    assert asked is not None
    assert (asked.status, asked.withdrawn) == (DisputeStatus.INQUIRY, 0)
    account.advance(121 * 86_400)
    closed = gateway.find_dispute(inquiry, now=NOW)
    assert closed is not None
    assert closed.status is DisputeStatus.CLOSED


def test_the_fee_of_a_dispute_is_a_fee_of_its_movement(account: Account, gateway: StripeGateway) -> None:
    account.open_dispute(a_captured_payment(gateway))
    dispute = next(one for one in movements(gateway) if one.kind is MovementKind.DISPUTE)
    assert (dispute.amount, dispute.fee, dispute.net) == (-1_000, 2_000, -3_000)


@pytest.mark.parametrize("name", ["dp_unheard", "foreign"])
def test_a_dispute_of_other_software_or_an_unknown_one_is_none(
    account: Account, gateway: StripeGateway, name: str
) -> None:
    if name == "foreign":
        name = account.open_dispute(account.foreign_payment()["id"])["id"]
    assert gateway.find_dispute(name, now=NOW) is None


def test_a_dispute_in_another_currency_than_that_of_settlement_is_withdrawn_in_its_own() -> None:
    account = Account(Behaviour.kind())
    account.state.rates["jpy"] = "0.005"
    gateway = gateway_of(account)
    payment = a_captured_payment(gateway, a_request(amount=41_000, currency="JPY"))
    dispute = gateway.find_dispute(account.open_dispute(payment)["id"], now=NOW)
    assert dispute is not None
    assert (dispute.amount, dispute.currency, dispute.withdrawn) == (41_000, "JPY", 41_000)
