"""Stripe by its official SDK: one payment intent for a purchase while it can be confirmed again, captured by us, once.

Which attempt an intent is for stands in its metadata; a void or a capture in the name of another attempt is refused.
Calls carry idempotency keys made of purchase and attempt; Stripe remembers those for a day, so that beyond
:data:`KEY_MEMORY` (https://docs.stripe.com/api/idempotent_requests) an attempt is looked up, never begun.
Only this file and ``stripe_intents`` know the SDK's objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import stripe

from chalicelib.instants import HOUR, MINUTE, SECOND, Instant
from chalicelib.payments.model import (
    Authorisation,
    AuthorisationRequest,
    Authorised,
    Captured,
    CaptureFailed,
    Declined,
    OutcomeUnknownError,
    ProviderPayment,
    ProviderRefund,
    Refunded,
    RefundFailed,
)
from chalicelib.payments.stripe_intents import (
    answer_of,
    attempt_of,
    captured_of,
    code_in,
    found_of,
    id_in,
    standing_of,
)
from chalicelib.telemetry import logger

KEY_MEMORY: Final[Instant] = 23 * HOUR
"""How long a call may be repeated under its key: an hour less than Stripe promises."""

SEARCH_LAG: Final[Instant] = 2 * MINUTE
"""How old a payment is before a search that does not find it is believed: Stripe says less than a minute in general
(https://docs.stripe.com/search#data-freshness), and more in an outage of its own."""

CONNECT_SECONDS: Final = 2
ANSWER_SECONDS: Final = 8

_CONFIRMED_AGAIN: Final = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
_NO_AMOUNTS: Final = frozenset({"amount_too_small", "amount_too_large"})
_WITH_CHARGE: Final[Any] = {"expand": ["latest_charge.balance_transaction"]}
_TOKENS: Final = {"ctoken_": "confirmation_token", "pm_": "payment_method"}
_UNKNOWN: Final = (stripe.APIConnectionError, stripe.APIError, stripe.RateLimitError, stripe.AuthenticationError)


def stripe_client(api_key: str, address: str | None = None) -> stripe.StripeClient:
    """The SDK's client, which tries once and waits ten seconds at most: what is tried again is decided by our queue."""
    return stripe.StripeClient(
        api_key,
        base_addresses={"api": address} if address else {},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=(CONNECT_SECONDS, ANSWER_SECONDS)),
    )


class StripeGateway:
    """A gateway over payment intents with manual capture."""

    name = "stripe"

    def __init__(self, client: stripe.StripeClient) -> None:
        self._intents = client.v1.payment_intents
        self._refunds = client.v1.refunds

    def authorise(self, request: AuthorisationRequest, *, now: Instant) -> Authorisation:
        """Reserve the money: create and confirm an intent, or confirm the purchase's own again. One call, or three."""
        if now - request.requested_at > KEY_MEMORY:
            found = self.find(request.purchase_id, request.attempt, now=now)
            return (
                Authorised(found.provider_id, already_existed=True)
                if isinstance(found, Captured)
                else found or _too_late()
            )
        instrument = next((name for prefix, name in _TOKENS.items() if request.token.startswith(prefix)), None)
        if instrument is None:
            return Declined(request.provider_id, "invalid_token")
        try:
            with _outcome():
                return self._confirmed(request, {instrument: request.token})
        except stripe.CardError as error:
            return Declined(id_in(error), code_in(error))
        except stripe.InvalidRequestError as error:
            if error.param in _TOKENS.values():
                return Declined(request.provider_id, "invalid_token")
            if error.code in _NO_AMOUNTS:
                return Declined(request.provider_id, error.code)
            raise ValueError(f"stripe refused the payment: {error.code}") from error

    def _confirmed(self, request: AuthorisationRequest, instrument: dict[str, str]) -> Authorisation:
        metadata = {**request.metadata, "purchase": request.purchase_id, "attempt": str(request.attempt)}
        confirmation: dict[str, Any] = {
            **instrument,
            **({"return_url": request.return_url} if request.return_url else {}),
        }
        if request.step_up:
            confirmation["payment_method_options"] = {"card": {"request_three_d_secure": "challenge"}}
        known = self._intents.retrieve(request.provider_id) if request.provider_id else None
        if known is not None and known.status in {"requires_capture", "succeeded"}:
            if attempt_of(known) == request.attempt:
                return Authorised(known.id, already_existed=True)
            if known.status == "succeeded":
                raise ValueError("an earlier attempt of this purchase was captured")
            self._intents.cancel(known.id)
            known = None
        if known is None or known.status not in _CONFIRMED_AGAIN:
            created = self._intents.create(
                {
                    "amount": request.amount,
                    "currency": request.currency.lower(),
                    "capture_method": "manual",
                    "confirm": True,
                    "payment_method_types": ["card"],
                    "metadata": metadata,
                    **confirmation,  # type: ignore[typeddict-item]
                },
                {"idempotency_key": _key(request, "create")},
            )
            return answer_of(created)
        self._intents.update(
            known.id, {"amount": request.amount, "metadata": metadata}, {"idempotency_key": _key(request, "update")}
        )
        confirmed = self._intents.confirm(known.id, confirmation, {"idempotency_key": _key(request, "confirm")})  # type: ignore[arg-type]
        return answer_of(confirmed)

    def capture(self, provider_id: str, *, attempt: int, amount: int, now: Instant) -> Captured | CaptureFailed:
        """Take what was authorised, once, and the whole of it: a part leaves goods without money. Two calls."""
        with _outcome():
            intent = self._intents.retrieve(provider_id)
            if attempt_of(intent) != attempt:
                return CaptureFailed(provider_id, "wrong_attempt")
            if intent.status == "requires_capture" and intent.amount_capturable != amount:
                return CaptureFailed(provider_id, "wrong_amount")
            try:
                captured = self._intents.capture(
                    provider_id,
                    {"amount_to_capture": amount, "expand": ["latest_charge.balance_transaction"]},
                    {"idempotency_key": f"{provider_id}:{attempt}:capture"},
                )
            except stripe.InvalidRequestError as error:
                if error.code != "payment_intent_unexpected_state":
                    raise
                return self._met_another_state(provider_id, amount)
        return captured_of(captured)

    def _met_another_state(self, provider_id: str, amount: int) -> Captured | CaptureFailed:
        intent = self._intents.retrieve(provider_id, _WITH_CHARGE)
        if intent.status == "succeeded" and intent.amount_received == amount:
            return captured_of(intent)
        return CaptureFailed(provider_id, "voided" if intent.status == "canceled" else "not_authorised")

    def void(self, provider_id: str, *, attempt: int, now: Instant) -> bool:
        """Cancel an intent that will not be captured. False: it was captured. ``ValueError``: of another attempt."""
        with _outcome():
            intent = self._intents.retrieve(provider_id)
            if attempt_of(intent) != attempt:
                raise ValueError(f"this is no payment of attempt {attempt}")
            if intent.status == "canceled":
                return True
            try:
                self._intents.cancel(provider_id, {}, {"idempotency_key": f"{provider_id}:{attempt}:cancel"})
            except stripe.InvalidRequestError as error:
                if error.code != "payment_intent_unexpected_state":
                    raise
                return self._intents.retrieve(provider_id).status == "canceled"
        return True

    def find(
        self, purchase_id: str, attempt: int, *, now: int, provider_id: str | None = None, since: int | None = None
    ) -> Authorisation | Captured | None:
        """What became of an attempt, by its payment or by metadata. One call, or three.

        Stripe's search lags: what it finds is read anew, and that it finds nothing says nothing of the last minutes.
        """
        with _outcome():
            if provider_id is not None:
                named = self._intents.retrieve(provider_id, _WITH_CHARGE)
                if attempt_of(named) == attempt:
                    return found_of(named)
            query = f"metadata['purchase']:'{purchase_id}' AND metadata['attempt']:'{attempt}'"
            for found in sorted(self._intents.search({"query": query}).data, key=lambda intent: -intent.created):
                known = self._intents.retrieve(found.id, _WITH_CHARGE)
                if attempt_of(known) == attempt:
                    return found_of(known)
        if since is not None and now - since < SEARCH_LAG:
            raise OutcomeUnknownError("stripe's search may not know of it yet")
        return None

    def payments(self, since: Instant) -> Iterator[ProviderPayment]:
        """Every intent created since then that is ours, or holds money. A call a hundred, one for each with refunds."""
        asked: Any = {"created": {"gte": since // SECOND}, "limit": 100, "expand": ["data.latest_charge"]}
        with _outcome():
            for intent in self._intents.list(asked).auto_paging_iter():
                purchase_id, attempt = getattr(intent.metadata, "purchase", None), attempt_of(intent)
                if purchase_id is None and intent.status not in {"requires_capture", "succeeded"}:
                    continue
                taken, charge = intent.status == "succeeded", cast("Any", intent.latest_charge)
                refunded = taken and getattr(charge, "amount_refunded", 0) > 0
                yield ProviderPayment(
                    intent.id,
                    purchase_id,
                    attempt,
                    Captured(intent.id, charge.id, 0) if taken else standing_of(intent),
                    intent.amount_received if taken else intent.amount,
                    intent.currency.upper(),
                    tuple(self._refunds_of(intent.id)) if refunded else (),
                )

    def _refunds_of(self, provider_id: str) -> Iterator[ProviderRefund]:
        for made in self._refunds.list({"payment_intent": provider_id, "limit": 100}).auto_paging_iter():
            if made.status == "succeeded":
                yield ProviderRefund(made.id, made.amount, getattr(made.metadata, "refund", None))

    def purchase_of(self, provider_id: str) -> tuple[str, int] | None:
        """Purchase and attempt, from the intent's metadata. One call."""
        with _outcome():
            try:
                intent = self._intents.retrieve(provider_id)
            except stripe.InvalidRequestError:
                return None
        purchase_id, attempt = getattr(intent.metadata, "purchase", None), attempt_of(intent)
        return (purchase_id, attempt) if purchase_id and attempt else None

    def refund(self, provider_id: str, *, refund_id: str, amount: int, now: Instant) -> Refunded | RefundFailed:
        """Give money back, once for each refund id, however old. ``ValueError`` for an id that was used with another
        amount. Two calls."""
        with _outcome():
            for made in self._refunds.list({"payment_intent": provider_id, "limit": 100}).auto_paging_iter():
                if getattr(made.metadata, "refund", None) == refund_id and made.status != "failed":
                    if made.amount != amount:
                        raise ValueError("this refund was made with another amount")
                    return Refunded(made.id)
            try:
                made = self._refunds.create(
                    {"payment_intent": provider_id, "amount": amount, "metadata": {"refund": refund_id}},
                    {"idempotency_key": f"{provider_id}:refund:{refund_id}"},
                )
            except stripe.InvalidRequestError as error:
                return RefundFailed(error.code or "refused")
        return Refunded(made.id)


@contextmanager
def _outcome() -> Iterator[None]:
    """What Stripe did not say, or said about itself or our key, leaves the outcome open."""
    try:
        yield
    except (stripe.CardError, stripe.InvalidRequestError):
        raise
    except _UNKNOWN as error:
        logger.warning("stripe gave no outcome", extra={"error": type(error).__name__, "status": error.http_status})
        raise OutcomeUnknownError(type(error).__name__) from error


def _key(request: AuthorisationRequest, call: str) -> str:
    return f"{request.purchase_id}:{request.attempt}:{call}"


def _too_late() -> Declined:
    return Declined(None, "attempt_expired")
