"""The sandbox provider: behaves like a real one, with durable records of its own, deterministic by token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from chalicelib.currencies import CURRENCIES, MAX_AMOUNT
from chalicelib.instants import Instant
from chalicelib.money import share
from chalicelib.payments.gateway import AuthorisationRequest, OutcomeUnknownError
from chalicelib.payments.results import (
    ActionRequired,
    Authorisation,
    Authorised,
    Captured,
    CaptureFailed,
    Declined,
    Movement,
    ProviderDispute,
    ProviderRefund,
    RefundFailed,
)
from chalicelib.payments.sandbox.afterwards import (
    AFTERWARDS_TOKENS,
    dispute_of,
    disputed_payment,
    refunded_amount,
)
from chalicelib.payments.sandbox.movements import balance_of, movements_of
from chalicelib.payments.sandbox.refunds import SandboxRefunds
from chalicelib.payments.sandbox.store import CHARGE_PREFIX, ID_PREFIX, SandboxPayment, SandboxStatus, SandboxStore
from chalicelib.payments.sandbox.webhooks import WEBHOOK_TOKENS, emit_webhooks
from chalicelib.payments.store import EventStore

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

FEE_BPS: Final = 150
FEE_FIXED: Final = 20
"""The sandbox's fee for a capture is 1.5 % of the amount plus 20 minor units."""

_DECLINES: Final = {
    "declined": "card_declined",
    "insufficient_funds": "insufficient_funds",
    "invalid_token": "invalid_token",
}
_BEHAVIOURS: Final = (
    "ok",
    "declined",
    "insufficient_funds",
    "requires_action",
    "timeout",
    "timeout_before",
    "capture_timeout",
    "captured_late",
    "capture_refused",
    "refund_timeout",
    *AFTERWARDS_TOKENS,
    *WEBHOOK_TOKENS,
)
_INITIAL_STATUS: Final = {"timeout_before": SandboxStatus.LOST, "requires_action": SandboxStatus.REQUIRES_ACTION}

CHALLENGES_PATH: Final = "/sandbox/challenges"
"""The page where a buyer authenticates, below the API's address: ``{CHALLENGES_PATH}/{purchase}/{attempt}``."""


def behaviour_of(token: str) -> str:
    """Return the behaviour that a token chooses: ``ok`` for ``ok`` and ``ok_1``, ``invalid_token`` for unknown ones."""
    matches = [name for name in _BEHAVIOURS if token == name or token.startswith(f"{name}_")]
    return max(matches, key=len, default="invalid_token")


def fee_of(amount: int) -> int:
    """Return the sandbox's fee for a captured amount, in minor units of its currency."""
    return share(amount, FEE_BPS) + FEE_FIXED


class SandboxGateway:
    """A gateway whose payments are in a table: one item for each attempt of a purchase, one write for each call.

    ==================  ==============================================================================
    token               what happens
    ==================  ==============================================================================
    ok                  authorised, captured
    declined            declined with ``card_declined``
    insufficient_funds  declined with ``insufficient_funds``
    requires_action     the buyer has to authenticate at :data:`CHALLENGES_PATH`; authorised afterwards
    timeout             authorised, but the first answer is lost; a repeat finds the authorisation
    timeout_before      the first request is lost, with no effect; a repeat authorises
    capture_timeout     authorised; the first capture is lost, with no effect
    captured_late       authorised and captured, but the first answer to the capture is lost
    capture_refused     authorised; the authorisation has expired when it is to be captured
    refund_timeout      captured; the first answer to each refund is lost, its effect is there
    refund_pending      captured; each refund is pending for a minute, and then succeeds
    refund_fails        captured; each refund succeeds, and fails a minute later
    dispute_won         captured; a minute later the buyer disputes it, and after another minute the shop wins
    dispute_lost        captured; a minute later the buyer disputes it, and after another minute the shop loses
    webhooks_late       authorised, captured; each event arrives a minute later, refunds as well
    webhooks_twice      authorised, captured; each event arrives twice, refunds as well
    webhooks_reordered  authorised, captured; the event of the authorisation arrives 30 seconds after the capture's
    anything else       declined with ``invalid_token``
    ==================  ==============================================================================
    """

    name = "sandbox"

    def __init__(self, dynamodb: DynamoDBClient, sandbox_table: str, events: EventStore | None = None) -> None:
        self._store = SandboxStore(dynamodb, sandbox_table)
        self._events = events
        self._refunds = SandboxRefunds(self._store, events)

    def amount_problem(self, amount: int, currency: str) -> str | None:
        """Return why the sandbox cannot charge an amount: it takes every currency, and 1 to twelve digits."""
        if currency not in CURRENCIES:
            return f"{currency} is no currency of ISO 4217."
        return None if 1 <= amount <= MAX_AMOUNT else f"The charge must be between 1 and {MAX_AMOUNT} minor units."

    def authorise(self, request: AuthorisationRequest, *, now: Instant) -> Authorisation:
        """Reserve the money of one attempt.

        Raises:
            ValueError: the attempt exists with another amount.
        """
        behaviour = behaviour_of(request.token)
        if request.step_up and behaviour not in _DECLINES:
            behaviour = "requires_action"
        payment = _new_payment(request, behaviour)
        existing = self._store.create(payment, now)
        if existing is None:
            emit_webhooks(self._events, payment, "authorised", now)
            if behaviour in {"timeout", "timeout_before"}:
                raise OutcomeUnknownError("the sandbox lost its answer")
            return _to_authorisation(payment, already_existed=False)
        if existing.amount and (existing.amount, existing.currency) != (request.amount, request.currency):
            raise ValueError("This attempt exists with another amount.")
        if existing.status is SandboxStatus.LOST:
            existing = self._store.apply_lost_request(payment.id)
            if existing is None:
                return Authorised(_provider_id(payment))
        return _to_authorisation(existing, already_existed=True)

    def capture(
        self, provider_id: str, *, attempt: int, amount: int, currency: str, now: Instant
    ) -> Captured | CaptureFailed:
        """Capture the money of an authorised attempt, once. A repeat returns the capture that was made."""
        payment_id = _payment_id(provider_id)
        if not payment_id.endswith(f"#{attempt}"):
            return CaptureFailed(provider_id, "wrong_attempt")
        known = self._store.read(payment_id)
        if known is None:
            return CaptureFailed(provider_id, "not_authorised")
        if known.behaviour == "capture_refused":
            self._store.void(payment_id, now)
            return CaptureFailed(provider_id, "authorisation_expired")
        if known.behaviour == "capture_timeout" and self._store.fail_once(payment_id):
            raise OutcomeUnknownError("the sandbox lost the request")
        existing = self._store.capture(payment_id, amount, fee_of(amount), now)
        if existing is None:
            emit_webhooks(self._events, known, "captured", now)
            if known.behaviour == "captured_late":
                raise OutcomeUnknownError("the sandbox lost its answer")
            return Captured(provider_id, CHARGE_PREFIX + known.id, amount)
        match existing.status:
            case SandboxStatus.CAPTURED:
                return _to_captured(existing, now)
            case SandboxStatus.AUTHORISED:
                return CaptureFailed(provider_id, "amount_too_large")
            case SandboxStatus.VOIDED:
                return CaptureFailed(provider_id, "voided")
        return CaptureFailed(provider_id, "not_authorised")

    def void(self, provider_id: str, *, attempt: int, now: Instant) -> bool:
        """Void an attempt's authorisation, and refuse a late one. False: the money was captured."""
        payment_id = _payment_id(provider_id)
        if not payment_id.endswith(f"#{attempt}"):
            raise ValueError(f"The payment is not of attempt {attempt}.")
        existing = self._store.void(payment_id, now)
        return existing is None or existing.status is not SandboxStatus.CAPTURED

    def answer_challenge(self, purchase_id: str, attempt: int, *, proved: bool) -> bool:
        """Record the result of the buyer's authentication. False: the payment does not wait for it, or no longer."""
        return self._store.answer_challenge(f"{purchase_id}#{attempt}", proved=proved) is None

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
        """Return what the sandbox knows of an attempt. One consistent read, so that None is always certain."""
        payment = self._store.read(f"{purchase_id}#{attempt}")
        if payment is None or payment.status is SandboxStatus.LOST:
            return None
        if payment.status is SandboxStatus.CAPTURED:
            return _to_captured(payment, now)
        return _to_authorisation(payment, already_existed=True)

    def movements(self, since: Instant, until: Instant) -> Iterator[Movement]:
        """Yield the movements of the sandbox's balance in a period: captures with their fees, and refunds. A scan."""
        return movements_of(self._store.captured(), since, until)

    def balance(self, now: Instant) -> dict[str, int]:
        """Return what was captured, less fees and refunds, by currency. The sandbox pays nothing out. A scan."""
        return balance_of(self._store.captured(), now)

    def purchase_of(self, provider_id: str) -> tuple[str, int] | None:
        """Return the purchase and attempt in the payment's id. No call."""
        purchase_id, _, attempt = provider_id.removeprefix(ID_PREFIX).partition("#")
        return (purchase_id, int(attempt)) if provider_id.startswith(ID_PREFIX) and attempt.isdecimal() else None

    def refund(self, provider_id: str, *, refund_id: str, amount: int, now: Instant) -> ProviderRefund | RefundFailed:
        """Refund money, once for each refund id.

        Raises:
            ValueError: the amount is below 1, or the refund id was used with another amount.
        """
        return self._refunds.create(_payment_id(provider_id), refund_id, amount, now)

    def find_refund(self, provider_refund_id: str, *, now: Instant) -> ProviderRefund | None:
        """Return a refund. One consistent read."""
        return self._refunds.find(provider_refund_id, now)

    def refunds_of(self, provider_id: str, *, now: Instant) -> Iterator[ProviderRefund]:
        """Yield the refunds of a payment. One consistent read."""
        return self._refunds.of_payment(_payment_id(provider_id), now)

    def find_dispute(self, dispute_id: str, *, now: Instant) -> ProviderDispute | None:
        """Return the dispute of a payment whose token chose one. One consistent read."""
        payment_id = disputed_payment(dispute_id)
        payment = self._store.read(payment_id) if payment_id is not None else None
        return dispute_of(payment, now) if payment is not None else None


def _new_payment(request: AuthorisationRequest, behaviour: str) -> SandboxPayment:
    code = _DECLINES.get(behaviour)
    status = SandboxStatus.DECLINED if code else _INITIAL_STATUS.get(behaviour, SandboxStatus.AUTHORISED)
    return SandboxPayment(
        id=f"{request.purchase_id}#{request.attempt}",
        status=status,
        behaviour=behaviour,
        amount=request.amount,
        currency=request.currency,
        code=code,
    )


def _to_authorisation(payment: SandboxPayment, *, already_existed: bool) -> Authorisation:
    if payment.status is SandboxStatus.REQUIRES_ACTION:
        return ActionRequired(_provider_id(payment), f"{CHALLENGES_PATH}/{payment.id.replace('#', '/')}")
    if payment.status is SandboxStatus.DECLINED:
        return Declined(_provider_id(payment), payment.code or "card_declined")
    if payment.status is SandboxStatus.VOIDED:
        return Declined(_provider_id(payment), "voided")
    return Authorised(_provider_id(payment), already_existed=already_existed)


def _to_captured(payment: SandboxPayment, now: Instant) -> Captured:
    return Captured(_provider_id(payment), CHARGE_PREFIX + payment.id, payment.captured, refunded_amount(payment, now))


def _provider_id(payment: SandboxPayment) -> str:
    return ID_PREFIX + payment.id


def _payment_id(provider_id: str) -> str:
    if not provider_id.startswith(ID_PREFIX):
        raise ValueError(f"A payment id of the sandbox begins with `{ID_PREFIX}`.")
    return provider_id.removeprefix(ID_PREFIX)
