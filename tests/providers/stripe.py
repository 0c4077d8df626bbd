"""The money of the shop in the double's own state, and the SDK's calls to the double as single steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Protocol

import stripe

from chalicelib.payments import Gateway, ProviderEvent, parse_stripe_event
from chalicelib.payments.stripe.calls import StripeCalls, fixed_key
from chalicelib.payments.stripe.gateway import StripeGateway
from tests.doubles.stripe import API_KEY, Account, Behaviour, InProcessClient
from tests.doubles.stripe.api import route_of
from tests.doubles.stripe.clock import SECOND, Clock
from tests.doubles.stripe.events import Delivery
from tests.doubles.stripe.tokens import CARDS
from tests.providers.records import MovementRecord, PaymentRecord, PaymentStatus, RefundRecord

Record = Mapping[str, Any]
HttpAnswer = tuple[str, int, Mapping[str, str]]

MARK: Final = "livedrop"
"""The mark of this shop in the metadata of its payments."""

EVENT_DELAYS: Final = ((0, 40 * SECOND), (SECOND,), (90 * SECOND,), (0,))
"""Some events arrive twice, and some after later ones."""

_STATUSES: Final = {
    "requires_action": PaymentStatus.WAITING,
    "requires_confirmation": PaymentStatus.WAITING,
    "requires_capture": PaymentStatus.RESERVED,
    "processing": PaymentStatus.RESERVED,
    "succeeded": PaymentStatus.CAPTURED,
    "canceled": PaymentStatus.VOIDED,
    "requires_payment_method": PaymentStatus.DECLINED,
}
_CARDS: Final = {
    "declined": "pm_card_chargeDeclined_{request}",
    "declined_4242": "pm_card_chargeDeclined",
    "ok_4242": "pm_card_visa",
    "requires_action": "pm_card_authenticationRequired_{request}",
    "capture_refused": "pm_card_captureDeclined_{request}",
    "refund_pending": "pm_card_pendingRefund_{request}",
    "refund_fails": "pm_card_refundFail_{request}",
}


def new_account(clock: Clock, **changes: Any) -> Account:
    """Open a harsh account. Its rate limits are off: the searches send many requests in one instant."""
    behaviour = {"limits": False, "event_delays": EVENT_DELAYS, **changes}
    return Account(Behaviour(**behaviour), clock=clock)


def card_token(behaviour: str, request: str) -> str:
    """Return a payment method that behaves as the sandbox's token of this name. It works once, for one request."""
    return _CARDS.get(behaviour, f"pm_card_{_card_of(behaviour)}_{{request}}").format(request=request)


def _card_of(behaviour: str) -> str:
    """Return the double's card of this name, which the sandbox does not have; else a card that always works."""
    card = behaviour[0].lower() + behaviour[1:]
    return card if behaviour[0].isupper() and card in CARDS else "visa"


def stripe_payments(account: Account) -> Iterator[PaymentRecord]:
    """Yield the payments of this shop. Those of other software are left out."""
    for intent in account.records("payment_intent"):
        if is_of_shop(intent):
            yield _payment(account, intent)


def is_of_shop(intent: Record) -> bool:
    """Return whether the shop made an intent: it has our mark."""
    return bool(intent["metadata"].get("livedrop") == MARK)


def intents_of(account: Account, purchase_id: str, attempt: int) -> list[Record]:
    """Return all intents of one attempt."""
    wanted = {"purchase": purchase_id, "attempt": str(attempt)}
    return [one for one in account.records("payment_intent") if wanted.items() <= one["metadata"].items()]


def stripe_movements(account: Account) -> Iterator[MovementRecord]:
    """Yield all movements of the account's balance: also payouts, fees, and payments of other software."""
    for one in account.records("balance_transaction"):
        yield MovementRecord(one["id"], _minor_units(one["net"], one["currency"]), one["created"] * SECOND)


def _payment(account: Account, intent: Record) -> PaymentRecord:
    metadata, received = intent["metadata"], _minor_units(intent["amount_received"], intent["currency"])
    refunds = tuple(_refunds(account, intent))
    charge = intent["latest_charge"]
    withdrawn = sum(_withdrawn(one) for one in account.records("dispute") if one["charge"] == charge)
    return PaymentRecord(
        id=intent["id"],
        purchase_id=metadata["purchase"],
        attempt=int(metadata["attempt"]),
        status=_STATUSES[intent["status"]],
        amount=_minor_units(intent["amount"], intent["currency"]),
        captured=received,
        refunds=refunds,
        left=received - sum(one.amount for one in refunds if not one.failed) - withdrawn,
    )


def _refunds(account: Account, intent: Record) -> Iterator[RefundRecord]:
    """Yield the refunds of captured money. A released hold and the rest of a part capture are none (R10)."""
    for refund in account.records("refund"):
        if refund["charge"] != intent["latest_charge"] or refund["_category"] != "refund":
            continue
        failed = refund["status"] in {"failed", "canceled"}
        pending = refund["status"] in {"pending", "requires_action"}
        amount = _minor_units(refund["amount"], refund["currency"])
        yield RefundRecord(refund["id"], amount, refund["metadata"].get("refund"), failed, pending)


def _withdrawn(dispute: Record) -> int:
    """Return the part of a charge that a dispute has taken from the shop, in the charge's currency."""
    moved = sum(one["amount"] for one in dispute["balance_transactions"])
    return _minor_units(dispute["amount"], dispute["currency"]) if moved < 0 else 0


def _minor_units(amount: int, currency: str) -> int:
    """Convert an amount on the wire to minor units by ISO 4217: MGA has two digits there, and none at Stripe."""
    return amount * 100 if currency == "mga" else amount


def balance_violations(account: Account) -> list[str]:
    """Check the balance in the double: each move of money has one transaction."""
    try:
        account.check_balance()
    except AssertionError as error:
        return [f"the provider's own balance is wrong: {error}"]
    return []


def parse_deliveries(deliveries: list[Delivery]) -> list[ProviderEvent]:
    """Parse events as the webhook handler does."""
    return [parse_stripe_event(delivery.event, MARK) for delivery in deliveries]


class Step(Protocol):
    """Make one HTTP call of the SDK, by its operation such as ``payment_intents.create``."""

    def __call__(self, operation: str, perform: Callable[[], HttpAnswer], *, writes: bool) -> HttpAnswer: ...


class SteppedClient(stripe.HTTPClient):
    """An HTTP client of the SDK whose calls each run inside a step of the search."""

    name = "stepped"

    def __init__(self, account: Account, step: Step) -> None:
        super().__init__()
        self._inner, self._step = InProcessClient(account), step

    def request(  # type: ignore[override]
        self, method: str, url: str, headers: Mapping[str, str] | None, post_data: Any = None
    ) -> HttpAnswer:
        """Send a request as one step.

        Raises: ``stripe.APIConnectionError`` where it has no answer.
        """
        path = url.partition("?")[0].partition("/v1")[2]
        route = route_of(method.upper(), f"/v1{path}")
        operation = route[0].operation if route else "unknown"
        return self._step(
            operation,
            lambda: self._inner.request(method, url, headers, post_data),
            writes=method.upper() == "POST",
        )

    def close(self) -> None:
        """Close nothing."""


def stepped_gateway(account: Account, step: Step) -> Gateway:
    """Return the gateway over the unmodified SDK, each of whose HTTP calls is a step."""
    return StripeGateway(StripeCalls(fixed_key(API_KEY), http=SteppedClient(account, step)), MARK)
