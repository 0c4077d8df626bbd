"""Actions on payments: provider events, refunds in the console, challenges, orders on hold."""

from __future__ import annotations

import json

from chalicelib import capture
from chalicelib.purchase import RefundRequest
from chalicelib.refunds import refund_order
from tests.crashes.actions import purchase_id_of
from tests.crashes.crash_world import Action, CrashableProcess, CrashWorld


def put_on_hold(buyer: str) -> Action:
    return lambda world, process: capture.put_on_hold(process.context, purchase_id_of(buyer), "ann", world.now)


def release_from_hold(buyer: str) -> Action:
    return lambda world, process: capture.release_from_hold(process.context, purchase_id_of(buyer), "ann", world.now)


def store_payment_event(buyer: str, attempt: int = 1) -> Action:
    """Store the provider's events that are due, as the webhook handler does: at least one is about this payment."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        world.provider.send_payment_event(purchase_id_of(buyer), attempt)
        process.on_provider_events(world.provider.due_events(), world.now)

    return action


def process_events(world: CrashWorld, process: CrashableProcess) -> None:
    """Deliver the messages of all events of the provider, those that were not stored, too."""
    stored = {record["id"] for record in world.fake_aws.records("commerce") if record["sk"] == "EVENT"}
    event_ids = sorted(stored | {event.id for event in world.provider.due_events()})
    bodies = [json.dumps({"provider": world.provider.name, "event_id": event_id}) for event_id in event_ids]
    process.on_message("captures", bodies, world.now)


def refund_amount(buyer: str, amount: int, key: str = "amount") -> Action:
    """Refund an amount without units."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        refund_order(
            process.context, purchase_id_of(buyer), RefundRequest(key, "", (), False, "ann", amount=amount), world.now
        )

    return action


def refund_in_console(buyer: str, amount: int) -> Action:
    """Refund in the provider's console, and store the provider's events."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        world.provider.refund_in_console(world.fake_aws, purchase_id_of(buyer), amount)
        process.on_provider_events(world.provider.due_events(), world.now)

    return action


def reconcile_payments(world: CrashWorld, process: CrashableProcess) -> None:
    """Compare payments with orders, and send the capture messages that are missing."""
    process.reconcile(world.now)


def answer_challenge(buyer: str, attempt: int = 1, *, succeeded: bool = True) -> Action:
    """Answer the challenge on the provider's page, without a call to the shop."""
    return lambda world, process: world.provider.answer_challenge(
        world.fake_aws, purchase_id_of(buyer), attempt, proved=succeeded
    )
