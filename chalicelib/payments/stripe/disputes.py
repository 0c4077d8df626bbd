"""Disputes at Stripe: their state, and the money that is withdrawn for them.

Source: https://docs.stripe.com/disputes/how-disputes-work and https://docs.stripe.com/api/disputes/object.
"""

from __future__ import annotations

from typing import Any, Final

from chalicelib.instants import SECOND
from chalicelib.payments.results import DisputeStatus, ProviderDispute
from chalicelib.payments.stripe.calls import StripeCalls
from chalicelib.payments.stripe.currencies import balance_amount
from chalicelib.payments.stripe.errors import Call
from chalicelib.payments.stripe.intents import attempt_in
from chalicelib.payments.stripe.lookup import IntentLookup

_STATUSES: Final = {
    "warning_needs_response": DisputeStatus.INQUIRY,
    "warning_under_review": DisputeStatus.INQUIRY,
    "warning_closed": DisputeStatus.CLOSED,
    "prevented": DisputeStatus.CLOSED,
    "won": DisputeStatus.WON,
    "lost": DisputeStatus.LOST,
}
"""Any other status is an open dispute."""


class StripeDisputes:
    """Read disputes of this shop's payments."""

    def __init__(self, calls: StripeCalls, lookup: IntentLookup, mark: str) -> None:
        self._calls, self._lookup, self._mark = calls, lookup, mark

    def find(self, dispute_id: str) -> ProviderDispute | None:
        """Read a dispute. None: unknown, or of a payment of other software. One call, or two."""
        query = {"expand": ["charge"]}
        dispute = self._calls.read(Call.READ_DISPUTE, lambda api: api.disputes.retrieve(dispute_id, query))
        if dispute is None:
            return None
        payment_id = dispute.payment_intent or dispute.charge.payment_intent
        if payment_id is None or not self._is_of_this_shop(dispute, payment_id):
            return None
        currency, evidence = dispute.currency.upper(), dispute.evidence_details
        due = getattr(evidence, "due_by", None)
        return ProviderDispute(
            dispute.id,
            payment_id,
            _STATUSES.get(dispute.status, DisputeStatus.OPEN),
            balance_amount(dispute.amount, currency),
            currency,
            dispute.created * SECOND,
            dispute.reason,
            due * SECOND if due else None,
            balance_amount(_withdrawn(dispute), currency),
        )

    def _is_of_this_shop(self, dispute: Any, payment_id: str) -> bool:
        if attempt_in(getattr(dispute.charge, "metadata", None), self._mark) is not None:
            return True
        return self._lookup.purchase_of(payment_id) is not None


def _withdrawn(dispute: Any) -> int:
    """Return what is withdrawn at present, in the dispute's currency and Stripe's units.

    The movements of the balance tell, and not the dispute's status. They are in the currency of settlement. In another
    currency, the result is the dispute's own amount unless the withdrawal was reversed, at any rate of conversion.
    """
    movements = dispute.balance_transactions
    if all(one.currency == dispute.currency for one in movements):
        return int(max(0, -sum(one.amount for one in movements)))
    withdrawals = sum(one.amount < 0 for one in movements)
    reversals = sum(one.amount > 0 for one in movements)
    return int(dispute.amount) if withdrawals > reversals else 0
