"""What befalls payments: what the provider tells or does by itself, the buyer at its page, orders held and released."""

from __future__ import annotations

from chalicelib import capture
from chalicelib.capture import store_event
from chalicelib.payments import EventKind, ProviderEvent, Refunded, SandboxGateway
from chalicelib.purchase import RefundRequest
from chalicelib.refunds import refund_order
from tests.crashes.actions import purchase_id_of
from tests.crashes.crash_world import Action, CrashableProcess, CrashWorld


def put_on_hold(buyer: str) -> Action:
    return lambda world, process: _discard_result(
        capture.put_on_hold(process.context, purchase_id_of(buyer), "ann", world.now)
    )


def release_from_hold(buyer: str) -> Action:
    return lambda world, process: _discard_result(
        capture.release_from_hold(process.context, purchase_id_of(buyer), "ann", world.now)
    )


def _discard_result(_: object) -> None:
    return None


def store_payment_event(buyer: str, attempt: int = 1) -> Action:
    """The provider tells of a payment: its event is kept."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        purchase_id = purchase_id_of(buyer)
        event = ProviderEvent(
            f"evt_{purchase_id}",
            "sandbox",
            EventKind.PAYMENT,
            "told",
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
    """Money without units."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        refund_order(
            process.context, purchase_id_of(buyer), RefundRequest(key, "", (), False, "ann", amount=amount), world.now
        )

    return action


def refund_in_console(buyer: str, amount: int) -> Action:
    """The provider gives money back by itself, and tells of it."""

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
    """Payments compared with orders, the worker told of what is left."""
    process.reconcile(world.now)


def answer_challenge(buyer: str, attempt: int = 1, *, proved: bool = True) -> Action:
    """The buyer at the provider's page: nothing of ours is asked."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        provider = SandboxGateway(world.fake_aws.clients["dynamodb"], world.fake_aws.tables["sandbox"])
        assert provider.answer_challenge(purchase_id_of(buyer), attempt, proved=proved)

    return action
