"""The payment gateway's protocol: what the capture worker asks of a provider, in its words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from chalicelib.instants import Instant


@dataclass(frozen=True, slots=True)
class AuthorisationRequest:
    """What to authorise for one attempt of one purchase. ``amount`` in minor units; ``token`` is never logged."""

    purchase_id: str
    attempt: int
    amount: int
    currency: str
    token: str
    metadata: dict[str, str]
    requested_at: Instant
    """When the buyer asked for this attempt."""
    provider_id: str | None = None
    """The payment of an earlier attempt that ended without money, to be confirmed again where the provider can."""
    step_up: bool = False
    """Have the buyer authenticated (3-D Secure), whatever the provider thinks of the risk."""
    return_url: str = ""
    """Where the buyer comes back to from the provider's page; empty: the provider asks for nothing that needs one."""


@dataclass(frozen=True, slots=True)
class Authorised:
    """The provider reserves the money for this attempt; nothing is taken yet."""

    provider_id: str
    already_existed: bool = False
    """It was there already: an earlier run of the same attempt made it."""


@dataclass(frozen=True, slots=True)
class Declined:
    """The provider said no. ``code`` is the provider's reason, safe to show."""

    provider_id: str | None
    code: str


@dataclass(frozen=True, slots=True)
class ActionRequired:
    """The buyer has to prove who they are (3-D Secure) before the money is reserved. ``url``: where, if at a page."""

    provider_id: str
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Captured:
    """The money is taken. ``fee`` is the provider's, in minor units of the same currency."""

    provider_id: str
    charge_id: str
    fee: int


@dataclass(frozen=True, slots=True)
class CaptureFailed:
    """The authorisation can no longer be captured: voided, lapsed."""

    provider_id: str
    code: str


@dataclass(frozen=True, slots=True)
class Refunded:
    """Money went back. ``refund_id`` is the provider's."""

    provider_refund_id: str


@dataclass(frozen=True, slots=True)
class RefundFailed:
    """Nothing went back, and nothing will: less is left than was asked for, by a refund made elsewhere, or disputed."""

    code: str


@dataclass(frozen=True, slots=True)
class ProviderRefund:
    """A refund as the provider has it. ``refund_id`` is ours, where we made it."""

    provider_refund_id: str
    amount: int
    refund_id: str | None = None


Authorisation = Authorised | Declined | ActionRequired
"""What a provider answers to an order."""


@dataclass(frozen=True, slots=True)
class ProviderPayment:
    """A payment as the provider has it, to be compared with our orders. Money in minor units."""

    provider_id: str
    purchase_id: str | None
    attempt: int | None
    status: Authorisation | Captured
    amount: int
    currency: str
    refunds: tuple[ProviderRefund, ...] = ()


class OutcomeUnknownError(Exception):
    """The provider did not answer, or said something unreadable: the effect may or may not have happened. Ask again."""


class Gateway(Protocol):
    """A payment provider. Every call is idempotent by purchase and attempt (refunds: by refund id).

    Each raises :class:`OutcomeUnknownError` when the outcome is unknown; asking again is always safe.
    """

    name: str

    def authorise(self, request: AuthorisationRequest, *, now: int) -> Authorisation:
        """Reserve the money of one attempt, or say what the buyer has to do first."""
        ...

    def capture(self, provider_id: str, *, attempt: int, amount: int, now: int) -> Captured | CaptureFailed:
        """Take what was authorised, once, whatever the number of calls."""
        ...

    def void(self, provider_id: str, *, attempt: int, now: int) -> bool:
        """Give up an authorisation that will not be captured, or one that still waits for the buyer.

        True: nothing is reserved any more, and nothing will be; False: captured.
        """
        ...

    def find(
        self, purchase_id: str, attempt: int, *, now: int, provider_id: str | None = None, since: int | None = None
    ) -> Authorisation | Captured | None:
        """What the provider knows of an attempt; ``provider_id``, where it is known, spares a search that may lag.

        ``since``: "nothing" is certain of all that was begun before that instant, or it is not answered
        (``OutcomeUnknownError``). Without it, "nothing" may be too early.
        """
        ...

    def payments(self, since: Instant) -> Iterator[ProviderPayment]:
        """Every payment that was begun since then, whatever became of it."""
        ...

    def purchase_of(self, provider_id: str) -> tuple[str, int] | None:
        """Purchase and attempt that a payment of the provider is for; None when it is none of ours."""
        ...

    def refund(self, provider_id: str, *, refund_id: str, amount: int, now: int) -> Refunded | RefundFailed:
        """Give back part or all of what was captured, once for each refund id."""
        ...
