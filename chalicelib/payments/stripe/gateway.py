"""Stripe by its official SDK: one payment intent for a purchase while it can be confirmed again, with manual capture.

An intent's metadata names its attempt. A void or a capture for another attempt is refused. Calls have idempotency keys
made of purchase and attempt. Stripe remembers a key for a day (https://docs.stripe.com/api/idempotent_requests), so an
attempt older than :data:`IDEMPOTENCY_WINDOW` is only looked up and never begun. Only this file and ``intents`` know the
SDK's objects.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, cast

import stripe
from stripe import RequestOptions

from chalicelib.instants import HOUR, MINUTE, SECOND, Instant
from chalicelib.payments.gateway import AuthorisationRequest, OutcomeUnknownError
from chalicelib.payments.results import (
    Authorisation,
    Authorised,
    Captured,
    CaptureFailed,
    Declined,
    ProviderPayment,
    ProviderRefund,
    Refunded,
    RefundFailed,
)
from chalicelib.payments.stripe.currencies import charge_problem
from chalicelib.payments.stripe.intents import (
    attempt_of,
    decline_code_in,
    intent_id_in,
    to_authorisation,
    to_captured,
    to_status,
    to_uncaptured_status,
)
from chalicelib.telemetry import logger

IDEMPOTENCY_WINDOW: Final[Instant] = 23 * HOUR
"""How long a call may be repeated with its key: an hour less than Stripe promises."""

SEARCH_LAG: Final[Instant] = 2 * MINUTE
"""A search that finds nothing is believed only for payments that are at least this old.

Stripe's search lags by less than a minute as a rule, and by more in an outage
(https://docs.stripe.com/search#data-freshness).
"""

CONNECT_TIMEOUT_SECONDS: Final = 2
READ_TIMEOUT_SECONDS: Final = 8

_CONFIRMABLE_STATUSES: Final = frozenset({"requires_payment_method", "requires_confirmation", "requires_action"})
_AMOUNT_ERROR_CODES: Final = frozenset({"amount_too_small", "amount_too_large"})
_WITH_CHARGE: Final[Any] = {"expand": ["latest_charge.balance_transaction"]}
_TOKEN_PARAMETERS: Final = {"ctoken_": "confirmation_token", "pm_": "payment_method"}
_UNKNOWN_OUTCOME_ERRORS: Final = (
    stripe.APIConnectionError,
    stripe.APIError,
    stripe.RateLimitError,
    stripe.AuthenticationError,
)


def stripe_client(api_key: str, base_url: str | None = None) -> stripe.StripeClient:
    """Return the SDK's client. It tries once and waits ten seconds at most; the capture queue decides about retries."""
    return stripe.StripeClient(
        api_key,
        base_addresses={"api": base_url} if base_url else {},
        max_network_retries=0,
        http_client=stripe.RequestsClient(timeout=(CONNECT_TIMEOUT_SECONDS, READ_TIMEOUT_SECONDS)),
    )


class StripeGateway:
    """A gateway over payment intents with manual capture."""

    name = "stripe"
    amount_problem = staticmethod(charge_problem)

    def __init__(self, client: stripe.StripeClient) -> None:
        self._intents = client.v1.payment_intents
        self._refunds = client.v1.refunds

    def authorise(self, request: AuthorisationRequest, *, now: Instant) -> Authorisation:
        """Reserve the money: create and confirm an intent, or confirm the purchase's existing one. One call, or three.

        Raises:
            OutcomeUnknownError: Stripe gave no readable answer.
            ValueError: Stripe refused the request itself, or an earlier attempt of the purchase was captured.
        """
        if now - request.requested_at > IDEMPOTENCY_WINDOW:
            found = self.find(request.purchase_id, request.attempt, now=now)
            if isinstance(found, Captured):
                return Authorised(found.provider_id, already_existed=True)
            return found or Declined(None, "attempt_expired")
        instrument = next(
            (name for prefix, name in _TOKEN_PARAMETERS.items() if request.token.startswith(prefix)), None
        )
        if instrument is None:
            return Declined(request.provider_id, "invalid_token")
        try:
            with _unknown_outcomes():
                return self._create_or_confirm(request, {instrument: request.token})
        except stripe.CardError as error:
            return Declined(intent_id_in(error), decline_code_in(error))
        except stripe.InvalidRequestError as error:
            if error.param in _TOKEN_PARAMETERS.values():
                return Declined(request.provider_id, "invalid_token")
            if error.code in _AMOUNT_ERROR_CODES:
                return Declined(request.provider_id, error.code)
            raise ValueError(f"Stripe refused the request: {error.code}.") from error

    def _create_or_confirm(self, request: AuthorisationRequest, instrument: dict[str, str]) -> Authorisation:
        metadata = {**request.metadata, "purchase": request.purchase_id, "attempt": str(request.attempt)}
        confirmation: dict[str, Any] = {
            **instrument,
            **({"return_url": request.return_url} if request.return_url else {}),
        }
        if request.step_up:
            confirmation["payment_method_options"] = {"card": {"request_three_d_secure": "challenge"}}
        intent = self._intents.retrieve(request.provider_id) if request.provider_id else None
        if intent is not None and intent.status in {"requires_capture", "succeeded"}:
            if attempt_of(intent) == request.attempt:
                return Authorised(intent.id, already_existed=True)
            if intent.status == "succeeded":
                raise ValueError("An earlier attempt of this purchase was captured.")
            self._intents.cancel(intent.id)
            intent = None
        if intent is None or intent.status not in _CONFIRMABLE_STATUSES:
            created = self._intents.create(
                {
                    "amount": request.amount,
                    "currency": request.currency.lower(),
                    "capture_method": "manual",
                    "confirm": True,
                    "allowed_payment_method_types": ["card"],
                    "metadata": metadata,
                    **confirmation,  # type: ignore[typeddict-item]
                },
                {"idempotency_key": _idempotency_key(request, "create")},
            )
            return to_authorisation(created)
        self._intents.update(
            intent.id,
            {"amount": request.amount, "metadata": metadata},
            {"idempotency_key": _idempotency_key(request, "update")},
        )
        options: RequestOptions = {"idempotency_key": _idempotency_key(request, "confirm")}
        confirmed = self._intents.confirm(intent.id, confirmation, options)  # type: ignore[arg-type]
        return to_authorisation(confirmed)

    def capture(self, provider_id: str, *, attempt: int, amount: int, now: Instant) -> Captured | CaptureFailed:
        """Capture what was authorised: once, and all of it, because a part would leave units unpaid. Two calls."""
        with _unknown_outcomes():
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
                return self._capture_after_conflict(provider_id, amount)
        return to_captured(captured)

    def _capture_after_conflict(self, provider_id: str, amount: int) -> Captured | CaptureFailed:
        intent = self._intents.retrieve(provider_id, _WITH_CHARGE)
        if intent.status == "succeeded" and intent.amount_received == amount:
            return to_captured(intent)
        return CaptureFailed(provider_id, "voided" if intent.status == "canceled" else "not_authorised")

    def void(self, provider_id: str, *, attempt: int, now: Instant) -> bool:
        """Cancel an intent. False: it was captured. One call, or up to three.

        Raises:
            OutcomeUnknownError: Stripe gave no readable answer.
            ValueError: the intent is of another attempt.
        """
        with _unknown_outcomes():
            intent = self._intents.retrieve(provider_id)
            if attempt_of(intent) != attempt:
                raise ValueError(f"The payment is not of attempt {attempt}.")
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
        """Return what Stripe knows of an attempt, by its payment or by metadata. One call, or three.

        Stripe's search lags. So each intent that it finds is read again, and "not found" says nothing about intents
        younger than :data:`SEARCH_LAG`.
        """
        with _unknown_outcomes():
            if provider_id is not None:
                intent_by_id = self._intents.retrieve(provider_id, _WITH_CHARGE)
                if attempt_of(intent_by_id) == attempt:
                    return to_status(intent_by_id)
            query = f"metadata['purchase']:'{purchase_id}' AND metadata['attempt']:'{attempt}'"
            for found in sorted(self._intents.search({"query": query}).data, key=lambda intent: -intent.created):
                intent_read = self._intents.retrieve(found.id, _WITH_CHARGE)
                if attempt_of(intent_read) == attempt:
                    return to_status(intent_read)
        if since is not None and now - since < SEARCH_LAG:
            raise OutcomeUnknownError("Stripe's search may not know the payment yet.")
        return None

    def payments(self, since: Instant) -> Iterator[ProviderPayment]:
        """Yield every intent created at or after ``since`` that names a purchase, or has or reserves money.

        One call for each hundred, and one for each intent with refunds.
        """
        query: Any = {"created": {"gte": since // SECOND}, "limit": 100, "expand": ["data.latest_charge"]}
        with _unknown_outcomes():
            for intent in self._intents.list(query).auto_paging_iter():
                purchase_id, attempt = getattr(intent.metadata, "purchase", None), attempt_of(intent)
                if purchase_id is None and intent.status not in {"requires_capture", "succeeded"}:
                    continue
                is_captured, charge = intent.status == "succeeded", cast("Any", intent.latest_charge)
                is_refunded = is_captured and getattr(charge, "amount_refunded", 0) > 0
                yield ProviderPayment(
                    intent.id,
                    purchase_id,
                    attempt,
                    Captured(intent.id, charge.id, 0) if is_captured else to_uncaptured_status(intent),
                    intent.amount_received if is_captured else intent.amount,
                    intent.currency.upper(),
                    tuple(self._refunds_of(intent.id)) if is_refunded else (),
                )

    def _refunds_of(self, provider_id: str) -> Iterator[ProviderRefund]:
        for made in self._refunds.list({"payment_intent": provider_id, "limit": 100}).auto_paging_iter():
            if made.status == "succeeded":
                yield ProviderRefund(made.id, made.amount, getattr(made.metadata, "refund", None))

    def purchase_of(self, provider_id: str) -> tuple[str, int] | None:
        """Return the purchase and attempt in the intent's metadata. One call."""
        with _unknown_outcomes():
            try:
                intent = self._intents.retrieve(provider_id)
            except stripe.InvalidRequestError:
                return None
        purchase_id, attempt = getattr(intent.metadata, "purchase", None), attempt_of(intent)
        return (purchase_id, attempt) if purchase_id and attempt else None

    def refund(self, provider_id: str, *, refund_id: str, amount: int, now: Instant) -> Refunded | RefundFailed:
        """Refund money, once for each refund id, however old that is. Two calls.

        Raises:
            OutcomeUnknownError: Stripe gave no readable answer.
            ValueError: the refund id was used with another amount.
        """
        with _unknown_outcomes():
            for made in self._refunds.list({"payment_intent": provider_id, "limit": 100}).auto_paging_iter():
                if getattr(made.metadata, "refund", None) == refund_id and made.status != "failed":
                    if made.amount != amount:
                        raise ValueError("This refund id was used with another amount.")
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
def _unknown_outcomes() -> Iterator[None]:
    """Turn errors of the connection, of Stripe itself, or of our API key into ``OutcomeUnknownError``."""
    try:
        yield
    except (stripe.CardError, stripe.InvalidRequestError):
        raise
    except _UNKNOWN_OUTCOME_ERRORS as error:
        logger.warning("stripe outcome unknown", extra={"error": type(error).__name__, "status": error.http_status})
        raise OutcomeUnknownError(type(error).__name__) from error


def _idempotency_key(request: AuthorisationRequest, call: str) -> str:
    return f"{request.purchase_id}:{request.attempt}:{call}"
