"""Actions on payments: provider events, refunds in the console, challenges, orders on hold."""

from __future__ import annotations

from chalicelib import capture
from chalicelib.capture import store_event
from chalicelib.payments import EventKind, ProviderEvent, Refunded, SandboxGateway
from chalicelib.purchase import RefundRequest
from chalicelib.refunds import refund_order
from tests.crashes.actions import purchase_id_of
from tests.crashes.crash_world import Action, CrashableProcess, CrashWorld


def put_on_hold(buyer: str) -> Action:
    return lambda world, process: capture.put_on_hold(process.context, purchase_id_of(buyer), "ann", world.now)


def release_from_hold(buyer: str) -> Action:
    return lambda world, process: capture.release_from_hold(process.context, purchase_id_of(buyer), "ann", world.now)


def store_payment_event(buyer: str, attempt: int = 1) -> Action:
    """Store a payment event of the provider, as the webhook handler does."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        purchase_id = purchase_id_of(buyer)
        event = ProviderEvent(
            f"evt_{purchase_id}",
            "sandbox",
            EventKind.PAYMENT,
            "test.event",
            f"sbx_{purchase_id}#{attempt}",
            purchase_id,
            attempt,
        )
        store_event(process.context, event, world.now)

    return action


def process_payment_event(buyer: str) -> Action:
    body = f'{{"provider": "sandbox", "event_id": "evt_{purchase_id_of(buyer)}"}}'
    return lambda world, process: process.on_message("captures", [body], world.now)


def refund_amount(buyer: str, amount: int, key: str = "amount") -> Action:
    """Refund an amount without units."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        refund_order(
            process.context, purchase_id_of(buyer), RefundRequest(key, "", (), False, "ann", amount=amount), world.now
        )

    return action


def refund_in_console(buyer: str, amount: int) -> Action:
    """Refund in the provider's console, and store the provider's event."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        provider = SandboxGateway(world.fake_aws.clients["dynamodb"], world.fake_aws.tables["sandbox"])
        payment = f"sbx_{purchase_id_of(buyer)}#1"
        refund = provider.refund(payment, refund_id="console", amount=amount, now=world.now)
        assert isinstance(refund, Refunded)
        event = ProviderEvent(
            f"evt_{purchase_id_of(buyer)}",
            "sandbox",
            EventKind.REFUND,
            "refund.created",
            payment,
            amount=amount,
            currency="GBP",
            provider_refund_id=refund.provider_refund_id,
        )
        store_event(process.context, event, world.now)

    return action


def reconcile_payments(world: CrashWorld, process: CrashableProcess) -> None:
    """Compare payments with orders, and send the capture messages that are missing."""
    process.reconcile(world.now)


def answer_challenge(buyer: str, attempt: int = 1, *, succeeded: bool = True) -> Action:
    """Answer the challenge on the provider's page, without a call to the shop."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        provider = SandboxGateway(world.fake_aws.clients["dynamodb"], world.fake_aws.tables["sandbox"])
        assert provider.answer_challenge(purchase_id_of(buyer), attempt, proved=succeeded)

    return action
