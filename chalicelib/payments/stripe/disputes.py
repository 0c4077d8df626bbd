"""Disputes at Stripe: their state, and the money that is withdrawn for them.

Source: https://docs.stripe.com/disputes/how-disputes-work and https://docs.stripe.com/api/disputes/object.
"""

from __future__ import annotations

from typing import Any, Final

from chalicelib.currencies import step
from chalicelib.instants import SECOND
from chalicelib.money import proportion
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
        query = {"expand": ["charge.balance_transaction"]}
        dispute = self._calls.read(Call.READ_DISPUTE, lambda api: api.disputes.retrieve(dispute_id, query))
        if dispute is None:
            return None
        payment_id = dispute.payment_intent or dispute.charge.payment_intent
        if payment_id is None or not self._is_of_this_shop(dispute, payment_id):
            return None
        currency, evidence = dispute.currency.upper(), dispute.evidence_details
        due = getattr(evidence, "due_by", None)
        withdrawn = balance_amount(_withdrawn(dispute), currency)
        return ProviderDispute(
            dispute.id,
            payment_id,
            _STATUSES.get(dispute.status, DisputeStatus.OPEN),
            balance_amount(dispute.amount, currency),
            currency,
            dispute.created * SECOND,
            dispute.reason,
            due * SECOND if due else None,
            withdrawn,
            withdrawn if currency == dispute.charge.currency.upper() else _converted(dispute),
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
    settled = _withdrawn_as_settled(dispute)
    return settled if _is_settled_in_own_currency(dispute) else int(dispute.amount) if settled else 0


def _withdrawn_as_settled(dispute: Any) -> int:
    movements = dispute.balance_transactions
    if _is_settled_in_own_currency(dispute):
        return int(max(0, -sum(one.amount for one in movements)))
    withdrawals = [-one.amount for one in movements if one.amount < 0]
    return int(sum(withdrawals[sum(one.amount > 0 for one in movements) :]))


def _is_settled_in_own_currency(dispute: Any) -> bool:
    return all(one.currency == dispute.currency for one in dispute.balance_transactions)


def _converted(dispute: Any) -> int:
    """Return what is withdrawn of a payment in another currency than the dispute's, in minor units of the payment's.

    Stripe has no rate from the dispute's currency into the charge's, and has both as settled. The withdrawal takes the
    part of the charge that its movement is of the charge's movement. If the two are not settled in one currency, it
    takes all that the charge received.
    """
    charge, taken = dispute.charge, _withdrawn_as_settled(dispute)
    if not taken:
        return 0
    currency, settled = charge.currency.upper(), charge.balance_transaction
    received = balance_amount(charge.amount_captured, currency)
    currencies = {one.currency for one in dispute.balance_transactions}
    if currencies == {charge.currency}:
        return min(balance_amount(taken, currency), received)
    if settled is None or settled.amount <= 0 or currencies != {settled.currency}:
        return received
    charged = balance_amount(charge.amount, currency)
    return min(proportion(charged, taken, settled.amount, step(currency)), received)
