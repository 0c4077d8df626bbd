"""The sandbox's refunds and disputes as time passes.

Nothing is written at these instants. The state follows from the payment's item and the present instant.
"""

from __future__ import annotations

from typing import Final

from chalicelib.instants import DAY, MINUTE, Instant
from chalicelib.payments.results import DisputeStatus, ProviderDispute, ProviderRefund, RefundStatus
from chalicelib.payments.sandbox.store import ID_PREFIX, SandboxPayment

REFUND_PENDING_FOR: Final[Instant] = MINUTE
"""How long a refund of the token ``refund_pending`` is pending. Then it succeeds."""
REFUND_FAILS_AFTER: Final[Instant] = MINUTE
"""How long after its success a refund of the token ``refund_fails`` fails."""
DISPUTE_OPENS_AFTER: Final[Instant] = MINUTE
DISPUTE_LASTS: Final[Instant] = MINUTE
DISPUTE_FEE: Final = 1_500
"""The sandbox's fee for a dispute, in minor units. A shop that wins pays it as well."""
DISPUTE_TOKENS: Final = ("dispute_won", "dispute_lost")
AFTERWARDS_TOKENS: Final = ("refund_pending", "refund_fails", *DISPUTE_TOKENS)

_DISPUTE_PREFIX: Final = f"{ID_PREFIX}dp_"


def refund_of(payment: SandboxPayment, refund_id: str, now: Instant) -> ProviderRefund:
    """Return a refund of a payment as it is at an instant."""
    made_at = payment.refunded_at.get(refund_id, payment.captured_at)
    status = RefundStatus.SUCCEEDED
    if payment.behaviour == "refund_pending" and now < made_at + REFUND_PENDING_FOR:
        status = RefundStatus.PENDING
    if payment.behaviour == "refund_fails" and now >= made_at + REFUND_FAILS_AFTER:
        status = RefundStatus.FAILED
    provider_id = ID_PREFIX + payment.id
    failure = "expired_or_canceled_card" if status is RefundStatus.FAILED else None
    amount = payment.refunds[refund_id]
    return ProviderRefund(f"{provider_id}-{refund_id}", amount, refund_id, status, failure, provider_id)


def refunds_of(payment: SandboxPayment, now: Instant) -> list[ProviderRefund]:
    """Return the refunds of a payment as they are at an instant."""
    return [refund_of(payment, refund_id, now) for refund_id in payment.refunds]


def failed_amount(payment: SandboxPayment, now: Instant) -> int:
    """Return the minor units of failed refunds. They are refundable again."""
    return sum(refund.amount for refund in refunds_of(payment, now) if refund.status is RefundStatus.FAILED)


def refunded_amount(payment: SandboxPayment, now: Instant) -> int:
    """Return the minor units of refunds that are done or pending."""
    return payment.captured - payment.left - failed_amount(payment, now)


def dispute_id_of(payment_id: str) -> str:
    """Return the id of the one dispute that a sandbox payment may have."""
    return _DISPUTE_PREFIX + payment_id


def disputed_payment(dispute_id: str) -> str | None:
    """Return the payment's id in the sandbox's table; None for an id of no dispute."""
    return dispute_id.removeprefix(_DISPUTE_PREFIX) if dispute_id.startswith(_DISPUTE_PREFIX) else None


def disputed_amount(payment: SandboxPayment) -> int:
    """Return what the buyer disputes: all that was not refunded when the dispute opened, in minor units."""
    opened_at = payment.captured_at + DISPUTE_OPENS_AFTER
    refunds = payment.refunds.items()
    return payment.captured - sum(amount for one, amount in refunds if payment.refunded_at.get(one, 0) < opened_at)


def dispute_of(payment: SandboxPayment, now: Instant) -> ProviderDispute | None:
    """Return the dispute of a payment as it is at an instant; None when there is none yet."""
    opened_at = payment.captured_at + DISPUTE_OPENS_AFTER
    if payment.behaviour not in DISPUTE_TOKENS or not payment.captured_at or now < opened_at:
        return None
    amount = disputed_amount(payment)
    status, withdrawn = DisputeStatus.OPEN, amount
    if now >= opened_at + DISPUTE_LASTS:
        won = payment.behaviour == "dispute_won"
        status, withdrawn = (DisputeStatus.WON, 0) if won else (DisputeStatus.LOST, amount)
    return ProviderDispute(
        dispute_id_of(payment.id),
        ID_PREFIX + payment.id,
        status,
        amount,
        payment.currency,
        opened_at,
        "fraudulent",
        opened_at + 7 * DAY,
        withdrawn,
        withdrawn_of_payment=withdrawn,
    )
