"""One buyer: hold the planned units, check out, pay, and follow the order until it is paid."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from infra.rehearse.client import Client, Reply, StepFailed
from infra.rehearse.cues import CueSender
from infra.rehearse.plan import PlannedPurchase

HANDLER: Final = "sandbox"
_PROGRESS_TIMEOUT_SECONDS: Final = 420
"""Maximum time without progress. Holds that a lost request left behind expire well before."""
_PAYMENT_TIMEOUT_SECONDS: Final = 300
_MIN_PAUSE, _USUAL_PAUSE, _MAX_PAUSE = 0.05, 0.25, 2.0

Body = dict[str, Any]


@dataclass(frozen=True, slots=True)
class PlacedOrder:
    """A paid order as its buyer saw it: ids, the total in minor units, and the line of each drop."""

    purchase: str
    checkout_id: str
    order_id: str
    total: int
    lines: dict[str, str]

    def to_record(self) -> dict[str, Any]:
        return asdict(self)


class Buyer:
    """Drive one planned purchase. Each change has its own Idempotency-Key, so that no retry applies it twice.

    ``active_buyers`` bounds the number of buyers who act at once. A buyer who only waits for the payment leaves it.
    """

    def __init__(
        self, client: Client, cues: CueSender, show_id: str, purchase: PlannedPurchase, active_buyers: asyncio.Semaphore
    ) -> None:
        self._active_buyers = active_buyers
        self._client = client
        self._cues = cues
        self._purchase = purchase
        self._prefix = f"{show_id}/{purchase.id}"
        self._requests_sent = 0
        self._held: dict[str, int] = {}

    async def buy(self) -> PlacedOrder:
        """Go from the first hold to the paid order. Raises: StepFailed, which names the purchase and the step."""
        try:
            async with self._active_buyers:
                held = await self._hold_all()
                if not self._purchase.express:
                    held = await self._create_checkout(held)
                placed = await self._complete(held["id"])
            return await self._await_payment(held["id"], placed)
        except StepFailed as failure:
            raise StepFailed(f"{self._purchase}: {failure}") from None

    async def _hold_all(self) -> Body:
        """Fill a cart step by step as the drops open. An express purchase fills its checkout session instead."""
        path = "/checkout-sessions" if self._purchase.express else "/carts"
        wanted: dict[str, int] = {}
        body: Body = {}
        for step in self._purchase.steps():
            wanted |= step
            await self._cues.open(step)
            body = await self._hold(path, wanted, body.get("id"))
        return body

    async def _hold(self, path: str, wanted: Mapping[str, int], resource: str | None) -> Body:
        """Repeat the request until all wanted units are held.

        When nothing could be held, the answer has no resource, and the next request creates it.
        """
        last = time.monotonic()
        pause = _MIN_PAUSE
        first_key = self._next_idempotency_key()
        while True:
            if resource is None:
                reply = await self._client.as_buyer("hold", "POST", path, self._lines_request(wanted, path), first_key)
            else:
                body = self._lines_request(wanted, path) | {"id": resource}
                reply = await self._client.as_buyer(
                    "hold more", "PUT", f"{path}/{resource}", body, self._next_idempotency_key()
                )
            _fail_if_unexpected(reply)
            if reply.status == 409 and resource is None:
                raise StepFailed(f"answered {reply}")
            resource = reply.body.get("id", resource)
            if self._update_held(reply.body):
                last = time.monotonic()
            lacking = [drop_id for drop_id, quantity in wanted.items() if self._held.get(drop_id, 0) < quantity]
            if not lacking and resource is not None and "line_items" in reply.body:
                return reply.body
            if time.monotonic() - last > _PROGRESS_TIMEOUT_SECONDS:
                raise StepFailed(f"could not hold {', '.join(lacking)}: {_messages(reply.body)}")
            pause = min(pause * 1.5, 1.0)
            await self._wait_to_retry(reply.body, lacking, pause)

    def _update_held(self, body: Body) -> bool:
        """Store the held units of an answer. Returns whether there are more than before."""
        if "line_items" not in body:
            return False
        held = {line["item"]["id"]: int(line["quantity"]) for line in body["line_items"]}
        has_grown = any(quantity > self._held.get(drop_id, 0) for drop_id, quantity in held.items())
        for drop_id in held:
            self._cues.record_hold(drop_id)
        self._held = held
        return has_grown

    async def _wait_to_retry(self, body: Body, lacking: Iterable[str], pause: float) -> None:
        """Wait as long as the messages ask, or else ``pause``. Send late cues again when a drop is not open."""
        messages = body.get("messages", [])
        codes = {str(message.get("code")) for message in messages} - {"missing"}
        for code in codes:
            self._client.measures.count(f"answered {code}")
        if "drop_not_open" in codes:
            await self._cues.resend_late(lacking)
        await self._client.pause(max((_pause_seconds(message) for message in messages), default=0) or pause)

    async def _create_checkout(self, cart: Body) -> Body:
        body = {"cart_id": cart["id"], "line_items": []} | self._buyer_details()
        reply = await self._client.as_buyer(
            "checkout", "POST", "/checkout-sessions", body, self._next_idempotency_key()
        )
        _fail_if_unexpected(reply)
        if "id" not in reply.body:
            raise StepFailed(f"no checkout session: {_messages(reply.body)}")
        return reply.body

    async def _complete(self, checkout_id: str) -> Body:
        path = f"/checkout-sessions/{checkout_id}/complete"
        reply = await self._client.as_buyer("complete", "POST", path, _PAYMENT, self._next_idempotency_key())
        _fail_if_unexpected(reply)
        return reply.body

    async def _await_payment(self, checkout_id: str, placed: Body) -> PlacedOrder:
        """Follow the order until it is paid. When units were lost meanwhile, hold them again and complete again."""
        started = time.monotonic()
        path = f"/checkout-sessions/{checkout_id}"
        while True:
            body = await self._poll_until_decided(path, placed)
            if body.get("status") == "completed":
                self._client.measures.observe("placed to paid", time.monotonic() - started)
                return self._placed_order(checkout_id, body)
            for message in body.get("messages", []):
                self._client.measures.count(f"answered {message.get('code')}")
            if time.monotonic() > started + _PROGRESS_TIMEOUT_SECONDS:
                raise StepFailed(f"could not be paid: {body.get('status')}, {_messages(body)}")
            await self._client.pause(_USUAL_PAUSE)
            async with self._active_buyers:
                await self._hold("/checkout-sessions", self._purchase.units, checkout_id)
                placed = await self._complete(checkout_id)

    async def _poll_until_decided(self, path: str, body: Body) -> Body:
        """Poll the session until its attempt has succeeded or failed, and return it."""
        deadline = time.monotonic() + _PAYMENT_TIMEOUT_SECONDS
        pause = _MIN_PAUSE
        while body.get("status") == "complete_in_progress":
            if time.monotonic() > deadline:
                raise StepFailed(f"placed, but not paid in {_PAYMENT_TIMEOUT_SECONDS} s")
            await self._client.pause(pause)
            pause = min(pause * 1.5, _MAX_PAUSE)
            reply = await self._client.as_buyer("follow", "GET", path)
            _fail_if_unexpected(reply)
            body = reply.body
        if body.get("status") in {"canceled", "requires_escalation"}:
            raise StepFailed(f"ended as {body['status']}: {_messages(body)}")
        return body

    def _placed_order(self, checkout_id: str, body: Body) -> PlacedOrder:
        lines = {line["item"]["id"]: line["id"] for line in body["line_items"]}
        total = next(int(total["amount"]) for total in body["totals"] if total["type"] == "total")
        return PlacedOrder(self._purchase.id, checkout_id, body["order"]["id"], total, lines)

    def _lines_request(self, wanted: Mapping[str, int], path: str) -> Body:
        lines = [{"item": {"id": drop_id}, "quantity": quantity} for drop_id, quantity in wanted.items()]
        person = self._buyer_details() if path == "/checkout-sessions" else {}
        return {"line_items": lines, "attribution": {"channel": "rehearsal"}} | person

    def _buyer_details(self) -> Body:
        name = self._purchase.customer or f"guest-{self._purchase.id}"
        address = {
            "first_name": "Customer",
            "last_name": name,
            "street_address": "1 Rehearsal Road",
            "address_locality": "Town",
            "postal_code": "AB1 2CD",
            "address_country": self._purchase.country,
        }
        return {
            "buyer": {
                "first_name": "Customer",
                "last_name": name,
                "email": f"buyer-{self._purchase.id}@rehearsal.example",
            },
            "fulfillment": {"methods": [{"type": "shipping", "destinations": [address | {"id": "home"}]}]},
        }

    def _next_idempotency_key(self) -> str:
        self._requests_sent += 1
        return f"{self._prefix}/{self._requests_sent}"


_PAYMENT: Final[Body] = {
    "payment": {
        "instruments": [
            {
                "id": "card",
                "handler_id": HANDLER,
                "type": "card",
                "selected": True,
                "credential": {"type": "token", "token": "ok"},
            }
        ]
    }
}


def _fail_if_unexpected(reply: Reply) -> None:
    """Raise StepFailed for an unexpected answer.

    A 409 is expected: an earlier request whose answer was lost has been applied. The buyer reads the state next.
    """
    is_unknown = any(message.get("code") == "not_found" for message in reply.body.get("messages", []))
    if is_unknown or reply.status not in {200, 201, 409}:
        raise StepFailed(f"answered {reply}")


def _pause_seconds(message: Mapping[str, Any]) -> float:
    if "retry_after_ms" in message:
        return float(message["retry_after_ms"]) / 1000
    if "next_lapse_at" in message:
        expires_at = datetime.fromisoformat(str(message["next_lapse_at"]))
        return min(max((expires_at - datetime.now(UTC)).total_seconds(), _USUAL_PAUSE), _MAX_PAUSE)
    return 0


def _messages(body: Body) -> str:
    texts = [f"{message.get('code')} ({message.get('content')})" for message in body.get("messages", [])]
    return "; ".join(texts[:5]) or "without a message"
