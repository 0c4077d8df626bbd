"""The sandbox's refunds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from chalicelib.instants import Instant
from chalicelib.payments.gateway import OutcomeUnknownError
from chalicelib.payments.results import ProviderRefund, RefundFailed
from chalicelib.payments.sandbox.afterwards import dispute_of, failed_amount, refund_of, refunds_of
from chalicelib.payments.sandbox.store import ID_PREFIX, SandboxPayment, SandboxStore
from chalicelib.payments.sandbox.webhooks import emit_webhooks
from chalicelib.payments.store import EventStore


@dataclass(frozen=True, slots=True)
class SandboxRefunds:
    """Make and read refunds in the sandbox's table."""

    store: SandboxStore
    events: EventStore | None

    def create(self, payment_id: str, refund_id: str, amount: int, now: Instant) -> ProviderRefund | RefundFailed:
        """Refund money, once for each refund id. One consistent read, and 1 WCU for a new refund.

        Raises:
            ValueError: the amount is below 1, or the refund id was used with another amount.
        """
        if amount <= 0:
            raise ValueError("`amount` must be at least 1.")
        known = self.store.read(payment_id)
        if known is None:
            return RefundFailed("amount_too_large")
        if refund_id not in known.refunds:
            dispute = dispute_of(known, now)
            if dispute is not None and dispute.withdrawn:
                return RefundFailed("charge_disputed")
            existing = self.store.refund(payment_id, refund_id, amount, now, failed=failed_amount(known, now))
            if existing is None:
                return self._begin(known, refund_id, amount, now)
            known = existing
        if refund_id not in known.refunds:
            return RefundFailed("amount_too_large")
        if known.refunds[refund_id] != amount:
            raise ValueError("This refund id was used with another amount.")
        return refund_of(known, refund_id, now)

    def _begin(self, payment: SandboxPayment, refund_id: str, amount: int, now: Instant) -> ProviderRefund:
        refunds, refunded_at = {**payment.refunds, refund_id: amount}, {**payment.refunded_at, refund_id: now}
        refund = refund_of(replace(payment, refunds=refunds, refunded_at=refunded_at), refund_id, now)
        emit_webhooks(self.events, payment, "refunded", now, refund)
        if payment.behaviour == "refund_timeout":
            raise OutcomeUnknownError("the sandbox lost its answer")
        return refund

    def find(self, provider_refund_id: str, now: Instant) -> ProviderRefund | None:
        """Return a refund as it is now; None when the sandbox has none of this id. One consistent read."""
        purchase_id, _, number = provider_refund_id.removeprefix(ID_PREFIX).partition("#")
        refunds = self.of_payment(f"{purchase_id}#{number.partition('-')[0]}", now)
        return next((one for one in refunds if one.provider_refund_id == provider_refund_id), None)

    def of_payment(self, payment_id: str, now: Instant) -> Iterator[ProviderRefund]:
        """Yield the refunds of a payment as they are now. One consistent read."""
        payment = self.store.read(payment_id)
        yield from refunds_of(payment, now) if payment is not None else ()
