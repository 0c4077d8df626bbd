"""Stripe by its official SDK: one payment intent for each attempt, confirmed as it is created, captured by hand.

An intent is never updated or confirmed again, so that its metadata always name its attempt. Calls that create something
have idempotency keys made of purchase and attempt. Stripe keeps a key for a day
(https://docs.stripe.com/api/idempotent_requests), so an attempt older than :data:`IDEMPOTENCY_WINDOW` is only looked up
and never begun. An answer is believed for the state and the amounts in it, not for its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chalicelib.instants import HOUR, Instant
from chalicelib.payments.gateway import AuthorisationRequest, NothingBegunError, OutcomeUnknownError
from chalicelib.payments.results import (
    NOT_PROVED,
    Authorisation,
    Authorised,
    Captured,
    CaptureFailed,
    Declined,
    Movement,
    ProviderDispute,
    ProviderRefund,
    RefundFailed,
    unless_unproved,
)
from chalicelib.payments.stripe.balance import StripeBalance
from chalicelib.payments.stripe.calls import NoAnswerError, ReplayedFailureError, StripeCalls
from chalicelib.payments.stripe.creation import creation_key, creation_parameters
from chalicelib.payments.stripe.currencies import charge_problem, to_provider_amount
from chalicelib.payments.stripe.disputes import StripeDisputes
from chalicelib.payments.stripe.errors import TOKEN_PARAMETERS, Call, Sort, SortedError, StripeAnswerError, end_code_of
from chalicelib.payments.stripe.intents import (
    is_proved,
    requires_proof,
    to_captured,
    to_declined,
    to_status,
    was_replayed,
)
from chalicelib.payments.stripe.lookup import IntentLookup
from chalicelib.payments.stripe.refunds import StripeRefunds
from chalicelib.telemetry import count, logger

IDEMPOTENCY_WINDOW: Final[Instant] = 23 * HOUR
"""How long a call may be repeated with its key: an hour less than Stripe promises."""

_ENDS_OF_HOLDS: Final = frozenset({"authorisation_expired", "not_authorised", "voided"})
"""Codes of captures that fail in the ordinary course. Any other refusal raises an alarm."""


class StripeGateway:
    """A gateway over payment intents with manual capture. ``mark`` names this shop among others on the same account."""

    name = "stripe"
    amount_problem = staticmethod(charge_problem)

    def __init__(self, calls: StripeCalls, mark: str) -> None:
        self._calls, self._mark = calls, mark
        self._lookup = IntentLookup(calls, mark)
        self._refunds = StripeRefunds(calls, self._lookup, mark)
        self._disputes = StripeDisputes(calls, self._lookup, mark)
        self._balance = StripeBalance(calls, self._lookup, mark)

    def authorise(self, request: AuthorisationRequest, *, now: Instant) -> Authorisation:
        """Create and confirm an intent. One call, with a step-up two; after a failure or a used token also a look-up.

        Raises:
            NothingBegunError: Stripe has stored a failure under this try's key, and has no payment of the attempt.
            OutcomeUnknownError: Stripe gave no readable answer.
            ProviderBusyError: Stripe carried nothing out.
        """
        if now - request.requested_at > IDEMPOTENCY_WINDOW:
            return self._look_up(request, now) or Declined(None, "attempt_expired")
        parameter = next((name for prefix, name in TOKEN_PARAMETERS.items() if request.token.startswith(prefix)), None)
        if parameter is None:
            return Declined(None, "invalid_token")
        try:
            sent = creation_parameters(request, parameter, self._mark)
        except ValueError:
            return Declined(None, "currency_not_supported", refused=True)
        options = {"idempotency_key": creation_key(request)}
        try:
            created = self._calls.run(Call.CREATE_INTENT, lambda api: api.payment_intents.create(sent, options))
        except ReplayedFailureError as error:
            found = self._look_up(request, now)
            if found is None:
                raise NothingBegunError(str(error)) from error
            return found
        except StripeAnswerError as error:
            return self._after_refusal(request, error.answer, now)
        if was_replayed(created):  # a picture of that time; the intent may have been voided since
            created = self._lookup.read(created.id) or created
        elif created.status == "requires_capture":
            return self._new_authorisation(created, request)
        return _to_authorisation(to_status(created))

    def _new_authorisation(self, created: Any, request: AuthorisationRequest) -> Authorised | Declined:
        if created.amount_capturable != to_provider_amount(request.amount, request.currency):
            return Declined(created.id, "partially_authorised")
        is_enough = not requires_proof(created) or is_proved(self._read(created.id))  # the charge has the outcome
        return Authorised(created.id) if is_enough else Declined(created.id, NOT_PROVED)

    def _after_refusal(self, request: AuthorisationRequest, answer: SortedError, now: Instant) -> Authorisation:
        """Believe a refusal only if no earlier call of this attempt holds the money: its token is then used up.

        An earlier call of the first try had the same key, so Stripe would repeat its answer. A used token then costs a
        search, in case a slower worker has overtaken it, and no list: a flood of used tokens would read long ones.
        """
        if answer.sort is Sort.DONE and answer.intent is not None:
            return _to_authorisation(to_status(self._read(answer.intent.id)))
        found: Authorisation | Captured | None = None
        if request.tries:
            found = self._look_up(request, now)
        elif answer.used_token:
            found = self.find(request.purchase_id, request.attempt, now=now)
        if found is not None:
            return _to_authorisation(found)
        if answer.used_token:
            count("tokens_refused")
        declined = to_declined(answer)
        if answer.sort is Sort.DECLINED:
            return declined
        count("payments_refused")
        return Declined(declined.provider_id, declined.code, refused=True)

    def _look_up(self, request: AuthorisationRequest, now: Instant) -> Authorisation | None:
        """Look an attempt up for certain: None means that it has no payment at this instant."""
        purchase_id, began_at = request.purchase_id, request.requested_at
        since = min(now, began_at + IDEMPOTENCY_WINDOW)
        found = self.find(purchase_id, request.attempt, now=now, since=since, began_at=began_at)
        return _to_authorisation(found) if found is not None else None

    def capture(
        self, provider_id: str, *, attempt: int, amount: int, currency: str, now: Instant
    ) -> Captured | CaptureFailed:
        """Capture what was authorised, once. One call, because the id was created or found for this very attempt.

        Stripe captures an intent once under any number of keys. So each run has a key of its own, and no failure
        that Stripe stored is repeated to it.

        Raises:
            OutcomeUnknownError: Stripe gave no readable answer, or is still capturing.
            ProviderBusyError: Stripe carried nothing out.
        """
        sent = {"amount_to_capture": to_provider_amount(amount, currency)}
        options = {"idempotency_key": f"{provider_id}:{attempt}:capture:{now}"}
        try:
            intent = self._calls.run(Call.CAPTURE, lambda api: api.payment_intents.capture(provider_id, sent, options))
        except StripeAnswerError as error:
            if error.answer.sort is Sort.REFUSED:
                return _refused_capture(provider_id, error.answer)
            intent = self._read(provider_id)
        except NoAnswerError:
            raise
        except OutcomeUnknownError:
            intent = self._read(provider_id)
        if intent.status == "succeeded":
            return to_captured(intent)
        if intent.status == "canceled":
            return CaptureFailed(provider_id, end_code_of(intent))
        raise OutcomeUnknownError(f"Stripe has the payment as {intent.status}.")

    def void(self, provider_id: str, *, attempt: int, now: Instant) -> bool:
        """Cancel an intent. False: it was captured. Two calls, or three.

        Raises:
            OutcomeUnknownError: Stripe gave no readable answer, or has no such intent.
        """
        intent = self._read(provider_id)
        return self._cancel(intent, f"{provider_id}:{attempt}:cancel:{now}")

    def _cancel(self, intent: Any, key: str) -> bool:
        if intent.status in {"canceled", "succeeded"}:
            return bool(intent.status == "canceled")
        options = {"idempotency_key": key}
        try:
            intent = self._calls.run(Call.CANCEL, lambda api: api.payment_intents.cancel(intent.id, {}, options))
        except NoAnswerError:
            raise
        except (StripeAnswerError, OutcomeUnknownError):
            intent = self._read(intent.id)
        if intent.status not in {"canceled", "succeeded"}:
            raise OutcomeUnknownError(f"Stripe has the payment as {intent.status}.")
        return bool(intent.status == "canceled")

    def _read(self, provider_id: str) -> Any:
        intent = self._lookup.read(provider_id)
        if intent is None:
            raise OutcomeUnknownError("Stripe has no payment of this id.")
        return intent

    def find(
        self,
        purchase_id: str,
        attempt: int,
        *,
        now: Instant,
        provider_id: str | None = None,
        since: Instant | None = None,
        began_at: Instant | None = None,
    ) -> Authorisation | Captured | None:
        """Return what Stripe has of an attempt: by id, by search, and with ``began_at`` by the list, which never lags.

        Costs as :meth:`IntentLookup.of_attempt`, and a call for each surplus authorisation, which is voided.
        """
        intents = self._lookup.of_attempt(
            purchase_id, attempt, now=now, provider_id=provider_id, since=since, began_at=began_at
        )
        if not intents:
            return None
        first, *others = intents
        status = to_status(first)
        for other in others:
            self._void_surplus(other, f"{other.id}:{attempt}:cancel:{now}")
        return status

    def _void_surplus(self, intent: Any, key: str) -> None:
        """Void another payment of an attempt that has one: two keys of it had their effect."""
        if intent.status in {"canceled", "requires_payment_method"}:
            return
        logger.error("second payment of an attempt", extra={"payment": intent.id, "status": intent.status})
        count("surplus_payments")
        if intent.status != "succeeded":
            self._cancel(intent, key)

    def purchase_of(self, provider_id: str) -> tuple[str, int] | None:
        """Return the purchase and attempt in the intent's metadata. None: it lacks the mark. One call."""
        return self._lookup.purchase_of(provider_id)

    def refund(self, provider_id: str, *, refund_id: str, amount: int, now: Instant) -> ProviderRefund | RefundFailed:
        """Refund money once for each refund id, however old that is. Three calls: see :meth:`StripeRefunds.create`."""
        return self._refunds.create(provider_id, refund_id, amount)

    def find_refund(self, provider_refund_id: str, *, now: Instant) -> ProviderRefund | None:
        """Return a refund by which captured money of this shop moves. One call, or two."""
        return self._refunds.find(provider_refund_id)

    def refunds_of(self, provider_id: str, *, now: Instant) -> Iterator[ProviderRefund]:
        """Yield the refunds of a payment by which captured money moves. One call a hundred."""
        return self._refunds.of_payment(provider_id)

    def find_dispute(self, dispute_id: str, *, now: Instant) -> ProviderDispute | None:
        """Return a dispute of a payment of this shop. One call, or two."""
        return self._disputes.find(dispute_id)

    def movements(self, since: Instant, until: Instant) -> Iterator[Movement]:
        """Yield the movements of the balance in a period. One call a hundred, and some reads of payments."""
        return self._balance.movements(since, until)

    def balance(self, now: Instant) -> dict[str, int]:
        """Return the balance of the account by currency. One call."""
        return self._balance.balance()


def _to_authorisation(found: Authorisation | Captured) -> Authorisation:
    """Return captured money as an authorisation, whose capture then finds it, and an unproved one as declined."""
    if isinstance(found, Captured):
        return Authorised(found.provider_id, already_existed=True)
    return unless_unproved(found)


def _refused_capture(provider_id: str, answer: SortedError) -> CaptureFailed:
    if answer.code not in _ENDS_OF_HOLDS:
        count("payments_refused")
    return CaptureFailed(provider_id, answer.code)
