"""Required step-ups at Stripe: a card that goes through without proof of its buyer is never captured."""

from __future__ import annotations

from functools import partial

import pytest

from chalicelib.capture import put_on_hold, release_from_hold
from chalicelib.capture.attempt import AwaitingAuthentication, Failed, Paid
from chalicelib.errors import WriteConflict
from chalicelib.instants import MINUTE
from chalicelib.payments import NOT_PROVED, OutcomeUnknownError
from chalicelib.payments.stripe.gateway import StripeGateway
from chalicelib.payments.stripe.intents import PROOFS
from chalicelib.purchase import PurchaseState
from chalicelib.purchase.ucp_status import current_result
from chalicelib.risk import FraudRules, StepUpRule
from tests.builders.shop import a_shop, once
from tests.builders.stripe_shop import MINUTES_TO_CERTAINTY, StripeShop, a_stripe_shop
from tests.conftest import Tables
from tests.doubles.stripe import faults
from tests.doubles.stripe.tokens import CARDS

UNPROVED = [name for name, card in CARDS.items() if card.challenge == "unsupported" and card.proof != "authenticated"]


@pytest.fixture
def stripe_shop(tables: Tables) -> StripeShop:
    shop = a_shop(tables, fraud_rules=FraudRules(step_up=StepUpRule(3, 50, 5 * MINUTE, 30 * MINUTE)))
    shop.put_drop("mug", stock=3)
    stripe_shop = a_stripe_shop(shop)
    stripe_shop.context.risk.set_step_up("mug", stripe_shop.now + 30 * MINUTE, "ann", stripe_shop.now)
    return stripe_shop


def test_double_plays_every_outcome_that_the_table_has() -> None:
    assert {card.proof for card in CARDS.values() if card.proof} == set(PROOFS)
    assert [name for name, proved in PROOFS.items() if proved] == ["authenticated"]


@pytest.mark.parametrize("card", UNPROVED)
def test_unproved_card_is_voided_and_its_buyer_asked_for_another(stripe_shop: StripeShop, card: str) -> None:
    placed = stripe_shop.place(f"pm_card_{card}")
    assert stripe_shop.process(placed) == Failed(NOT_PROVED)
    opened = stripe_shop.read(placed)
    assert (opened.state, list(stripe_shop.intents().values())) == (PurchaseState.OPEN, ["canceled"])
    assert (stripe_shop.received(), stripe_shop.shop.unit_counts("mug")) == (0, (2, 1, 0))
    message = current_result(opened, stripe_shop.now).messages[0]
    assert message.extra == {"reason": "authentication_not_proved"}
    assert "another card" in message.content


def test_card_without_3d_secure_pays_where_no_step_up_is_required(stripe_shop: StripeShop) -> None:
    stripe_shop.context.risk.set_step_up("mug", stripe_shop.now, "ann", stripe_shop.now)
    placed = stripe_shop.place("pm_card_authenticationNotSupported")
    assert stripe_shop.process(placed) == Paid()


def test_proof_without_a_question_or_with_one_is_paid(stripe_shop: StripeShop) -> None:
    assert stripe_shop.process(stripe_shop.place("pm_card_proofAuthenticated")) == Paid()
    asked = stripe_shop.place("pm_card_visa", key="key-2")
    assert isinstance(stripe_shop.process(asked), AwaitingAuthentication)
    stripe_shop.account.authenticate(list(stripe_shop.intents())[-1], succeeded=True)
    assert stripe_shop.process(asked) == Paid()


@pytest.mark.parametrize(
    ("call", "fault"),
    [
        ("payment_intents.create", faults.server_error(after_effect=True, stored=True)),
        ("payment_intents.create", faults.server_error(after_effect=True, stored=False)),
        ("payment_intents.retrieve", faults.server_error()),
    ],
    ids=["answer lost, failure stored", "answer lost", "outcome unread"],
)
def test_unproved_payment_whose_answer_or_outcome_was_lost_is_voided_by_the_next_run(
    stripe_shop: StripeShop, call: str, fault: faults.Fault
) -> None:
    placed = stripe_shop.place("pm_card_proofNotSupported_1")
    stripe_shop.account.fail_next(call, fault)
    with pytest.raises(OutcomeUnknownError):
        stripe_shop.process(placed)
    stripe_shop.advance(MINUTES_TO_CERTAINTY * MINUTE)
    assert stripe_shop.process(placed, tried=True) == Failed(NOT_PROVED)
    assert list(stripe_shop.intents().values()) == ["canceled"]


def test_order_put_on_hold_before_its_unproved_payment_is_known_is_not_captured_when_released(
    stripe_shop: StripeShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    placed = stripe_shop.place("pm_card_proofExempted_1")
    hold = partial(put_on_hold, stripe_shop.context, placed.id, "ann", stripe_shop.now)
    once(monkeypatch, StripeGateway, "authorise", before=hold)
    stripe_shop.account.fail_next("payment_intents.retrieve", faults.server_error())
    with pytest.raises(WriteConflict):
        stripe_shop.process(placed)
    assert list(stripe_shop.intents().values()) == ["requires_capture"]
    release_from_hold(stripe_shop.context, placed.id, "ann", stripe_shop.now)
    assert stripe_shop.process(placed) == Failed(NOT_PROVED)
    assert list(stripe_shop.intents().values()) == ["canceled"]
