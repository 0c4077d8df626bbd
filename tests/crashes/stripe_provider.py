"""Stripe in a crash world: the product's gateway and SDK over the double. Each HTTP call can fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from heapq import heapify
from typing import Final, Self

import stripe

from chalicelib.instants import MINUTE, Clock, Instant
from chalicelib.payments import Gateway, ProviderEvent
from tests.crashes.connection import PROVIDER_WRITE, Connection, ProviderFault
from tests.doubles.stripe import Account
from tests.doubles.stripe.events import Delivery
from tests.doubles.stripe.faults import Fault, closed, refused, server_error
from tests.fakes.aws import FakeAws
from tests.providers import MovementRecord, PaymentRecord
from tests.providers.stripe import (
    HttpAnswer,
    balance_violations,
    card_token,
    intents_of,
    new_account,
    parse_deliveries,
    stepped_gateway,
    stripe_movements,
    stripe_payments,
)

FAULTS: Final[dict[ProviderFault, Fault]] = {
    ProviderFault.STORED_AFTER: server_error(500, after_effect=True, stored=True),
    ProviderFault.STORED_BEFORE: server_error(500, stored=True),
    ProviderFault.BAD_GATEWAY: server_error(502, after_effect=True),
    ProviderFault.LIMITED: refused("rate_limit_endpoint-rate"),
}
_PLANNED: Final[dict[str, tuple[str, Fault]]] = {
    "timeout": ("payment_intents.create", FAULTS[ProviderFault.STORED_AFTER]),
    "timeout_before": ("payment_intents.create", FAULTS[ProviderFault.STORED_BEFORE]),
    "capture_timeout": ("payment_intents.capture", closed()),
    "captured_late": ("payment_intents.capture", FAULTS[ProviderFault.STORED_AFTER]),
    "refund_timeout": ("refunds.create", FAULTS[ProviderFault.STORED_AFTER]),
}
"""The fault that a token of the sandbox chooses, by operation."""
_STATE: Final = ("payment_intent", "charge", "refund", "dispute", "balance_transaction")


@dataclass
class StripeProvider:
    """An account of the double. It follows the world's clock and is copied with the world."""

    clock: Clock
    account: Account = field(init=False)
    name: str = "stripe"
    retry_after: Instant = 2 * MINUTE

    def __post_init__(self) -> None:
        self.account = new_account(self.clock)

    def new_gateway(self, fake_aws: FakeAws, connection: Connection) -> Gateway:
        """Build the gateway of one process. Each HTTP call of its SDK is a call of the connection."""

        def step(operation: str, perform: Callable[[], HttpAnswer], *, writes: bool) -> HttpAnswer:
            def perform_and_check() -> HttpAnswer:
                answer = perform()
                if writes:
                    fake_aws.after_write("stripe")
                return answer

            def perform_with(fault: ProviderFault) -> HttpAnswer:
                self.account.fail_next(operation, FAULTS[fault])
                return perform_and_check()

            name = f"{PROVIDER_WRITE if writes else 'stripe: GET '}{operation}"
            answer: HttpAnswer = connection.call(name, perform_and_check, _no_answer, perform_with)
            return answer

        return stepped_gateway(self.account, step)

    def token(self, behaviour: str, request: str) -> str:
        """Return a card. For a sandbox token of a fault, plan that fault for the next call of its operation."""
        if behaviour in _PLANNED:
            self.account.fail_next(*_PLANNED[behaviour])
        return card_token(behaviour, request)

    def payments(self, fake_aws: FakeAws) -> Iterable[PaymentRecord]:
        return stripe_payments(self.account)

    def movements(self, fake_aws: FakeAws) -> Iterable[MovementRecord]:
        return stripe_movements(self.account)

    def violations(self) -> Iterable[str]:
        return balance_violations(self.account)

    def answer_challenge(self, fake_aws: FakeAws, purchase_id: str, attempt: int, *, proved: bool) -> None:
        (intent,) = intents_of(self.account, purchase_id, attempt)
        self.account.authenticate(intent["id"], succeeded=proved)

    def refund_in_console(self, fake_aws: FakeAws, purchase_id: str, amount: int) -> None:
        (intent,) = intents_of(self.account, purchase_id, 1)
        self.account.console_refund(intent["id"], amount)

    def send_payment_event(self, purchase_id: str, attempt: int) -> None:
        """Do nothing: the account has sent its events already."""

    def due_events(self) -> list[ProviderEvent]:
        return parse_deliveries(self._due)

    def acknowledge_events(self) -> None:
        for delivery in self._due:
            self.account.answer_delivery(delivery, 200)
        self.account.state.outbox.clear()

    @property
    def _due(self) -> list[Delivery]:
        """Return what is due, and leave it there: a process that dies has acknowledged nothing."""
        self.account.state.catch_up()
        outbox = dict(self.account.state.outbox)
        deliveries = self.account.take_deliveries()
        self.account.state.outbox.update(outbox)
        return deliveries

    def lose_events(self) -> None:
        state = self.account.state
        state.catch_up()
        state.outbox.clear()
        state.due = [planned for planned in state.due if planned[2].__name__ != "_make_due"]
        heapify(state.due)

    def fingerprint(self) -> object:
        state = self.account.state
        records = [sorted(state.records[kind].items()) for kind in _STATE]
        keys = sorted((key, one.status) for key, one in state.stored.items())
        return records, keys, len(state.outbox), len(state.due)

    def fork(self, clock: Clock) -> Self:
        copied = type(self)(clock)
        copied.account = self.account.fork(clock)
        return copied


def _no_answer(fault: object) -> Exception:
    return stripe.APIConnectionError(f"no answer: {fault}")  # type: ignore[no-untyped-call]
