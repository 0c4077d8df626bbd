"""One Stripe account: what a test makes, moves in time, breaks, copies and checks."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any, Final

import stripe

from tests.doubles.stripe.balance_check import check_balance
from tests.doubles.stripe.behaviour import Behaviour
from tests.doubles.stripe.clock import Clock, ManualClock
from tests.doubles.stripe.console import Console
from tests.doubles.stripe.events import Endpoint
from tests.doubles.stripe.faults import Chooser, Fault
from tests.doubles.stripe.in_process import InProcessClient
from tests.doubles.stripe.payouts import start_payouts
from tests.doubles.stripe.rates import max_calls_in_a_second
from tests.doubles.stripe.state import Record, State

API_KEY: Final = "sk_test_1"
WEBHOOK_SECRET: Final = "whsec_double"


class Account(Console):
    """A Stripe account with its clock. Call it by :meth:`client` or by an address of ``http_server.serve``."""

    def __init__(
        self,
        behaviour: Behaviour | None = None,
        *,
        clock: Clock | None = None,
        api_keys: Iterable[str] = (API_KEY,),
    ) -> None:
        """Open an account. Without a clock it has its own, which :meth:`advance` moves."""
        used = clock or ManualClock()
        self.state = State(behaviour or Behaviour(), used, used())
        self.state.keys = dict.fromkeys(api_keys, "full")
        self.state.endpoints["webhook"] = Endpoint("webhook", ((WEBHOOK_SECRET, None),))
        start_payouts(self.state)

    def client(self, api_key: str = API_KEY) -> stripe.StripeClient:
        """Return the SDK's client over the in-process face. It never retries by itself."""
        return stripe.StripeClient(api_key, http_client=InProcessClient(self), max_network_retries=0)

    @property
    def now(self) -> int:
        """The account's present instant in milliseconds."""
        self.state.catch_up()
        return self.state.now

    def advance(self, seconds: float) -> None:
        """Move the account's own clock, and do all work that becomes due."""
        if not isinstance(self.state.clock, ManualClock):
            raise TypeError("The account follows the test's clock: move that one, then read `account.now`.")
        self.state.clock.advance(seconds)
        self.state.catch_up()

    def fork(self, clock: Clock | None = None) -> Account:
        """Copy the account. The copy has its own clock if this account has, else the same or the given one."""
        own = clock or (copy.copy(self.state.clock) if isinstance(self.state.clock, ManualClock) else None)
        twin = Account.__new__(Account)
        twin.state = self.state.fork(own)
        return twin

    def __deepcopy__(self, memo: dict[int, Any]) -> Account:
        return self.fork(copy.deepcopy(self.state.clock, memo))

    # Faults

    def plan_faults(self, *faults: Fault | None) -> None:
        """Plan the faults of the next calls, one each; None: no fault."""
        self.state.faults.extend((None, fault) for fault in faults)

    def fail_next(self, operation: str, fault: Fault) -> None:
        """Plan a fault for the next call of an operation, such as ``payment_intents.capture``."""
        self.state.faults.appendleft((operation, fault))

    def choose_faults(self, chooser: Chooser | None) -> None:
        """Let a function choose each call's fault, by the request and the call's number. A fork shares it."""
        self.state.chooser = chooser

    def lock(self, name: str, seconds: float) -> None:
        """Let Stripe itself work on an object: calls that change it get ``lock_timeout`` (E18, D)."""
        self.state.locks[name] = self.now + round(seconds * 1_000)

    # API keys

    def set_key(self, api_key: str, rights: str | Iterable[str] | None) -> None:
        """Set what a key may do: ``full``, ``expired``, some operations only, or None, which revokes it."""
        if rights is None:
            self.state.keys.pop(api_key, None)
        else:
            self.state.keys[api_key] = rights if isinstance(rights, str) else frozenset(rights)

    # Reading

    def records(self, kind: str) -> list[Record]:
        """Return all objects of a kind, such as ``payment_intent``, the oldest first."""
        self.state.catch_up()
        return list(self.state.records[kind].values())

    def get(self, name: str) -> Record:
        """Return the object with an id."""
        self.state.catch_up()
        return self.state.get(name)

    def set_rate(self, currency: str, worth: str) -> None:
        """Set what one major unit of a currency is worth in the settlement currency, as a decimal number."""
        self.state.rates[currency.lower()] = worth

    @property
    def idempotency_keys(self) -> list[str]:
        """The keys under which an answer is stored or a request runs, pruned ones too."""
        return list(self.state.stored)

    @property
    def calls(self) -> list[tuple[int, str]]:
        """The instant and the operation of each call."""
        return self.state.calls

    def operations(self) -> list[str]:
        """Return the operations of all calls, in their order."""
        return [operation for _, operation in self.state.calls]

    def max_calls_in_a_second(self, operation: str | None = None) -> int:
        """Return the most calls in one second of the clock."""
        return max_calls_in_a_second(self.state, operation)

    def check_balance(self) -> None:
        """Check that each money move has one transaction and the balance is their sum (specification 13.2).

        Raises: ``AssertionError`` with the object that is wrong.
        """
        self.state.catch_up()
        check_balance(self.state)
