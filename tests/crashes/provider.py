"""The payment provider of a crash world, and its sandbox form. The provider is a parameter of the world."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol, Self, cast

from chalicelib.instants import Clock, Instant
from chalicelib.payments import EventKind, Gateway, ProviderEvent, SandboxGateway
from tests.crashes.connection import ConnectedClient, ConnectedProvider, Connection
from tests.providers import MovementRecord, PaymentRecord, sandbox_movements, sandbox_payments

if TYPE_CHECKING:
    from tests.fakes.aws import FakeAws


class CrashProvider(Protocol):
    """A provider with a state of its own, which outlives the shop's processes."""

    name: str
    retry_after: Instant
    """How long a client or a queue waits before it repeats what has not ended."""

    def new_gateway(self, fake_aws: FakeAws, connection: Connection) -> Gateway:
        """Build the gateway of one process. Its calls to the provider go through the connection."""
        ...

    def token(self, behaviour: str, request: str) -> str:
        """Return the token of a card that behaves so, for one request of a buyer."""
        ...

    def payments(self, fake_aws: FakeAws) -> Iterable[PaymentRecord]:
        """Return all payments of this shop."""
        ...

    def movements(self, fake_aws: FakeAws) -> Iterable[MovementRecord]:
        """Return all movements of the balance."""
        ...

    def violations(self) -> Iterable[str]:
        """Describe every fault in the provider's own money."""
        ...

    def answer_challenge(self, fake_aws: FakeAws, purchase_id: str, attempt: int, *, proved: bool) -> None:
        """Answer the challenge on the provider's page, without a call to the shop."""
        ...

    def refund_in_console(self, fake_aws: FakeAws, purchase_id: str, amount: int) -> None:
        """Refund money of the first attempt in the provider's console."""
        ...

    def send_payment_event(self, purchase_id: str, attempt: int) -> None:
        """Send an event about the present state of a payment, where the provider does not do so of itself."""
        ...

    def due_events(self) -> list[ProviderEvent]:
        """Return the events that arrive at this instant. They arrive again until they are acknowledged."""
        ...

    def acknowledge_events(self) -> None:
        """End the deliveries that are due."""
        ...

    def lose_events(self) -> None:
        """Lose all events of what has happened so far."""
        ...

    def fingerprint(self) -> object:
        """Return all of the provider's state that ``FakeAws`` does not have."""
        ...

    def fork(self, clock: Clock) -> Self:
        """Copy the provider."""
        ...


NewProvider = Callable[[Clock], CrashProvider]


@dataclass
class SandboxProvider:
    """The sandbox. Its payments are in a table, and the searches make its events."""

    clock: Clock
    name: str = SandboxGateway.name
    retry_after: Instant = 0
    outbox: tuple[ProviderEvent, ...] = ()

    def new_gateway(self, fake_aws: FakeAws, connection: Connection) -> Gateway:
        """Build a gateway whose verbs can fail. The calls that the sandbox makes to its own table cannot."""
        own_table: Any = ConnectedClient(fake_aws, "dynamodb", Connection())
        sandbox = SandboxGateway(own_table, fake_aws.tables["sandbox"])
        return cast("Gateway", ConnectedProvider(sandbox, connection))

    def token(self, behaviour: str, request: str) -> str:
        return behaviour

    def payments(self, fake_aws: FakeAws) -> Iterable[PaymentRecord]:
        return sandbox_payments(fake_aws.records("sandbox"))

    def movements(self, fake_aws: FakeAws) -> Iterable[MovementRecord]:
        return sandbox_movements(fake_aws.records("sandbox"))

    def violations(self) -> Iterable[str]:
        return ()

    def answer_challenge(self, fake_aws: FakeAws, purchase_id: str, attempt: int, *, proved: bool) -> None:
        assert self._gateway(fake_aws).answer_challenge(purchase_id, attempt, proved=proved)

    def refund_in_console(self, fake_aws: FakeAws, purchase_id: str, amount: int) -> None:
        payment = f"sbx_{purchase_id}#1"
        self._gateway(fake_aws).refund(payment, refund_id="console", amount=amount, now=self.clock())
        event = ProviderEvent(
            f"evt_{purchase_id}_console",
            self.name,
            EventKind.REFUND,
            "refund.created",
            payment,
            amount=amount,
            currency="GBP",
            provider_refund_id=f"{payment}-console",
        )
        self.outbox += (event,)

    def send_payment_event(self, purchase_id: str, attempt: int) -> None:
        payment, kind = f"sbx_{purchase_id}#{attempt}", EventKind.PAYMENT
        event = ProviderEvent(f"evt_{purchase_id}", self.name, kind, "test.event", payment, purchase_id, attempt)
        self.outbox += (event,)

    def due_events(self) -> list[ProviderEvent]:
        return list(self.outbox)

    def acknowledge_events(self) -> None:
        self.outbox = ()

    def lose_events(self) -> None:
        self.outbox = ()

    def fingerprint(self) -> object:
        return None

    def fork(self, clock: Clock) -> Self:
        return replace(self, clock=clock)

    def _gateway(self, fake_aws: FakeAws) -> SandboxGateway:
        return SandboxGateway(fake_aws.clients["dynamodb"], fake_aws.tables["sandbox"])
