"""The protocol of a payment gateway: the calls that the product makes to a provider."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from chalicelib.instants import Instant
from chalicelib.payments.results import (
    Authorisation,
    Captured,
    CaptureFailed,
    Movement,
    ProviderDispute,
    ProviderRefund,
    RefundFailed,
)


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
    tries: int = 0
    """How often this attempt was begun before without leaving a trace. Each try has an idempotency key of its own."""
    step_up: bool = False
    """Require authentication of the buyer (3-D Secure), whatever the provider thinks of the risk."""
    return_url: str = ""
    """The page to which the provider's page sends the buyer back; empty: the provider must use no page of its own."""


class OutcomeUnknownError(Exception):
    """The provider gave no readable answer. The call may or may not have had its effect; repeat it."""


class NotCertainError(OutcomeUnknownError):
    """The provider answered, and its records found no payment, but a payment may exist. A later look-up may tell."""


class NothingBegunError(OutcomeUnknownError):
    """The provider repeats a stored failure of this attempt, and a look-up found no payment of it.

    The same request would fail in the same way for a day. A request with ``tries`` + 1, stored before, begins again.
    """


class ProviderBusyError(Exception):
    """The provider carried nothing out, and asks to wait: a rate limit, a lock, or a key that it refuses.

    The wait costs no try. ``retry_in_seconds`` says when to call again.
    """

    def __init__(self, reason: str, *, retry_in_seconds: int = 2) -> None:
        super().__init__(reason)
        self.retry_in_seconds = retry_in_seconds


class BalanceSource(Protocol):
    """A provider's own account of what moved the shop's balance.

    Raises:
        OutcomeUnknownError: from any call, when the provider gave no readable answer.
        ProviderBusyError: from any call, when it has to wait.
    """

    name: str

    def movements(self, since: Instant, until: Instant) -> Iterator[Movement]:
        """Yield every movement that was created at or after ``since`` and before ``until``, in any order.

        Both are whole seconds. Foreign movements, payouts and fees of the account are among them.
        """
        ...

    def balance(self, now: Instant) -> dict[str, int]:
        """Return what the provider owes the shop now, by currency, in minor units: the sum of all movements."""
        ...


class Gateway(BalanceSource, Protocol):
    """A payment provider. Every call is idempotent by purchase and attempt (refunds: by refund id).

    Raises:
        OutcomeUnknownError: from any call, when its outcome is unknown. To repeat the call is always safe.
        ProviderBusyError: from any call, when it had no effect and has to wait.
    """

    def amount_problem(self, amount: int, currency: str) -> str | None:
        """Return a sentence why the provider cannot charge an amount of minor units; None if it can. No call."""
        ...

    def authorise(self, request: AuthorisationRequest, *, now: Instant) -> Authorisation:
        """Reserve the money of one attempt, unless the provider declines or the buyer has to authenticate first."""
        ...

    def capture(
        self, provider_id: str, *, attempt: int, amount: int, currency: str, now: Instant
    ) -> Captured | CaptureFailed:
        """Capture what was authorised: once, at any number of calls.

        ``provider_id`` is an id that :meth:`authorise` or :meth:`find` returned for this attempt.
        """
        ...

    def void(self, provider_id: str, *, attempt: int, now: Instant) -> bool:
        """Void an authorisation, or one that still waits for the buyer.

        True: nothing is reserved, and nothing will be. False: the money was captured.
        """
        ...

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
        """Return what the provider knows of an attempt. ``provider_id``, if known, spares a search that may lag.

        ``began_at`` is the instant before which nobody could begin the attempt. With it, a search that finds nothing is
        followed by the provider's list, which never lags. Without it, an account that has no search finds nothing.

        With ``since``, None is certain for all that began before that instant; if it cannot be certain, the call raises
        ``NotCertainError``. Without ``since``, None may be too early.

        If several payments of the attempt hold money, the captured one counts, else the oldest; others are voided.
        """
        ...

    def purchase_of(self, provider_id: str) -> tuple[str, int] | None:
        """Return the purchase and attempt that a payment is for; None when it is of another shop or system."""
        ...

    def refund(self, provider_id: str, *, refund_id: str, amount: int, now: Instant) -> ProviderRefund | RefundFailed:
        """Refund part or all of what was captured, once for each refund id.

        The refund is returned in its present state: pending, done, or failed, which a repeat does not change.
        ``RefundFailed``: the provider refused to begin it.
        """
        ...

    def find_refund(self, provider_refund_id: str, *, now: Instant) -> ProviderRefund | None:
        """Return a refund as it is now.

        None: no captured money of this shop moves by it. It is a released hold, the rest of a part capture, of another
        shop, or unknown.
        """
        ...

    def refunds_of(self, provider_id: str, *, now: Instant) -> Iterator[ProviderRefund]:
        """Yield the refunds of a payment by which captured money moves, in any order."""
        ...

    def find_dispute(self, dispute_id: str, *, now: Instant) -> ProviderDispute | None:
        """Return a dispute as it is now. None: it is unknown, or of a payment of another shop."""
        ...
