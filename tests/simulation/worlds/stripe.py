"""Stripe in a simulated world: the product's gateway and SDK over the double. Each HTTP call is a step.

The double follows the simulator's clock. Its events are its own: each arrives twice and some after later ones.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from random import Random
from typing import TYPE_CHECKING, Any, Final

import stripe
from botocore.exceptions import BotoCoreError

from chalicelib.payments import Gateway, ProviderEvent
from tests.doubles.stripe.answers import Refusal
from tests.doubles.stripe.faults import Fault, refused, server_error
from tests.providers import PaymentRecord, PaymentStatus
from tests.providers.guesses import drawn_guesses
from tests.providers.stripe import (
    HttpAnswer,
    card_token,
    intents_of,
    new_account,
    parse_deliveries,
    stepped_gateway,
    stripe_payments,
)

if TYPE_CHECKING:
    from tests.simulation.worlds.purchases import PurchaseWorld

PROVIDER_FAULTS: Final[tuple[Fault, ...]] = (
    server_error(500, after_effect=True, stored=True),
    server_error(500, stored=True),
    server_error(502, after_effect=True),
    refused("rate_limit_endpoint-rate"),
)
PROVIDER_FAULT_SHARE: Final = 0.3
"""The share of writes at which Stripe itself fails, in worlds whose calls are cut."""
_TOKEN_FAULTS: Final = {
    "timeout": ("payment_intents.create", PROVIDER_FAULTS[0]),
    "timeout_before": ("payment_intents.create", PROVIDER_FAULTS[1]),
    "captured_late": ("payment_intents.capture", PROVIDER_FAULTS[0]),
    "capture_timeout": ("payment_intents.capture", PROVIDER_FAULTS[1]),
    "refund_timeout": ("refunds.create", PROVIDER_FAULTS[0]),
}


class SimulatedStripe:
    """An account of the double, whose clock is the simulator's."""

    name = "stripe"

    def __init__(self, world: PurchaseWorld, **behaviour: Any) -> None:
        self._world = world
        self._random = Random(f"stripe {world.seed}")
        self.account = new_account(lambda: world.simulator.now, **behaviour)
        self._planned: set[str] = set()

    def new_gateway(self) -> Gateway:
        return stepped_gateway(self.account, self._step)

    def _step(self, operation: str, perform: Callable[[], HttpAnswer], *, writes: bool) -> HttpAnswer:
        process = self._world.simulator.running_process
        if (
            writes
            and process is not None
            and process.faults.unanswered
            and self._random.random() < PROVIDER_FAULT_SHARE
        ):
            perform = self._with_fault(operation, perform, self._random.choice(PROVIDER_FAULTS))
        try:
            answer: HttpAnswer = self._world.simulator.call(perform, writes=writes)
        except BotoCoreError as error:
            raise stripe.APIConnectionError("no answer") from error  # type: ignore[no-untyped-call]
        return answer

    def _with_fault(self, operation: str, perform: Callable[[], HttpAnswer], fault: Fault) -> Callable[[], HttpAnswer]:
        def perform_with_fault() -> HttpAnswer:
            self.account.fail_next(operation, fault)
            self._world.simulator.events_seen["faults of the provider"] += 1
            return perform()

        return perform_with_fault

    def token(self, behaviour: str, request: str) -> str:
        """Return a card. For a sandbox token of a fault, plan that fault once, for the next call of its operation."""
        if behaviour in _TOKEN_FAULTS and request not in self._planned:
            self._planned.add(request)
            self.account.fail_next(*_TOKEN_FAULTS[behaviour])
        return card_token(behaviour, request)

    def payments(self) -> list[PaymentRecord]:
        return list(stripe_payments(self.account))

    def answer_challenge(self, purchase_id: str, attempt: int, *, proved: bool) -> bool:
        waiting = [one for one in intents_of(self.account, purchase_id, attempt) if one["status"] == "requires_action"]
        for intent in waiting:
            self.account.authenticate(intent["id"], succeeded=proved)
        return bool(waiting)

    def refund_in_console(self, payment: PaymentRecord, refund_id: str, amount: int) -> None:
        with suppress(Refusal):  # the payment may be disputed
            self.account.console_refund(payment.id, amount)

    def events(self, payment: PaymentRecord, number: int) -> list[ProviderEvent]:
        """Return the events that are due, about any object. Some arrive again later, and some are lost."""
        deliveries = self.account.take_deliveries()
        for delivery in deliveries:
            self.account.answer_delivery(delivery, self._random.choice([200, 200, 200, 500]))
        return parse_deliveries([one for one in deliveries if self._random.random() < 0.9])

    def due_events(self) -> list[ProviderEvent]:
        deliveries = self.account.take_deliveries()
        for delivery in deliveries:
            self.account.answer_delivery(delivery, 200)
        return parse_deliveries(deliveries)

    def take_step(self, action: str, payment: PaymentRecord, amount: int = 0) -> bool:
        """Take a step of the console, of a bank, or of other software on the account."""
        try:
            match action:
                case "disputes":
                    return self._dispute(payment, amount)
                case "fails a refund":
                    return self._fail_refund(payment)
                case "captures in the console":
                    return self._capture_in_console(payment)
                case "takes other payments":
                    return self._pay_elsewhere()
        except Refusal:
            return False
        raise ValueError(action)

    def _dispute(self, payment: PaymentRecord, amount: int) -> bool:
        """Open a chargeback or an inquiry of a captured payment, or let the bank decide about an open one."""
        known = [one for one in self.account.records("dispute") if one["payment_intent"] == payment.id]
        if known:
            if known[-1]["status"] not in {"needs_response", "warning_needs_response"}:
                return False
            decide = self.account.win_dispute if amount % 2 else self.account.lose_dispute
            decide(known[-1]["id"])
            return True
        if payment.status is not PaymentStatus.CAPTURED or not payment.left:
            return False
        self.account.open_dispute(payment.id, amount=1 + amount % payment.left, inquiry=amount % 3 == 0)
        return True

    def _fail_refund(self, payment: PaymentRecord) -> bool:
        """Let a refund of a payment fail, also one that is done."""
        refunds = [one for one in payment.refunds if not one.failed]
        if refunds:
            self.account.fail_refund(refunds[0].id)
        return bool(refunds)

    def _capture_in_console(self, payment: PaymentRecord) -> bool:
        self.account.console_capture(payment.id)
        return True

    def _pay_elsewhere(self) -> bool:
        """Let other software on the account take and refund money."""
        paid = self.account.foreign_payment(amount=300)
        self.account.console_refund(paid["id"], 100)
        return True


class GuessedStripe(SimulatedStripe):
    """An account whose seed draws how Stripe behaves where that is only guessed."""

    def __init__(self, world: PurchaseWorld) -> None:
        super().__init__(world, **drawn_guesses(Random(f"guesses {world.seed}")))
