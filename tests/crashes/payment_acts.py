"""What befalls payments: what the provider tells or does by itself, the buyer at its page, orders held and released."""

from __future__ import annotations

from chalicelib.checkout import RefundRequest
from chalicelib.payments import EventKind, ProviderEvent, Refunded, SandboxGateway
from tests.crashes.acts import purchase_id_of
from tests.crashes.world import Action, CrashableProcess, CrashWorld


def holds_order(buyer: str) -> Action:
    return lambda world, process: _nothing(process.checkout.put_on_hold(purchase_id_of(buyer), "ann", world.now))


def releases_order(buyer: str) -> Action:
    return lambda world, process: _nothing(process.checkout.release_from_hold(purchase_id_of(buyer), "ann", world.now))


def gives_up_order(buyer: str) -> Action:
    return lambda world, process: _nothing(process.checkout.cancel_held_order(purchase_id_of(buyer), world.now))


def _nothing(_: object) -> None:
    return None


def hears(buyer: str, attempt: int = 1) -> Action:
    """The provider tells of a payment: its event is kept."""

    def act(world: CrashWorld, process: CrashableProcess) -> None:
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
        process.checkout.store_event(event, world.now)

    return act


def acts_on_event(buyer: str) -> Action:
    body = f'{{"provider": "sandbox", "event_id": "evt_{purchase_id_of(buyer)}"}}'
    return lambda world, process: process.on_message("captures", [body], world.now)


def refunds_amount(buyer: str, amount: int, key: str = "amount") -> Action:
    """Money without units."""

    def act(world: CrashWorld, process: CrashableProcess) -> None:
        process.checkout.refund(
            purchase_id_of(buyer), RefundRequest(key, "", (), False, "ann", amount=amount), world.now
        )

    return act


def refunded_in_console(buyer: str, amount: int) -> Action:
    """The provider gives money back by itself, and tells of it."""

    def act(world: CrashWorld, process: CrashableProcess) -> None:
        bank = SandboxGateway(world.fake_aws.clients["dynamodb"], world.fake_aws.tables["sandbox"])
        payment = f"sbx_{purchase_id_of(buyer)}#1"
        made = bank.refund(payment, refund_id="console", amount=amount, now=world.now)
        assert isinstance(made, Refunded)
        event = ProviderEvent(
            f"evt_{purchase_id_of(buyer)}",
            "sandbox",
            EventKind.REFUND,
            "refund.created",
            payment,
            amount=amount,
            currency="GBP",
            provider_refund_id=made.provider_refund_id,
        )
        process.checkout.store_event(event, world.now)

    return act


def reconciles(world: CrashWorld, process: CrashableProcess) -> None:
    """Payments compared with orders, the worker told of what is left."""
    process.reconcile(world.now)


def proves(buyer: str, attempt: int = 1, *, proved: bool = True) -> Action:
    """The buyer at the provider's page: nothing of ours is asked."""

    def act(world: CrashWorld, process: CrashableProcess) -> None:
        bank = SandboxGateway(world.fake_aws.clients["dynamodb"], world.fake_aws.tables["sandbox"])
        assert bank.answer_challenge(purchase_id_of(buyer), attempt, proved=proved)

    return act
