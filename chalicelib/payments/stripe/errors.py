"""Sort every error of Stripe's calls into five kinds. The table is closed: its last rule takes every other one.

Sources: https://docs.stripe.com/error-handling, https://docs.stripe.com/error-codes and
https://docs.stripe.com/error-low-level (idempotency).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import stripe

BUSY_SECONDS: Final = 2
"""When to call again after a rate limit or a lock."""
KEY_REFUSED_SECONDS: Final = 60
"""When to call again after Stripe refused the API key."""
KEY_REFUSED: Final = "provider_key_refused"
NO_CODE: Final = "refused"
"""The code of a refusal to which Stripe gives none."""
TOKEN_PARAMETERS: Final = {"ctoken_": "confirmation_token", "pm_": "payment_method"}
"""The parameter of a buyer's token, by the token's prefix."""


class Call(StrEnum):
    """A call of Stripe's API, by its endpoint: a verb and a path pattern, whose rate Stripe limits."""

    CREATE_INTENT = "POST payment_intents"
    READ_INTENT = "GET payment_intents/id"
    LIST_INTENTS = "GET payment_intents"
    SEARCH_INTENTS = "GET payment_intents/search"
    CAPTURE = "POST payment_intents/id/capture"
    CANCEL = "POST payment_intents/id/cancel"
    CREATE_REFUND = "POST refunds"
    READ_REFUND = "GET refunds/id"
    LIST_REFUNDS = "GET refunds"
    READ_DISPUTE = "GET disputes/id"
    LIST_MOVEMENTS = "GET balance_transactions"
    READ_BALANCE = "GET balance"


class Sort(StrEnum):
    """The meaning of an answer.

    ``DONE``: the effect exists. ``DECLINED``: the buyer's means of payment is declined. ``REFUSED``: Stripe refuses the
    request for good. ``WAIT``: nothing was carried out. ``UNKNOWN``: the effect may exist.
    """

    DONE = "done"
    DECLINED = "declined"
    REFUSED = "refused"
    WAIT = "wait"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class SortedError:
    """An error of Stripe with its meaning. ``code`` is safe to show."""

    sort: Sort
    code: str
    retry_in_seconds: int = 0
    intent: Any = None
    """The payment intent in the error, as Stripe has it at this moment; None when the error has none."""
    used_token: bool = False
    """Whether the token may have been used by an earlier call of this shop, which then holds the money."""
    replayed: bool = False
    """Whether Stripe repeats the stored answer to an earlier call with the same idempotency key."""


class StripeAnswerError(Exception):
    """A call ended with an error whose outcome is certain: done, declined or refused."""

    def __init__(self, answer: SortedError) -> None:
        super().__init__(answer.code)
        self.answer = answer


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """A row of the table. Each condition that is None accepts every error."""

    sort: Sort
    calls: frozenset[Call] | None = None
    statuses: frozenset[int] | None = None
    codes: frozenset[str | None] | None = None
    params: frozenset[str | None] | None = None
    code: str | None = None
    """The code to report; None: Stripe's own."""
    retry_in_seconds: int = 0
    used_token: bool = False

    def applies(self, call: Call, status: int, code: str | None, param: str | None) -> bool:
        return (
            (self.calls is None or call in self.calls)
            and (self.statuses is None or status in self.statuses)
            and (self.codes is None or code in self.codes)
            and (self.params is None or param in self.params)
        )


_CREATE: Final = frozenset({Call.CREATE_INTENT})
_CAPTURE: Final = frozenset({Call.CAPTURE})
_PAYMENT_ERROR: Final = frozenset({402})
_TOKENS: Final = frozenset(TOKEN_PARAMETERS.values())
_MOUNTED: Final = ("amount", "capture_method", "payment_method_types", "allowed_payment_method_types")
"""Parameters in which an intent must be as the Payment Element was, that made the confirmation token."""
_UNUSABLE: Final = "invalid_token"
_FOR_GOOD: Final = frozenset(
    {
        "account_invalid",
        "amount_too_large",
        "amount_too_small",
        "charge_exceeds_transaction_limit",
        "invalid_charge_amount",
        "parameter_missing",
        "parameter_unknown",
        "parameters_exclusive",
        "payment_intent_incompatible_payment_method",
        "payment_method_unactivated",
        "request_blocked",
    }
)
"""Codes of a request that no token can make right."""
_UNANSWERED: Final = 0
"""In place of a status: Stripe gave no readable answer."""

_RULES: Final = (
    # Nothing was carried out. A rate limit, and the conflict of two calls with one key, are stored under no key.
    _Rule(sort=Sort.WAIT, statuses=frozenset({429, 409}), retry_in_seconds=BUSY_SECONDS),
    _Rule(sort=Sort.WAIT, codes=frozenset({"rate_limit"}), retry_in_seconds=BUSY_SECONDS),
    # Create: the buyer's card, the request, then the token.
    _Rule(sort=Sort.DECLINED, calls=_CREATE, statuses=_PAYMENT_ERROR),
    _Rule(sort=Sort.REFUSED, calls=_CREATE, codes=_FOR_GOOD),
    _Rule(sort=Sort.DECLINED, calls=_CREATE, codes=frozenset({"resource_missing"}), params=_TOKENS, code=_UNUSABLE),
    # Stripe gives no code to a token that was used, has expired or does not fit the intent, and its texts change.
    _Rule(
        sort=Sort.DECLINED,
        calls=_CREATE,
        codes=frozenset({None}),
        params=_TOKENS | {None, *_MOUNTED},
        code=_UNUSABLE,
        used_token=True,
    ),
    # Capture.
    _Rule(sort=Sort.DONE, calls=_CAPTURE, codes=frozenset({"charge_already_captured"})),
    _Rule(
        sort=Sort.REFUSED,
        calls=_CAPTURE,
        codes=frozenset({"charge_expired_for_capture", "capture_charge_authorization_expired"}),
        code="authorisation_expired",
    ),
    # A cancellation that Stripe refuses says nothing certain: the intent's state does.
    _Rule(sort=Sort.UNKNOWN, calls=frozenset({Call.CANCEL})),
    # Anything else that Stripe refuses is refused for good.
    _Rule(sort=Sort.REFUSED),
)

_CODE_OF_STATE: Final = "payment_intent_unexpected_state"
_SORT_OF_STATE: Final[Mapping[Call, Mapping[str, Sort]]] = {
    Call.CREATE_INTENT: {
        "requires_capture": Sort.DONE,
        "requires_action": Sort.DONE,
        "succeeded": Sort.DONE,
        "canceled": Sort.REFUSED,
        "requires_payment_method": Sort.DECLINED,
    },
    Call.CAPTURE: {
        "succeeded": Sort.DONE,
        "canceled": Sort.REFUSED,
        "requires_payment_method": Sort.REFUSED,
        "requires_confirmation": Sort.REFUSED,
        "requires_action": Sort.REFUSED,
    },
    Call.CANCEL: {"canceled": Sort.DONE, "succeeded": Sort.REFUSED},
}
"""The meaning of a refusal "not in this state", by the state that the intent is in. Any other state: unknown."""
_CODE_OF_UNCAPTURABLE: Final = "not_authorised"


def sort_error(call: Call, error: stripe.StripeError) -> SortedError:
    """Sort an error of one call. Every error has a sort, those of kinds that Stripe adds later as well.

    A refused key (401, 403) does not come here: :meth:`StripeCalls.run` reads the key again, and then waits.
    """
    details = _details_of(error)
    replayed = is_replayed(error.headers or {})
    status = error.http_status or _UNANSWERED
    if isinstance(error, stripe.IdempotencyError):  # the parameters differ from those of the first call with this key
        return SortedError(Sort.UNKNOWN, "idempotency_error", replayed=True)
    if not 400 <= status < 500 or status == 424:
        return SortedError(Sort.UNKNOWN, type(error).__name__, replayed=replayed)
    intent = getattr(error.error, "payment_intent", None)
    if error.code == _CODE_OF_STATE:
        return _sort_by_state(call, intent)
    rule = next(one for one in _RULES if one.applies(call, status, error.code, details.get("param")))
    code = rule.code or details.get("decline_code") or error.code or NO_CODE
    return SortedError(rule.sort, code, rule.retry_in_seconds, intent, rule.used_token, replayed)


def _sort_by_state(call: Call, intent: Any) -> SortedError:
    status = getattr(intent, "status", None)
    sort = _SORT_OF_STATE.get(call, {}).get(status or "", Sort.UNKNOWN)
    return SortedError(sort, end_code_of(intent) if sort is Sort.REFUSED else _CODE_OF_STATE, intent=intent)


def end_code_of(intent: Any) -> str:
    """Return why an intent can be captured no more: it was voided, it has expired, or it was never authorised."""
    if intent.status != "canceled":
        return _CODE_OF_UNCAPTURABLE
    has_expired = getattr(intent, "cancellation_reason", None) in {"automatic", "expired"}
    return "authorisation_expired" if has_expired else "voided"


def is_replayed(headers: Mapping[str, str]) -> bool:
    """Return whether Stripe repeats its stored answer to an earlier call with the same idempotency key."""
    return any(name.lower() == "idempotent-replayed" and value == "true" for name, value in headers.items())


def _details_of(error: stripe.StripeError) -> Mapping[str, Any]:
    body = error.json_body
    details = body.get("error") if isinstance(body, dict) else None
    return details if isinstance(details, dict) else {}
