"""The results of a provider's calls, and the provider's objects as the product sees them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

from chalicelib.instants import Instant


@dataclass(frozen=True, slots=True)
class Authorised:
    """The provider has reserved the money for this attempt; nothing is captured yet."""

    provider_id: str
    already_existed: bool = False
    """Whether an earlier run of the same attempt made it."""
    proved: bool = True
    """False: the shop required the buyer's authentication for this payment, and the provider has no proof of it."""


@dataclass(frozen=True, slots=True)
class Declined:
    """The provider declined the payment. ``code`` is its reason, safe to show."""

    provider_id: str | None
    """The declined payment. None: the provider has no payment of the attempt."""
    code: str
    refused: bool = False
    """The provider refuses the request itself, for good. A fault of configuration or code: it says nothing about the
    buyer, does not count against one, and raises an alarm."""


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The buyer has to authenticate (3-D Secure) before the provider reserves the money. ``url``: the page, if any."""

    provider_id: str
    url: str | None = None


Authorisation = Authorised | Declined | ActionRequired
"""The possible results of an authorisation."""

NOT_PROVED: Final = "authentication_not_proved"
"""The code of a payment that went through without the authentication that the shop required."""


@dataclass(frozen=True, slots=True)
class Captured:
    """The money is captured. Money in minor units of the order's currency."""

    provider_id: str
    charge_id: str
    amount: int
    """The amount received, which may differ from the amount asked for."""
    refunded: int = 0
    """The part of it that was refunded in the provider's console before."""


@dataclass(frozen=True, slots=True)
class CaptureFailed:
    """The authorisation can no longer be captured: it was voided, or it has expired."""

    provider_id: str
    code: str


@dataclass(frozen=True, slots=True)
class RefundFailed:
    """The provider refused the refund for good: a refund made elsewhere, or a dispute, has left too little."""

    code: str


_T = TypeVar("_T")


def unless_unproved(found: _T) -> _T | Declined:
    """Return what was found; an authorisation without the proof that the shop required counts as declined.

    The end of its attempt voids it. Money that was captured in the provider's console stays captured.
    """
    if isinstance(found, Authorised) and not found.proved:
        return Declined(found.provider_id, NOT_PROVED)
    return found


class RefundStatus(StrEnum):
    """The state of a refund at the provider. A pending one fails or succeeds; one that succeeded may still fail."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """A refund of captured money, as the provider has it. ``refund_id`` None: it was made in the provider's console."""

    provider_refund_id: str
    amount: int
    refund_id: str | None = None
    status: RefundStatus = RefundStatus.SUCCEEDED
    failure_code: str | None = None
    payment_id: str | None = None


class DisputeStatus(StrEnum):
    """The state of a dispute. An inquiry moves no money. ``CLOSED`` ended without a loss: withdrawn or prevented."""

    INQUIRY = "inquiry"
    OPEN = "open"
    WON = "won"
    LOST = "lost"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class ProviderDispute:
    """A dispute (chargeback) of a payment. Money in minor units of ``currency``."""

    id: str
    payment_id: str
    status: DisputeStatus
    amount: int
    currency: str
    opened_at: Instant
    reason: str | None = None
    evidence_due: Instant | None = None
    withdrawn: int = 0
    """The part that is withdrawn from the shop's balance at present, in ``currency``."""
    withdrawn_of_payment: int = 0
    """The part of the payment that this takes, in minor units of the payment's currency. In another currency than the
    dispute's, it is converted at the rate of the charge, and at most what the payment received."""


class MovementKind(StrEnum):
    """The cause of a movement of the shop's balance at the provider.

    ``HOLD_RELEASED`` is the rest of a part capture: the provider calls it a refund, and no buyer got money.
    """

    CHARGE = "charge"
    REFUND = "refund"
    REFUND_FAILED = "refund_failed"
    HOLD_RELEASED = "hold_released"
    DISPUTE = "dispute"
    DISPUTE_REVERSED = "dispute_reversed"
    FEE = "fee"
    PAYOUT = "payout"
    PAYOUT_FAILED = "payout_failed"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement of the shop's balance at the provider (Stripe: balance transaction). It never changes.

    ``amount`` and ``fee`` are in minor units of ``currency``, the currency of settlement; the balance changes by
    ``amount - fee``. ``charged_amount`` is in ``charged_currency``, the buyer's; ``conversion_rate`` leads from it to
    ``amount``, and is None where both currencies are the same.
    """

    id: str
    provider: str
    kind: MovementKind
    provider_type: str
    """The provider's own name for the kind of movement."""
    amount: int
    fee: int
    currency: str
    created_at: Instant
    source_id: str | None = None
    """The provider's charge, refund, dispute or payout."""
    payment_id: str | None = None
    purchase_id: str | None = None
    """The purchase that it is for. None: a movement of the account, or of other software."""
    attempt: int | None = None
    is_foreign: bool = False
    """Whether it belongs to a payment of other software on the same account."""
    charged_amount: int | None = None
    charged_currency: str | None = None
    conversion_rate: str | None = None

    @property
    def net(self) -> int:
        """Return the change of the balance, in minor units of ``currency``."""
        return self.amount - self.fee
