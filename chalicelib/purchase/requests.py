"""Requests and results of the use cases: a result is a purchase with messages, or messages alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chalicelib.instants import Instant
from chalicelib.purchase.model import Buyer, Destination, Purchase


@dataclass(frozen=True, slots=True)
class Message:
    """A UCP message. ``extra`` has fields of our own, such as ``opens_at`` and ``retry_after_ms``."""

    code: str
    content: str
    path: str | None = None
    type: str = "error"
    """``error``, ``warning`` or ``info``."""
    severity: str = "recoverable"
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckoutResult:
    """A purchase and messages about it. ``created``: by this request, or by the one that it repeats."""

    purchase: Purchase
    ucp_status: str
    hold_expires_at: Instant | None
    """When the earliest hold ends; None when nothing is held or the purchase is no longer open."""
    messages: tuple[Message, ...] = ()
    created: bool = False


@dataclass(frozen=True, slots=True)
class NoPurchase:
    """No purchase exists for this request: nothing could be held, or the id is unknown."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class LineRequest:
    """One line that a buyer requests. ``line_id`` names the line it replaces, if the client sends it."""

    drop_id: str
    quantity: int
    line_id: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """The platform that sends a request (``public`` without a platform's key) and its channel."""

    platform: str
    channel: str | None = None
    namespace: str | None = None
    """Idempotency keys are unique within it. None: within the platform, for a caller that has the platform's key."""


@dataclass(frozen=True, slots=True)
class PurchaseRequest:
    """A create or update request of UCP. None means *not mentioned*: an update leaves that part as it is.

    ``key`` is the Idempotency-Key and ``fingerprint`` a digest of the canonical body.
    """

    caller: Caller
    key: str
    fingerprint: str
    lines: tuple[LineRequest, ...] | None = None
    cart_id: str | None = None
    """Purchase id of the cart that create turns into a checkout session."""
    buyer: Buyer | None = None
    destination: Destination | None = None
    shipping_option: str | None = None
    country_hint: str | None = None
    attribution: dict[str, str] | None = None
    discount_codes: tuple[str, ...] | None = None
    as_cart: bool = False


@dataclass(frozen=True, slots=True)
class CompleteRequest:
    """A complete request: pay with this instrument. ``token`` is a credential; no log and no answer contains it."""

    caller: Caller
    key: str
    fingerprint: str
    handler_id: str
    instrument_id: str
    instrument_type: str
    token: str


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """A refund request: quantities by line, an ``amount``, or all that remains (``full``). Idempotent by ``key``.

    ``shipping`` adds what remains of the shipping. ``restock`` puts the units back into stock.
    """

    key: str
    fingerprint: str
    lines: tuple[tuple[str, int], ...]
    restock: bool
    actor: str
    amount: int | None = None
    shipping: bool = False
    full: bool = False


EnqueueCapture = Callable[[str, int], None]

NOT_FOUND = NoPurchase((Message("not_found", "No purchase has this id.", severity="unrecoverable"),))
