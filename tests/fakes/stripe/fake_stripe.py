"""A fake of Stripe: payment intents, refunds, idempotency keys, search and faults, as in https://docs.stripe.com/api.

``localstripe`` lacks separate confirmation, confirmation tokens, idempotency keys and decline reasons, and the gateway
depends on all of them. The state is in memory. Nothing is random: ids are counted.
"""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

FEE_BPS, FEE_FIXED = 150, 20
MIN_CHARGE, MAX_CHARGE = 30, 99_999_999
"""Stripe's bounds of a charge in GBP (https://docs.stripe.com/currencies#minimum-and-maximum-charge-amounts)."""
_DECLINES = {
    "pm_card_chargeDeclined": ("card_declined", "generic_decline"),
    "pm_card_chargeDeclinedInsufficientFunds": ("card_declined", "insufficient_funds"),
    "pm_card_chargeDeclinedExpiredCard": ("expired_card", None),
}
_ACCEPTED = {"pm_card_visa", "pm_card_mastercard"}
_REQUIRES_ACTION = "pm_card_authenticationRequired"
_CONFIRMABLE = {"requires_payment_method", "requires_confirmation", "requires_action"}


class ErrorResponse(Exception):
    """Stripe's response to a request that failed."""

    def __init__(self, status: int, **error: Any) -> None:
        super().__init__(error.get("code"))
        self.status, self.error = status, {"type": "invalid_request_error", "message": "refused", **error}


@dataclass
class FakeStripe:
    """The provider's state.

    Each of ``faults`` is for one of the next calls. ``before`` and ``after`` break the connection before or after the
    effect; ``garbage`` answers a body that is no JSON; a number answers that status; None is no fault.
    """

    intents: dict[str, dict[str, Any]] = field(default_factory=dict)
    refunds: dict[str, dict[str, Any]] = field(default_factory=dict)
    faults: deque[str | int | None] = field(default_factory=deque)
    requests: list[str] = field(default_factory=list)
    keeps_idempotency_keys: bool = True
    search_index: dict[str, dict[str, Any]] | None = None
    """The intents that the search finds, as they were; None: all of them, as they are."""
    _responses: dict[str, tuple[str, int, dict[str, Any]]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def net_captured(self) -> int:
        """Minor units captured, less those refunded."""
        captured: int = sum(intent["amount_received"] for intent in self.intents.values())
        refunded: int = sum(refund["amount"] for refund in self.refunds.values())
        return captured - refunded

    @property
    def idempotency_keys(self) -> set[str]:
        """The idempotency keys of all calls that got a response."""
        return set(self._responses)

    def respond(
        self, method: str, path: str, sent: dict[str, Any], key: str | None
    ) -> tuple[int, dict[str, Any], bool]:
        """Return status, body, and whether they repeat the response to an earlier call with the same key."""
        with self._lock:
            request = json.dumps([method, path, sent], sort_keys=True)
            known = self._responses.get(key) if key and self.keeps_idempotency_keys else None
            if known is not None:
                if known[0] != request:
                    error = {
                        "type": "idempotency_error",
                        "code": "idempotency_key_in_use",
                        "message": "other parameters",
                    }
                    return 400, {"error": error}, False
                return known[1], known[2], True
            try:
                status, body = 200, json.loads(json.dumps(self._route(method, path, sent)))
            except ErrorResponse as error:
                status, body = error.status, {"error": error.error}
            if key:
                self._responses[key] = request, status, body
            return status, body, False

    def _route(self, method: str, path: str, sent: dict[str, Any]) -> dict[str, Any]:
        parts = path.strip("/").split("/")[1:]
        if method == "GET":
            return self._read(parts, sent)
        match method, parts:
            case "POST", ["payment_intents"]:
                return self._create(sent)
            case "POST", ["payment_intents", name]:
                intent = self._intent_in_state(name, _CONFIRMABLE)
                intent.update({part: int(sent[part]) for part in ("amount",) if part in sent})
                intent["metadata"].update(sent.get("metadata", {}))
                return self._to_json(intent)
            case "POST", ["payment_intents", name, "confirm"]:
                return self._confirm(self._intent_in_state(name, _CONFIRMABLE), sent)
            case "POST", ["payment_intents", name, "capture"]:
                return self._capture(self._intent_in_state(name, {"requires_capture"}), sent)
            case "POST", ["payment_intents", name, "cancel"]:
                intent = self._intent_in_state(name, _CONFIRMABLE | {"requires_capture"})
                intent.update(status="canceled", amount_capturable=0)
                return self._to_json(intent)
            case "POST", ["refunds"]:
                return self._refund(sent)
        raise ErrorResponse(404, code="url_invalid")

    def _read(self, parts: list[str], sent: dict[str, Any]) -> dict[str, Any]:
        match parts:
            case ["payment_intents", "search"]:
                return self._search(sent)
            case ["payment_intents"]:
                return self._list(sent)
            case ["payment_intents", name]:
                return self._to_json(self._intent(name))
            case ["refunds"]:
                made = [one for one in self.refunds.values() if one["payment_intent"] == sent["payment_intent"]]
                return _list_response("refunds", made)
        raise ErrorResponse(404, code="url_invalid")

    def _intent(self, name: str) -> dict[str, Any]:
        if name not in self.intents:
            raise ErrorResponse(404, code="resource_missing", param="intent")
        return self.intents[name]

    def _intent_in_state(self, name: str, states: set[str]) -> dict[str, Any]:
        intent = self._intent(name)
        if intent["status"] not in states:
            raise ErrorResponse(400, code="payment_intent_unexpected_state", payment_intent=self._to_json(intent))
        return intent

    def _create(self, sent: dict[str, Any]) -> dict[str, Any]:
        assert sent["capture_method"] == "manual"
        self._instrument(sent)
        if not MIN_CHARGE <= int(sent["amount"]) <= MAX_CHARGE:
            raise ErrorResponse(
                400, code=f"amount_too_{'small' if int(sent['amount']) < MIN_CHARGE else 'large'}", param="amount"
            )
        intent = {
            "id": f"pi_{next(self._numbers)}",
            "object": "payment_intent",
            "amount": int(sent["amount"]),
            "amount_capturable": 0,
            "amount_received": 0,
            "currency": sent["currency"],
            "created": next(self._numbers),
            "status": "requires_payment_method",
            "metadata": dict(sent.get("metadata", {})),
            "last_payment_error": None,
            "latest_charge": None,
        }
        self.intents[intent["id"]] = intent
        return self._confirm(intent, sent) if sent.get("confirm") == "true" else self._to_json(intent)

    def _instrument(self, sent: dict[str, Any]) -> str:
        given = [name for name in ("payment_method", "confirmation_token") if name in sent]
        if len(given) != 1:
            raise ErrorResponse(400, code="parameter_missing", param="payment_method")
        token = str(sent[given[0]]).replace("ctoken_", "pm_card_")
        if token not in _ACCEPTED | {_REQUIRES_ACTION} | _DECLINES.keys():
            raise ErrorResponse(400, code="resource_missing", param=given[0])
        return token

    def _confirm(self, intent: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
        token = self._instrument(sent)
        if token in _DECLINES:
            code, reason = _DECLINES[token]
            error = {"type": "card_error", "code": code, "message": "The card was declined."}
            error |= {"decline_code": reason} if reason else {}
            intent.update(status="requires_payment_method", last_payment_error=error)
            raise ErrorResponse(402, **error, payment_intent=self._to_json(intent))
        if token == _REQUIRES_ACTION or "payment_method_options" in sent:
            page = f"https://hooks.stripe.test/{intent['id']}"
            action = {"type": "redirect_to_url", "redirect_to_url": {"url": page, "return_url": sent.get("return_url")}}
            intent.update(status="requires_action", next_action=action)
        else:
            self._authorise(intent)
        return self._to_json(intent)

    def complete_challenge(self, name: str, *, succeeded: bool = True) -> None:
        """Authenticate the buyer, or fail to, as on the provider's page."""
        with self._lock:
            intent = self._intent_in_state(name, {"requires_action"})
            if succeeded:
                self._authorise(intent)
            else:
                error = {"type": "card_error", "code": "payment_intent_authentication_failure"}
                intent.update(status="requires_payment_method", last_payment_error=error)

    def _authorise(self, intent: dict[str, Any]) -> None:
        charge = {"id": f"ch_{next(self._numbers)}", "object": "charge", "balance_transaction": None}
        intent.update(status="requires_capture", amount_capturable=intent["amount"], latest_charge=charge)

    def _capture(self, intent: dict[str, Any], sent: dict[str, Any]) -> dict[str, Any]:
        amount = int(sent.get("amount_to_capture", intent["amount"]))
        if amount > intent["amount_capturable"]:
            raise ErrorResponse(400, code="amount_too_large", param="amount_to_capture")
        fee = amount * FEE_BPS // 10_000 + FEE_FIXED
        intent["latest_charge"]["balance_transaction"] = {"id": "txn", "object": "balance_transaction", "fee": fee}
        intent.update(status="succeeded", amount_capturable=0, amount_received=amount)
        return self._to_json(intent)

    def _refund(self, sent: dict[str, Any]) -> dict[str, Any]:
        intent, amount = self._intent(sent["payment_intent"]), int(sent["amount"])
        refunded = sum(one["amount"] for one in self.refunds.values() if one["payment_intent"] == intent["id"])
        if amount > intent["amount_received"] - refunded:
            raise ErrorResponse(400, code="charge_already_refunded" if refunded else "amount_too_large", param="amount")
        name = f"re_{next(self._numbers)}"
        charge = intent["latest_charge"]
        charge["amount_refunded"] = charge.get("amount_refunded", 0) + amount
        self.refunds[name] = {
            "id": name,
            "object": "refund",
            "amount": amount,
            "payment_intent": intent["id"],
            "status": "succeeded",
            "metadata": dict(sent.get("metadata", {})),
        }
        return self.refunds[name]

    def _list(self, sent: dict[str, Any]) -> dict[str, Any]:
        since = int(sent.get("created", {}).get("gte", 0))
        return _list_response(
            "payment_intents", [self._to_json(one) for one in self.intents.values() if one["created"] >= since]
        )

    def _search(self, sent: dict[str, Any]) -> dict[str, Any]:
        wanted = dict(re.findall(r"metadata\['(\w+)'\]:'([^']*)'", sent["query"]))
        known = self.intents if self.search_index is None else self.search_index
        data = [self._to_json(one) for one in known.values() if wanted.items() <= one["metadata"].items()]
        return {"object": "search_result", "url": "/v1/payment_intents/search", "has_more": False, "data": data}

    def _to_json(self, intent: dict[str, Any]) -> dict[str, Any]:
        return dict(intent)


def _list_response(name: str, data: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "url": f"/v1/{name}", "has_more": False, "data": data}
