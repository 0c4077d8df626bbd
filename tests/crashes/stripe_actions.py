"""Actions that Stripe alone has: the console, the banks, keys, outages, and payments of other software."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from chalicelib.errors import Conflict
from chalicelib.instants import MINUTE
from tests.crashes.actions import a_crash_drop_request, a_crash_show_request, purchase_id_of
from tests.crashes.connection import CallFault, Connection
from tests.crashes.crash_world import Action, CrashableProcess, CrashWorld, run_action
from tests.crashes.stripe_provider import StripeProvider
from tests.doubles.stripe import API_KEY, Account
from tests.doubles.stripe.faults import closed
from tests.providers.stripe import intents_of


def account_of(world: CrashWorld) -> Account:
    assert isinstance(world.provider, StripeProvider)
    return world.provider.account


def _on_payment(buyer: str, act: Callable[[Account, str], Any], attempt: int = 1) -> Action:
    """Act on the payment of an attempt of a buyer, without a call to the shop."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        account = account_of(world)
        act(account, intents_of(account, purchase_id_of(buyer), attempt)[-1]["id"])

    return action


def capture_in_console(buyer: str, amount: int | None = None) -> Action:
    return _on_payment(buyer, lambda account, intent: account.console_capture(intent, amount))


def refund_at_provider(buyer: str, amount: int | None = None) -> Action:
    """Refund in the console. Its events arrive when time passes."""
    return _on_payment(buyer, lambda account, intent: account.console_refund(intent, amount))


def fail_last_refund(world: CrashWorld, process: CrashableProcess) -> None:
    """Let the latest refund fail, also one that is done already."""
    account = account_of(world)
    account.fail_refund(account.records("refund")[-1]["id"])


def open_dispute(buyer: str, amount: int | None = None, *, inquiry: bool = False) -> Action:
    return _on_payment(buyer, lambda account, intent: account.open_dispute(intent, amount=amount, inquiry=inquiry))


def win_dispute(world: CrashWorld, process: CrashableProcess) -> None:
    account = account_of(world)
    account.win_dispute(account.records("dispute")[-1]["id"])


def lose_dispute(world: CrashWorld, process: CrashableProcess) -> None:
    account = account_of(world)
    account.lose_dispute(account.records("dispute")[-1]["id"])


def pay_elsewhere(world: CrashWorld, process: CrashableProcess) -> None:
    """Let other software on the account take and refund money, with keys in its metadata that look like this shop's."""
    account = account_of(world)
    paid = account.foreign_payment(amount=2_500)
    account.foreign_payment(amount=900, capture_method="manual", metadata={"order_id": "77"})
    account.console_refund(paid["id"], 500)
    account.open_dispute(paid["id"], amount=700)


def revoke_key(world: CrashWorld, process: CrashableProcess) -> None:
    account_of(world).set_key(API_KEY, None)


def restore_key(world: CrashWorld, process: CrashableProcess) -> None:
    account_of(world).set_key(API_KEY, "full")


def disconnect_provider(world: CrashWorld, process: CrashableProcess) -> None:
    """Let no call reach the provider."""
    account_of(world).choose_faults(lambda request, number: closed())


def reconnect_provider(world: CrashWorld, process: CrashableProcess) -> None:
    account_of(world).choose_faults(None)


def delay_search(minutes: int) -> Action:
    """Let the provider's search fall behind."""
    return lambda world, process: account_of(world).search_outage(minutes * 60)


def receive_events(world: CrashWorld, process: CrashableProcess) -> None:
    """Store the provider's events that are due, as the webhook handler does."""
    process.on_provider_events(world.provider.due_events(), world.now)


def pass_two_minutes(world: CrashWorld, process: CrashableProcess) -> None:
    """Advance the clock by two minutes, in which the provider sends its events."""
    world.advance_clock(2 * MINUTE)


def open_show_in_ariary(world: CrashWorld, process: CrashableProcess) -> None:
    """Put a show whose currency has two digits by ISO 4217, and none at Stripe."""
    process.shows.put_show("gala", a_crash_show_request(currency="MGA"), "ann", world.now)
    price = {"amount": 500_000, "currency": "MGA"}
    process.shows.put_drop(
        "vanilla", a_crash_drop_request("vanilla", 3, show_id="gala", unit_price=price), "ann", world.now
    )
    world.deliver()


def attempted(action: Action) -> Action:
    """Try an action that may fail at this instant. Its client, or its queue, would repeat it."""
    return lambda world, process: run_action(world, action, process)


def refunds_end_at_once(world: CrashWorld, process: CrashableProcess) -> None:
    """Let refunds be done as soon as they are made."""
    state = account_of(world).state
    state.behaviour = replace(state.behaviour, refund_status="succeeded")


def lose_answer(action: Action, call: str) -> Action:
    """Run an action that gets no answer to its last call of this name, which takes effect."""

    def run(world: CrashWorld, process: CrashableProcess) -> None:
        trial, connection = world.fork(), Connection()
        run_action(trial, action, trial.new_process(connection))
        last = len(connection.calls) - connection.calls[::-1].index(call)
        assert not run_action(world, action, world.new_process(Connection(CallFault.ANSWER_LOST, last)))

    return run


def answered_by_conflict(action: Action, code: str) -> Action:
    """Run an action that ends with this conflict as its answer."""

    def run(world: CrashWorld, process: CrashableProcess) -> None:
        try:
            action(world, process)
        except Conflict as conflict:
            if conflict.code != code:
                raise

    return run


def refunds_take(milliseconds: int) -> Action:
    """Let the refunds that are made from now on take so long at the provider."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        state = account_of(world).state
        state.behaviour = replace(state.behaviour, refund_takes=milliseconds)

    return action
