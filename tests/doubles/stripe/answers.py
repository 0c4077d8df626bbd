"""The closed table of refusals: which call answers what for which cause, and what that means for the caller."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Meaning = Literal["done", "declined", "refused", "wait", "unknown"]
"""Done: look at what was received. Declined: another instrument. Refused: never repeat. Wait: repeat later. Unknown:
look the object up."""
CARD: Final = "card_error"
REQUEST: Final = "invalid_request_error"
CONFIRM: Final = ("payment_intents.create", "payment_intents.confirm")
CAPTURE: Final = ("payment_intents.capture",)
REFUND: Final = ("refunds.create",)
ANY: Final = ("any",)
POST: Final = ("any POST",)


@dataclass(frozen=True)
class Answer:
    """A row: the status and body of one refusal."""

    name: str
    rule: str
    """The row of the specification, such as E12."""
    source: str
    """D documentation, S SDK, O observed, G guess."""
    calls: tuple[str, ...]
    status: int
    meaning: Meaning
    type: str = REQUEST
    code: str | None = None
    decline_code: str | None = None
    param: str | None = None
    advice_code: str | None = None
    message: str = "The request was refused."
    stored: bool = True
    """Whether an idempotency key keeps this answer (I1, I3)."""
    headers: Mapping[str, str] = field(default_factory=dict)
    network_status: str = "declined_by_network"
    outcome: str = "issuer_declined"


class Refusal(Exception):
    """A request was refused: a row of the table, and what this answer says beyond it."""

    def __init__(self, answer: Answer, extra: Mapping[str, Any]) -> None:
        super().__init__(answer.name)
        self.answer, self.extra = answer, extra

    def body(self) -> dict[str, Any]:
        """Return the JSON body. Absent members are those that are null at Stripe (S, `_error_object.py`)."""
        row = self.answer
        error = {
            "type": row.type,
            "code": row.code,
            "decline_code": row.decline_code,
            "param": row.param,
            "advice_code": row.advice_code,
            "message": row.message,
            "doc_url": f"https://stripe.com/docs/error-codes/{row.code.replace('_', '-')}" if row.code else None,
            "request_log_url": "https://dashboard.stripe.com/logs/req_double",
            **self.extra,
        }
        return {"error": {name: value for name, value in error.items() if value is not None}}


def _decline(name: str, code: str = "card_declined", decline_code: str | None = None, **more: Any) -> Answer:
    message = {"expired_card": "Your card has expired."}.get(code, "Your card was declined.")
    return Answer(name, "E1", "D", CONFIRM, 402, "declined", CARD, code, decline_code, message=message, **more)


def _request(name: str, rule: str, source: str, calls: tuple[str, ...], meaning: Meaning, **more: Any) -> Answer:
    return Answer(name, rule, source, calls, more.pop("status", 400), meaning, **more)


_LATER, _NEVER, _DATA = "try_again_later", "do_not_try_again", "confirm_card_data"
_DECLINES = (
    _decline("generic_decline", decline_code="generic_decline"),
    _decline("insufficient_funds", decline_code="insufficient_funds", advice_code=_LATER),
    _decline("lost_card", decline_code="lost_card", advice_code=_NEVER),
    _decline("stolen_card", decline_code="stolen_card", advice_code=_NEVER),
    _decline("card_velocity_exceeded", decline_code="card_velocity_exceeded", advice_code=_LATER),
    _decline("do_not_honor", decline_code="do_not_honor"),
    _decline("issuer_not_available", decline_code="issuer_not_available", advice_code=_LATER),
    _decline(
        "fraudulent",
        decline_code="fraudulent",
        advice_code=_NEVER,
        network_status="reversed_after_approval",
        outcome="blocked",
    ),
    _decline("expired_card", "expired_card", param="exp_month", advice_code=_DATA),
    _decline("incorrect_cvc", "incorrect_cvc", param="cvc", advice_code=_DATA),
    _decline("incorrect_number", "incorrect_number", param="number", advice_code=_DATA, outcome="invalid"),
    _decline("incorrect_zip", "incorrect_zip", param="address_zip", advice_code=_DATA),
    _decline("invalid_cvc", "invalid_cvc", param="cvc", advice_code=_DATA, outcome="invalid"),
    _decline("processing_error", "processing_error", advice_code=_LATER),
    _decline("card_decline_rate_limit_exceeded", "card_decline_rate_limit_exceeded", advice_code=_LATER),
)
_STATE = "payment_intent_unexpected_state"
_OTHERS = (
    Answer("authentication_required", "E2", "D", CONFIRM, 402, "declined", CARD, *("authentication_required",) * 2),
    Answer("action_required", "E2", "D", CONFIRM, 402, "declined", CARD, "payment_intent_action_required"),
    _request("amount_too_small", "E5", "D", CONFIRM, "declined", code="amount_too_small", param="amount"),
    _request("amount_too_large", "E5", "D", CONFIRM, "declined", code="amount_too_large", param="amount"),
    _request("invalid_charge_amount", "E5", "D", CONFIRM, "declined", code="invalid_charge_amount", param="amount"),
    _request("unexpected_state", "E6", "D", CONFIRM, "unknown", code=_STATE),
    _request("unknown_payment_method", "E7", "D", CONFIRM, "declined", code="resource_missing", param="payment_method"),
    _request("unknown_token", "E7", "D", CONFIRM, "declined", code="resource_missing", param="confirmation_token"),
    _request("used_payment_method", "E8", "O", CONFIRM, "unknown", param="payment_method"),
    _request("used_token", "E9", "O", CONFIRM, "unknown", param="confirmation_token"),
    _request("expired_token", "E9", "O", CONFIRM, "declined", param="confirmation_token"),
    _request("token_mismatch", "E9", "O", CONFIRM, "declined"),
    _request("parameter_unknown", "E10", "D", POST, "refused", code="parameter_unknown", stored=False),
    _request("parameter_missing", "E10", "D", POST, "refused", code="parameter_missing", stored=False),
    _request("parameter_invalid", "E10", "D", POST, "refused", code="parameter_invalid_integer", stored=False),
    _request("metadata_too_long", "X1", "D", POST, "refused", param="metadata", stored=False),
    _request("statement_descriptor_of_card", "X1", "S", CONFIRM, "refused", param="statement_descriptor"),
    _request(
        "payment_method_types_removed",
        "E10",
        "D",
        CONFIRM,
        "refused",
        code="payment_method_types_no_longer_supported",
        param="payment_method_types",
        stored=False,
    ),
    _request("parameters_exclusive", "E10", "D", POST, "refused", code="parameters_exclusive", stored=False),
    *(
        _request(code, "E10", "S", CONFIRM, "refused", code=code)
        for code in (
            "payment_method_unactivated",
            "payment_intent_incompatible_payment_method",
            "account_invalid",
            "charge_exceeds_transaction_limit",
            "request_blocked",
        )
    ),
    _request("currency_not_supported", "E11", "D", CONFIRM, "refused", param="currency"),
    _request("hold_expired", "E12", "O", CAPTURE, "refused", code=_STATE),
    *(
        _request(code, "E13", "D", CAPTURE, "refused", code=code)
        for code in (
            "charge_expired_for_capture",
            "capture_charge_authorization_expired",
            "capture_unauthorized_payment",
        )
    ),
    _request("already_captured", "E14", "D", CAPTURE, "done", code=_STATE),
    _request("charge_already_captured", "E14", "D", CAPTURE, "done", code="charge_already_captured"),
    _request("capture_too_large", "E15", "O", CAPTURE, "refused", code="amount_too_large", param="amount_to_capture"),
    Answer("capture_declined", "E16", "G", CAPTURE, 402, "refused", CARD, "card_declined", "generic_decline"),
    _request("cannot_cancel", "E17", "D", ("payment_intents.cancel",), "unknown", code=_STATE),
    Answer(
        "lock_timeout",
        "E18",
        "D",
        POST,
        429,
        "wait",
        code="lock_timeout",
        stored=False,
        headers={"Stripe-Should-Retry": "true"},
    ),
    _request("charge_already_refunded", "E19", "D", REFUND, "refused", code="charge_already_refunded"),
    _request("refund_too_large", "E20", "O", REFUND, "refused", param="amount"),
    _request("charge_disputed", "E21", "D", REFUND, "refused", code="charge_disputed"),
    _request("refund_of_hold", "E22", "O", REFUND, "refused"),
    _request("refund_not_cancelable", "R5", "D", ("refunds.cancel",), "refused"),
    *(
        Answer(
            f"rate_limit_{reason}",
            "E24",
            "D",
            ANY,
            429,
            "wait",
            code="rate_limit",
            stored=False,
            headers={"Stripe-Rate-Limited-Reason": reason},
        )
        for reason in (
            "global-rate",
            "endpoint-rate",
            "global-concurrency",
            "endpoint-concurrency",
            "resource-specific",
        )
    ),
    _request("key_unknown", "E25", "D", ANY, "wait", status=401, stored=False),
    _request("key_expired", "E25", "O", ANY, "wait", status=401, code="api_key_expired", stored=False),
    _request("key_restricted", "E25", "D", ANY, "wait", status=403, stored=False),
    _request("resource_missing", "404", "D", ANY, "refused", status=404, code="resource_missing"),
    _request("resource_missing_parameter", "404", "D", ANY, "refused", code="resource_missing"),
    _request("unreadable_query", "L2", "D", ANY, "refused", param="query", stored=False),
    _request("no_search", "L3", "G", ("payment_intents.search",), "refused", stored=False),
    _request("not_expandable", "P8", "D", ANY, "refused", param="expand", stored=False),
    _request("key_mismatch", "I5", "D", POST, "unknown", type="idempotency_error", stored=False),
    _request("key_in_use", "I6", "D", POST, "wait", status=409, code="idempotency_key_in_use", stored=False),
    _request("outside_failure", "424", "D", POST, "unknown", status=424),
    Answer("server_error", "I1", "D", POST, 500, "unknown", "api_error", headers={"Stripe-Should-Retry": "false"}),
    *(
        Answer(f"server_error_{status}", "5xx", "D", ANY, status, "unknown", "api_error", stored=False)
        for status in (500, 502, 503, 504)
    ),
)

ANSWERS: Final[Mapping[str, Answer]] = {row.name: row for row in (*_DECLINES, *_OTHERS)}
"""Every refusal that the double can answer. Nothing outside it is ever refused."""


def refusal(name: str, **extra: Any) -> Refusal:
    """Return the refusal of a row, with members of the body that differ from the row's or are added."""
    return Refusal(ANSWERS[name], extra)
