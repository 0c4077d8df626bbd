"""A Stripe gateway over an account of the double, and short forms of its calls."""

from __future__ import annotations

from chalicelib.payments import AuthorisationRequest, Authorised, Captured, CaptureFailed
from chalicelib.payments.stripe.calls import StripeCalls, fixed_key
from chalicelib.payments.stripe.gateway import StripeGateway
from tests.doubles.stripe import API_KEY, Account, InProcessClient

NOW = 1_795_000_000_000
MARK = "livedrop"
VISA, DECLINED, INSUFFICIENT_FUNDS, REQUIRES_ACTION = (
    f"pm_card_{name}"
    for name in ("visa", "chargeDeclined", "chargeDeclinedInsufficientFunds", "authenticationRequired")
)


def gateway_of(account: Account, mark: str = MARK) -> StripeGateway:
    return StripeGateway(StripeCalls(fixed_key(API_KEY), http=InProcessClient(account)), mark)


def a_request(
    token: str = VISA,
    attempt: int = 1,
    amount: int = 1_000,
    purchase_id: str = "p1",
    currency: str = "GBP",
    tries: int = 0,
) -> AuthorisationRequest:
    return AuthorisationRequest(purchase_id, attempt, amount, currency, token, {"show": "s1"}, NOW, tries)


def authorise(gateway: StripeGateway, request: AuthorisationRequest | None = None) -> str:
    answer = gateway.authorise(request or a_request(), now=NOW)
    assert isinstance(answer, Authorised)
    return answer.provider_id


def capture(
    gateway: StripeGateway, provider_id: str, amount: int = 1_000, attempt: int = 1
) -> Captured | CaptureFailed:
    return gateway.capture(provider_id, attempt=attempt, amount=amount, currency="GBP", now=NOW)


def a_captured_payment(gateway: StripeGateway, request: AuthorisationRequest | None = None) -> str:
    request = request or a_request()
    provider_id = authorise(gateway, request)
    captured = gateway.capture(
        provider_id, attempt=request.attempt, amount=request.amount, currency=request.currency, now=NOW
    )
    assert isinstance(captured, Captured)
    return provider_id


def captured_at(account: Account) -> int:
    """Return what all payments of the account have received, in Stripe's units."""
    return sum(one["amount_received"] for one in account.records("payment_intent"))


def statuses(account: Account) -> list[str]:
    return [one["status"] for one in account.records("payment_intent")]
