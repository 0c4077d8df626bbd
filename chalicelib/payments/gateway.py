"""The protocol of a payment gateway: the calls that the product makes to a provider, and their results."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from chalicelib.instants import Instant


@dataclass(frozen=True, slots=True)
class AuthorisationRequest:
    """One attempt of one purchase to authorise. ``amount`` in minor units; ``token`` is never logged."""

    purchase_id: str
    attempt: int
    amount: int
    currency: str
    token: str
    metadata: dict[str, str]
    requested_at: Instant
    """The instant at which the buyer placed the order."""
    provider_id: str | None = None
    """The payment of an earlier attempt that ended without money; the provider confirms it again where it can."""
    step_up: bool = False
    """Require authentication of the buyer (3-D Secure), whatever the provider thinks of the risk."""
    return_url: str = ""
    """The page to which the provider's page sends the buyer back; empty: the provider must use no page of its own."""


@dataclass(frozen=True, slots=True)
class Authorised:
    """The provider has reserved the money for this attempt; nothing is captured yet."""

    provider_id: str
    already_existed: bool = False
    """Whether an earlier run of the same attempt made it."""


@dataclass(frozen=True, slots=True)
class Declined:
    """The provider declined the payment. ``code`` is its reason, safe to show."""

    provider_id: str | None
    code: str


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The buyer has to authenticate (3-D Secure) before the provider reserves the money. ``url``: the page, if any."""

    provider_id: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Captured:
    """The money is captured. ``fee`` is the provider's, in minor units of the same currency."""

    provider_id: str
    charge_id: str
    fee: int


@dataclass(frozen=True, slots=True)
class CaptureFailed:
    """The authorisation can no longer be captured: it was voided, or it has expired."""

    provider_id: str
    code: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """The provider has refunded the money."""

    provider_refund_id: str


@dataclass(frozen=True, slots=True)
class RefundFailed:
    """The provider refused the refund for good: a refund made elsewhere, or a dispute, has left too little."""

    code: str


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """A refund as the provider has it. ``refund_id`` None: it was made in the provider's console."""

    provider_refund_id: str
    amount: int
    refund_id: str | None = None


Authorisation = Authorised | Declined | ActionRequired
"""The possible results of an authorisation."""


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """A payment as the provider has it. Money in minor units."""

    provider_id: str
    purchase_id: str | None
    attempt: int | None
    status: Authorisation | Captured
    amount: int
    currency: str
    refunds: tuple[ProviderRefund, ...] = ()


class OutcomeUnknownError(Exception):
    """The provider gave no readable answer. The call may or may not have had its effect; repeat it."""


class Gateway(Protocol):
    """A payment provider. Every call is idempotent by purchase and attempt (refunds: by refund id).

    Raises:
        OutcomeUnknownError: from any call, when its outcome is unknown. To repeat the call is always safe.
    """

    name: str

    def authorise(self, request: AuthorisationRequest, *, now: int) -> Authorisation:
        """Reserve the money of one attempt, unless the provider declines or the buyer has to authenticate first."""
        ...

    def capture(self, provider_id: str, *, attempt: int, amount: int, now: int) -> Captured | CaptureFailed:
        """Capture what was authorised: once, whatever the number of calls."""
        ...

    def void(self, provider_id: str, *, attempt: int, now: int) -> bool:
        """Void an authorisation, or one that still waits for the buyer.

        True: nothing is reserved, and nothing will be. False: the money was captured.
        """
        ...

    def find(
        self, purchase_id: str, attempt: int, *, now: int, provider_id: str | None = None, since: int | None = None
    ) -> Authorisation | Captured | None:
        """Return what the provider knows of an attempt. ``provider_id``, if known, spares a search that may lag.

        With ``since``, None is certain for all that began before that instant; if the search may lag behind it, the
        call raises ``OutcomeUnknownError``. Without ``since``, None may be too early.
        """
        ...

    def payments(self, since: Instant) -> Iterator[ProviderPayment]:
        """Yield every payment that began at or after ``since``, whatever its result."""
        ...

    def purchase_of(self, provider_id: str) -> tuple[str, int] | None:
        """Return the purchase and attempt that a payment is for; None when it is of another shop or system."""
        ...

    def refund(self, provider_id: str, *, refund_id: str, amount: int, now: int) -> Refunded | RefundFailed:
        """Refund part or all of what was captured, once for each refund id."""
        ...
