"""The provider of a simulated world, and its sandbox form. The provider is a parameter of the world."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from botocore.exceptions import BotoCoreError

from chalicelib.instants import SECOND
from chalicelib.payments import (
    AuthorisationRequest,
    EventKind,
    Gateway,
    NotCertainError,
    OutcomeUnknownError,
    ProviderEvent,
    SandboxGateway,
)
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB
from tests.providers import PaymentRecord, sandbox_payments

if TYPE_CHECKING:
    from tests.simulation.worlds.purchases import PurchaseWorld

SEARCH_LAG = 20 * SECOND
"""The longest time until the provider's search finds a new payment. Half of the worlds have this lag."""


class WorldProvider(Protocol):
    """A provider with a state of its own. Each of its calls is a step of the simulator."""

    name: str

    def new_gateway(self) -> Gateway:
        """Build the gateway of one process."""
        ...

    def token(self, behaviour: str, request: str) -> str:
        """Return the token of a card that behaves so, for one request of a buyer."""
        ...

    def payments(self) -> list[PaymentRecord]:
        """Return all payments of this shop."""
        ...

    def answer_challenge(self, purchase_id: str, attempt: int, *, proved: bool) -> bool:
        """Answer the challenge on the provider's page. False: none is open."""
        ...

    def refund_in_console(self, payment: PaymentRecord, refund_id: str, amount: int) -> None:
        """Refund captured money in the provider's console."""
        ...

    def events(self, payment: PaymentRecord, number: int) -> list[ProviderEvent]:
        """Return the events that arrive at a step about a payment. Some may never arrive."""
        ...

    def due_events(self) -> list[ProviderEvent]:
        """Return the events that the provider sends of itself at this instant, and acknowledge them."""
        ...

    def take_step(self, action: str, payment: PaymentRecord, amount: int = 0) -> bool:
        """Take a step that this provider alone has. False: it is not possible at this instant."""
        ...


NewProvider = Callable[["PurchaseWorld"], WorldProvider]


class SimulatedSandbox:
    """The sandbox, whose events are made from its present state."""

    name = SandboxGateway.name

    def __init__(self, world: PurchaseWorld) -> None:
        self._world = world
        self._table = StrictFakeDynamoDB()
        self.gateway = SandboxGateway(cast("Any", self._table), "sandbox")

    def new_gateway(self) -> Gateway:
        return cast("Gateway", SimulatedProvider(self._world, self.gateway))

    def token(self, behaviour: str, request: str) -> str:
        return behaviour

    def payments(self) -> list[PaymentRecord]:
        return list(sandbox_payments(self._table.items.values()))

    def answer_challenge(self, purchase_id: str, attempt: int, *, proved: bool) -> bool:
        return self.gateway.answer_challenge(purchase_id, attempt, proved=proved)

    def refund_in_console(self, payment: PaymentRecord, refund_id: str, amount: int) -> None:
        self.gateway.refund(payment.id, refund_id=refund_id, amount=amount, now=self._world.simulator.now)

    def events(self, payment: PaymentRecord, number: int) -> list[ProviderEvent]:
        """Return an event of each refund of a payment, and then one of the payment."""
        refunds = [
            ProviderEvent(
                f"evt-{refund.id}", self.name, EventKind.REFUND, "test.event", payment.id,
                amount=refund.amount, currency="GBP", provider_refund_id=refund.id,
            )
            for refund in payment.refunds
        ]  # fmt: skip
        about = (payment.id, payment.purchase_id, payment.attempt, payment.amount, "GBP")
        return [
            *refunds,
            ProviderEvent(f"evt-{payment.id}-{number}", self.name, EventKind.PAYMENT, "test.event", *about),
        ]

    def due_events(self) -> list[ProviderEvent]:
        return []

    def take_step(self, action: str, payment: PaymentRecord, amount: int = 0) -> bool:
        return False


class SimulatedProvider:
    """The sandbox provider with the simulator's faults: lost requests, lost answers, late effects.

    In a world with a lag, its search finds a payment only some time after it was begun, as Stripe's search does.
    """

    name = "sandbox"

    def __init__(self, world: PurchaseWorld, real: SandboxGateway) -> None:
        self._world, self._real = world, real

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        return partial(self._call, getattr(self._real, verb))

    def authorise(self, request: AuthorisationRequest, *, now: int) -> Any:
        return self._call(self._authorise, request, now=now)

    def find(self, purchase_id: str, attempt: int, **named: Any) -> Any:
        return self._call(self._search, purchase_id, attempt, **named)

    def _call(self, real: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            return self._world.simulator.call(lambda: real(*arguments, **named), writes=real != self._search)
        except BotoCoreError as error:
            raise OutcomeUnknownError from error

    def _authorise(self, request: AuthorisationRequest, *, now: int) -> Any:
        searchable_from = self._world.simulator.now + self._world.random.randrange(self._world.search_lag + 1)
        self._world.searchable_from.setdefault((request.purchase_id, request.attempt), searchable_from)
        return self._real.authorise(request, now=now)

    def _search(
        self,
        purchase_id: str,
        attempt: int,
        *,
        now: int,
        provider_id: str | None = None,
        since: int | None = None,
        began_at: int | None = None,
    ) -> Any:
        payment, simulated_now = self._real.find(purchase_id, attempt, now=now), self._world.simulator.now
        found_by_id = provider_id is not None and self._real.purchase_of(provider_id) == (purchase_id, attempt)
        if found_by_id or self._world.searchable_from.get((purchase_id, attempt), simulated_now) <= simulated_now:
            return payment
        if since is not None and simulated_now - since < self._world.search_lag:
            raise NotCertainError
        return None
