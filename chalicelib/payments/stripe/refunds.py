"""Refunds at Stripe, told apart from holds that were released, which Stripe calls refunds as well.

Source: https://docs.stripe.com/refunds and https://docs.stripe.com/api/refunds/object.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from chalicelib.payments.events import MARK_KEY
from chalicelib.payments.gateway import OutcomeUnknownError
from chalicelib.payments.results import ProviderRefund, RefundFailed, RefundStatus
from chalicelib.payments.stripe.calls import ReplayedFailureError, StripeCalls
from chalicelib.payments.stripe.currencies import balance_amount, to_provider_amount
from chalicelib.payments.stripe.errors import Call, StripeAnswerError
from chalicelib.payments.stripe.intents import attempt_in
from chalicelib.payments.stripe.lookup import IntentLookup, pages

MAX_KEYS: Final = 5
"""Idempotency keys of one refund: the next is used when Stripe stored a failure under the one before."""

_STATUSES: Final = {
    "pending": RefundStatus.PENDING,
    "requires_action": RefundStatus.PENDING,
    "succeeded": RefundStatus.SUCCEEDED,
    "failed": RefundStatus.FAILED,
    "canceled": RefundStatus.FAILED,
}
_PARTS: Final = ("balance_transaction", "charge")
_RELEASED: Final = "partial_capture_reversal"
"""The category of the movement by which a part capture releases the rest of its hold."""


class StripeRefunds:
    """Make and read refunds of this shop's payments."""

    def __init__(self, calls: StripeCalls, lookup: IntentLookup, mark: str) -> None:
        self._calls, self._lookup, self._mark = calls, lookup, mark

    def create(self, provider_id: str, refund_id: str, amount: int) -> ProviderRefund | RefundFailed:
        """Refund money once for each refund id, however old that is. Three calls: an intent, its refunds, the refund.

        Raises:
            OutcomeUnknownError: Stripe gave no readable answer.
            ValueError: the refund id was used with another amount.
        """
        intent = self._lookup.read(provider_id)
        if intent is None:
            return RefundFailed("resource_missing")
        currency = intent.currency.upper()
        try:
            units = to_provider_amount(amount, currency)
        except ValueError:
            return RefundFailed("amount_not_expressible")
        made = self._made(provider_id, refund_id, units)
        for number in range(1, MAX_KEYS + 1):
            if made is not None:
                return _to_refund(made, currency)
            key = f"{provider_id}:refund:{refund_id}" + (f":{number}" if number > 1 else "")
            sent = {"payment_intent": provider_id, "amount": units, "metadata": self._metadata(refund_id, intent)}
            try:
                created = self._calls.run(
                    Call.CREATE_REFUND,
                    lambda api, sent=sent, key=key: api.refunds.create(sent, {"idempotency_key": key}),  # type: ignore[misc]
                )
                return _to_refund(created, currency)
            except ReplayedFailureError:  # the list never lags, so that it tells whether the failed call had its effect
                made = self._made(provider_id, refund_id, units)
            except StripeAnswerError as error:
                return RefundFailed(error.answer.code)
        raise OutcomeUnknownError("Stripe has stored a failure under each key of this refund.")

    def find(self, provider_refund_id: str) -> ProviderRefund | None:
        """Read one refund. None: unknown, of other software, or no captured money moves by it. One call, or two."""
        query = {"expand": list(_PARTS)}
        made = self._calls.read(Call.READ_REFUND, lambda api: api.refunds.retrieve(provider_refund_id, query))
        if made is None or not self._is_of_this_shop(made) or not _moves_money(made):
            return None
        return _to_refund(made, made.currency.upper())

    def of_payment(self, provider_id: str) -> Iterator[ProviderRefund]:
        """Yield the refunds of a payment by which captured money moves. One call a hundred."""
        for made in self._list(provider_id):
            if _moves_money(made):
                yield _to_refund(made, made.currency.upper())

    def _list(self, provider_id: str) -> Iterator[Any]:
        query = {"payment_intent": provider_id, "expand": [f"data.{part}" for part in _PARTS]}
        for page in pages(self._calls, Call.LIST_REFUNDS, "refunds", query):
            yield from page

    def _made(self, provider_id: str, refund_id: str, units: int) -> Any | None:
        for made in self._list(provider_id):
            if _refund_id_in(made) == refund_id:
                if made.amount != units:
                    raise ValueError("This refund id was used with another amount.")
                return made
        return None

    def _metadata(self, refund_id: str, intent: Any) -> dict[str, str]:
        about = attempt_in(intent.metadata, self._mark)
        return {"refund": refund_id, MARK_KEY: self._mark, **({"purchase": about[0]} if about else {})}

    def _is_of_this_shop(self, made: Any) -> bool:
        """Return whether the refunded payment is of this shop: by the charge's metadata, else by the intent's."""
        charge = made.charge
        if not isinstance(charge, str) and attempt_in(getattr(charge, "metadata", None), self._mark):
            return True
        return made.payment_intent is not None and self._lookup.purchase_of(made.payment_intent) is not None


def _to_refund(made: Any, currency: str) -> ProviderRefund:
    status = _STATUSES.get(made.status, RefundStatus.PENDING)
    failed = status is RefundStatus.FAILED
    return ProviderRefund(
        made.id,
        balance_amount(made.amount, currency),
        _refund_id_in(made),
        status,
        (getattr(made, "failure_reason", None) or made.status) if failed else None,
        made.payment_intent,
    )


def _refund_id_in(made: Any) -> str | None:
    return getattr(made.metadata, "refund", None)


def _moves_money(made: Any) -> bool:
    """Return whether captured money moves by a refund. A released hold, or the rest of a part capture, moves none.

    Raises:
        OutcomeUnknownError: a refund of a part capture has no movement of the balance yet, which would tell.
    """
    if made.charge is None or not made.charge.captured:
        return False
    movement = made.balance_transaction
    if movement is not None:
        return bool(movement.reporting_category != _RELEASED)
    has_rest = made.charge.amount_captured < made.charge.amount
    if made.status == "succeeded" and has_rest and _refund_id_in(made) is None:
        raise OutcomeUnknownError("Stripe has not recorded yet what the refund moves.")
    return True
