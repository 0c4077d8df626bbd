"""The sandbox provider behind the simulator."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError

from chalicelib.instants import SECOND
from chalicelib.payments import AuthorisationRequest, OutcomeUnknownError

if TYPE_CHECKING:
    from tests.simulation.worlds.purchases import PurchaseWorld

SEARCH_LAG = 20 * SECOND
"""The longest time until the provider's search finds a new payment. Half of the worlds have this lag."""


class SimulatedProvider:
    """The sandbox provider with the simulator's faults: lost requests, lost answers, late effects.

    In a world with a lag, its search finds a payment only some time after it was begun, as Stripe's search does.
    """

    name = "sandbox"

    def __init__(self, world: PurchaseWorld) -> None:
        self._world, self._real = world, world.gateway

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
        self, purchase_id: str, attempt: int, *, now: int, provider_id: str | None = None, since: int | None = None
    ) -> Any:
        payment, simulated_now = self._real.find(purchase_id, attempt, now=now), self._world.simulator.now
        found_by_id = provider_id is not None and self._real.purchase_of(provider_id) == (purchase_id, attempt)
        if found_by_id or self._world.searchable_from.get((purchase_id, attempt), simulated_now) <= simulated_now:
            return payment
        if since is not None and simulated_now - since < self._world.search_lag:
            raise OutcomeUnknownError
        return None
