"""Wrong pieces of the product's own code, each right with a provider that is kinder than Stripe. Controls use them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from chalicelib.finance import LedgerEntry, entries
from chalicelib.payments import (
    Authorisation,
    AuthorisationRequest,
    Captured,
    Declined,
    DisputeStatus,
    OutcomeUnknownError,
    ProviderDispute,
    RefundStatus,
)
from chalicelib.payments.stripe import balance, disputes, gateway, intents, refunds
from chalicelib.payments.stripe.disputes import StripeDisputes
from chalicelib.payments.stripe.errors import Call
from chalicelib.payments.stripe.gateway import StripeGateway
from chalicelib.payments.stripe.intents import to_captured
from chalicelib.payments.stripe.lookup import IntentLookup
from chalicelib.payments.stripe.refunds import StripeRefunds
from chalicelib.refunds import provider_refund


def failure_believed(patch: pytest.MonkeyPatch) -> None:
    """Take an answer 500 to a creation as the end of the attempt, and never look the payment up."""
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


def released_money_taken_as_refund(patch: pytest.MonkeyPatch) -> None:
    """Book each refund object of Stripe, also that of a released hold or of the rest of a part capture."""
    patch.setattr(refunds, "_moves_money", lambda made: True)
    patch.setattr(provider_refund, "_is_of_payment", lambda purchase, made: True)


def pending_refund_taken_as_done(patch: pytest.MonkeyPatch) -> None:
    """Book a refund as done when Stripe has only accepted it."""
    patch.setitem(refunds._STATUSES, "pending", RefundStatus.SUCCEEDED)


def replayed_refund_believed(patch: pytest.MonkeyPatch) -> None:
    """Ask for a refund without a look at the refunds that exist, and believe the replayed answer."""
    patch.setattr(StripeRefunds, "_made", lambda self, provider_id, refund_id, units: None)


def inquiry_taken_as_loss(patch: pytest.MonkeyPatch) -> None:
    """Book an inquiry as a lost dispute."""
    find = StripeDisputes.find

    def find_lost(self: StripeDisputes, dispute_id: str) -> ProviderDispute | None:
        found = find(self, dispute_id)
        if found is None or found.status is not DisputeStatus.INQUIRY:
            return found
        return replace(found, status=DisputeStatus.LOST, withdrawn=found.amount, withdrawn_of_payment=found.amount)

    patch.setattr(StripeDisputes, "find", find_lost)


def stripe_units_taken_as_minor_units(patch: pytest.MonkeyPatch) -> None:
    """Take Stripe's units for minor units by ISO 4217, in requests and in answers."""
    for module in (balance, disputes, gateway, intents, refunds):
        for name in ("to_provider_amount", "from_provider_amount", "received_amount"):
            patch.setattr(module, name, lambda amount, currency: amount, raising=False)


def each_event_adds_a_refund(patch: pytest.MonkeyPatch) -> None:
    """Book the refund of each event, also of a second event about the same change."""
    patch.setattr(provider_refund, "_known_refund", lambda purchase, made: None)


def entries_numbered_by_position(patch: pytest.MonkeyPatch) -> None:
    """Number the entries of an order by their position, so that a later fact renumbers those that are posted."""
    named = entries._PurchaseEntries.entries

    def numbered(self: Any, paid_at: int) -> Iterator[LedgerEntry]:
        for number, entry in enumerate(named(self, paid_at), start=1):
            yield replace(entry, id=f"{self._purchase.id}.{number}")

    patch.setattr(entries._PurchaseEntries, "entries", numbered)
