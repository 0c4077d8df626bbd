"""Wrong pieces of the product's own code, each right with a provider that is kinder than Stripe. Controls use them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from chalicelib.payments import Authorisation, AuthorisationRequest, Captured, Declined, OutcomeUnknownError
from chalicelib.payments.stripe import balance, disputes, gateway, intents, refunds
from chalicelib.payments.stripe.errors import Call
from chalicelib.payments.stripe.gateway import StripeGateway
from chalicelib.payments.stripe.intents import to_captured
from chalicelib.payments.stripe.lookup import IntentLookup


def failure_believed(patch: pytest.MonkeyPatch) -> None:
    """Take an answer 500 to a creation as the end of the attempt, whatever became of the payment."""
    authorise = StripeGateway.authorise

    def believe(self: StripeGateway, request: AuthorisationRequest, *, now: int) -> Authorisation:
        try:
            return authorise(self, request, now=now)
        except OutcomeUnknownError:
            return Declined(None, "processing_error")

    patch.setattr(StripeGateway, "authorise", believe)


def second_try_without_look_up(patch: pytest.MonkeyPatch) -> None:
    """Begin again under another key, without a look at what the first try did."""

    def nothing_known(self: StripeGateway, request: AuthorisationRequest, now: int) -> None:
        return None

    patch.setattr(StripeGateway, "_look_up", nothing_known)
    patch.setattr(StripeGateway, "find", lambda self, *about, **named: None)


def silent_search_believed(patch: pytest.MonkeyPatch) -> None:
    """Believe a search that finds nothing, within the hour by which it may lag."""
    patch.setattr(
        IntentLookup, "of_attempt", lambda self, purchase_id, attempt, **named: self._search((purchase_id, attempt))
    )


def processing_taken_as_paid(patch: pytest.MonkeyPatch) -> None:
    """Take each answer 200 to a capture as captured money."""

    def capture(self: StripeGateway, provider_id: str, *, attempt: int, amount: int, **named: Any) -> Captured:
        sent: Any = {"amount_to_capture": amount, "expand": ["latest_charge"]}
        options: Any = {"idempotency_key": f"{provider_id}:{attempt}:capture"}
        intent = self._calls.run(Call.CAPTURE, lambda api: api.payment_intents.capture(provider_id, sent, options))
        return replace(to_captured(intent), amount=amount)

    patch.setattr(StripeGateway, "capture", capture)


def stripe_units_taken_as_minor_units(patch: pytest.MonkeyPatch) -> None:
    """Take Stripe's units for minor units by ISO 4217, in requests and in answers."""
    for module in (balance, disputes, gateway, intents, refunds):
        for name in ("to_provider_amount", "from_provider_amount"):
            patch.setattr(module, name, lambda amount, currency: amount, raising=False)
