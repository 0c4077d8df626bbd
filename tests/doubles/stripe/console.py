"""Actions of the shop's staff in Stripe's console, of buyers and of banks, as methods of the account."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.doubles.stripe import (
    balance,
    captures,
    charges,
    disputes,
    events,
    payment_intents,
    payouts,
    refunds,
    reviews,
    tokens,
)
from tests.doubles.stripe.events import Delivery, Endpoint
from tests.doubles.stripe.state import Record, State


class Console:
    """Actions without the API. None of them needs a key, and none is the caller's request (W5, S)."""

    state: State

    def _at_present(self) -> State:
        self.state.catch_up()
        return self.state

    def _charge(self, name: str) -> Record:
        record = self._at_present().get(name)
        return self.state.get(record["latest_charge"]) if record["object"] == "payment_intent" else record

    # The buyer and the bank

    def authenticate(self, intent: str, *, succeeded: bool = True) -> Record:
        """Let the buyer prove who they are, at any time (P14, D)."""
        return payment_intents.authenticate(self._at_present(), intent, succeeded=succeeded)

    def open_dispute(self, name: str, *, amount: int | None = None, inquiry: bool = False, **more: Any) -> Record:
        """Open a chargeback or an inquiry for an intent's or a charge's payment (D1 to D7)."""
        charge = self._charge(name)
        return disputes.open_dispute(self.state, charge["id"], amount=amount, inquiry=inquiry, **more)

    def announce_dispute(self, name: str, *, seconds: float = 30) -> None:
        """Open a chargeback some seconds later. Refunds meanwhile are accepted, and fail (R8, O)."""
        charge = self.state.change(self._charge(name), _dispute_announced=True)
        self.state.after(round(seconds * 1_000), _open, charge["id"])

    def escalate_inquiry(self, dispute: str) -> Record:
        """Turn an inquiry into a chargeback (D5, D)."""
        return disputes.escalate(self._at_present(), dispute)

    def submit_evidence(self, dispute: str) -> Record:
        """Counter a dispute; the fee for it comes weeks later (D4, O)."""
        return disputes.submit_evidence(self._at_present(), dispute)

    def win_dispute(self, dispute: str) -> Record:
        """Let the bank decide for the shop (D3, D)."""
        return disputes.win(self._at_present(), dispute)

    def withdraw_dispute(self, dispute: str) -> Record:
        """Let the buyer withdraw, which ends like a dispute that is won."""
        return disputes.win(self._at_present(), dispute)

    def lose_dispute(self, dispute: str) -> Record:
        """Let the bank decide for the buyer (D3, D)."""
        return disputes.lose(self._at_present(), dispute)

    def warn_of_fraud(self, name: str) -> Record:
        """Send an early fraud warning (D10, D)."""
        return disputes.warn_of_fraud(self.state, self._charge(name)["id"])

    # The shop's staff

    def console_refund(self, name: str, amount: int | None = None) -> Record:
        """Refund in the console: as any other refund, without the shop's metadata (R9, D)."""
        sent = {"charge": self._charge(name)["id"], **({} if amount is None else {"amount": amount})}
        return refunds.create(self.state, sent)

    def cancel_refund(self, refund: str) -> Record:
        """Cancel a pending refund in the console (R5, D)."""
        refunds.fail_refund(self._at_present(), refund, "merchant_request", "canceled")
        return self.state.get(refund)

    def fail_refund(self, refund: str, reason: str = "expired_or_canceled_card") -> Record:
        """Let a refund fail, even one that succeeded (R2, D)."""
        refunds.fail_refund(self._at_present(), refund, reason)
        return self.state.get(refund)

    def console_capture(self, intent: str, amount: int | None = None) -> Record:
        """Capture in the console, whole or in part."""
        sent = {} if amount is None else {"amount_to_capture": amount}
        return captures.capture(self._at_present(), intent, sent)

    def increment_authorization(self, intent: str, amount: int) -> Record:
        """Raise the amount of a hold, as other software may (P3, D)."""
        charge = self.state.get(intent)["latest_charge"]
        self.state.change(self.state.get(charge), amount=amount)
        return self.state.change(self.state.get(intent), amount=amount, amount_capturable=amount)

    def console_cancel(self, intent: str, reason: str | None = "requested_by_customer") -> Record:
        """Cancel in the console."""
        return payment_intents.cancel(self._at_present(), intent, {"cancellation_reason": reason})

    def close_review(self, intent: str, reason: str = "approved") -> None:
        """Approve a payment under review, or close its review for another reason (P17, S)."""
        reviews.close_review(self._at_present(), self._at_present().get(intent)["review"], reason)

    def payout_now(self, *, amount: int | None = None, automatic: bool = False) -> Record | None:
        """Pay the available balance out. Stripe does not know the transactions of a manual payout (B7, D)."""
        return payouts.pay_out(self._at_present(), automatic=automatic, amount=amount)

    def fail_payout(self, payout: str) -> Record:
        """Let a payout fail, even one that was paid (B6, S)."""
        return payouts.fail_payout(self._at_present(), payout)

    # Instruments and payments of others

    def make_payment_method(self, card: str = "visa", *, customer: str | None = None) -> str:
        """Make a payment method that works once, or any number of times for a customer (X2, D)."""
        return str(tokens.make_payment_method(self._at_present(), card, customer=customer)["id"])

    def make_confirmation_token(self, card: str = "visa", **mounted: Any) -> str:
        """Make a confirmation token. ``mounted`` are ``amount``, ``currency``, ``capture_method`` and the like (E9)."""
        return str(tokens.make_confirmation_token(self._at_present(), card, **mounted)["id"])

    def foreign_payment(
        self,
        *,
        amount: int = 2_500,
        currency: str | None = None,
        metadata: Mapping[str, str] | None = None,
        capture_method: str = "automatic",
        card: str = "visa",
    ) -> Record:
        """Make and pay an intent as other software does, with metadata keys that may look like this shop's."""
        state = self._at_present()
        sent = {
            "amount": amount,
            "currency": currency or state.behaviour.settlement_currency,
            "capture_method": capture_method,
            "confirm": True,
            "payment_method": self.make_payment_method(card),
            "metadata": {"attempt": "first", "purchase": "12"} if metadata is None else metadata,
        }
        return payment_intents.create(state, sent)

    def foreign_charge(self, *, amount: int = 2_500, metadata: Mapping[str, str] | None = None) -> Record:
        """Make and capture a charge that has no intent, as old software does."""
        state = self._at_present()
        token = tokens.make_payment_method(state, "visa")
        without_intent = {
            "id": None,
            "amount": amount,
            "currency": state.behaviour.settlement_currency,
            "customer": None,
            "description": "old software",
            "metadata": {"attempt": "first", "purchase": "12"} if metadata is None else metadata,
        }
        instrument = tokens.Instrument(tokens.CARDS["visa"], token, token["id"])
        charge = charges.make_charge(state, without_intent, instrument, captured=True)
        captures.settle_capture(state, charge)
        return state.get(charge["id"])

    def spend_token(self, token: str) -> str:
        """Use a token up, and return it."""
        found = tokens.find_token(self._at_present(), token)
        assert found is not None, f"No card has the token {token}."
        self.state.change(found, _used_by="pi_of_another_shop")
        return token

    def charge_fee(self, amount: int, description: str = "Radar", *, kind: str = "stripe_fee") -> Record:
        """Post a fee, a tax or a transaction of an unknown kind that belongs to no payment (B3, B5)."""
        state = self._at_present()
        category = {"stripe_fee": "fee", "tax_fee": "tax"}.get(kind, "other_adjustment")
        currency = state.behaviour.settlement_currency
        return balance.post(state, kind, category, -amount, currency, None, description=description)

    def search_outage(self, seconds: float) -> None:
        """Let the search's index fall behind from this instant on: an hour at most (L1, D)."""
        state = self._at_present()
        state.outages = (*state.outages, (state.now, state.now + round(seconds * 1_000)))

    # Events

    def add_endpoint(self, name: str, *secrets: str, types: Iterable[str] | None = None, **more: Any) -> None:
        """Add a destination of events; without secrets it is EventBridge's (W7, W9)."""
        kinds = None if types is None else frozenset(types)
        self.state.endpoints[name] = Endpoint(name, tuple((one, None) for one in secrets), types=kinds, **more)

    def enable_endpoint(self, name: str, *, enabled: bool) -> None:
        """Enable or disable a destination. A disabled one misses events for ever (W10, D)."""
        old = self.state.endpoints[name]
        self.state.endpoints[name] = Endpoint(name, old.secrets, enabled, old.types, old.api_version)

    def roll_secret(self, new: str, name: str = "webhook", *, keep_seconds: float = 86_400) -> None:
        """Give an endpoint a new secret, beside which the old one lives on (W1, D)."""
        events.roll_secret(self._at_present(), name, new, keep=round(keep_seconds * 1_000))

    def take_deliveries(self) -> list[Delivery]:
        """Collect what is due for delivery. Answer each by :meth:`answer_delivery`, or lose it."""
        return events.take_deliveries(self._at_present())

    def answer_delivery(self, delivery: Delivery, status: int | None) -> None:
        """Answer a delivery: all but 2xx is repeated later; None is no answer in time (W2, D)."""
        events.settle_delivery(self._at_present(), delivery, status)

    def deliver(self, post: Callable[[bytes, str], int | None]) -> int:
        """Deliver what is due: ``post`` takes body and signature and returns a status. Return how many there were."""
        due = self.take_deliveries()
        for delivery in due:
            self.answer_delivery(delivery, post(delivery.body, delivery.signature))
        return len(due)

    def send_foreign_event(self, kind: str, record: Record, *, account: str = "acct_connected") -> None:
        """Send an event of a connected account, as an endpoint for such accounts gets them (W6, S)."""
        events.emit(self._at_present(), kind, record, account=account)

    def redeliver(self, event: str) -> None:
        """Send an event again by hand (W2, D)."""
        events.plan(self._at_present(), event, 0)


def _open(state: State, charge: str) -> None:
    state.change(charge, _dispute_announced=False)
    disputes.open_dispute(state, charge)
