"""What use cases are asked, and what they answer: a purchase as it now stands, with messages; or messages alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from chalicelib.purchase.model import Buyer, Destination, Purchase


@dataclass(frozen=True, slots=True)
class Message:
    """A UCP message in our terms. ``extra`` are fields of ours: ``opens_at``, ``retry_after_ms``, ``next_lapse_at``…"""

    code: str
    content: str
    path: str | None = None
    type: str = "error"
    """``error``, ``warning`` or ``info``."""
    severity: str = "recoverable"
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckoutResult:
    """A purchase and what is to be said of it. ``created``: by this request or the one it repeats."""

    purchase: Purchase
    messages: tuple[Message, ...] = ()
    created: bool = False


@dataclass(frozen=True, slots=True)
class NoPurchase:
    """No purchase exists for this request: nothing was taken, or the id is unknown."""

    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True)
class LineRequest:
    """One line a buyer asks for, as sent. ``line_id`` names the line it replaces, if the client says."""

    drop_id: str
    quantity: int
    line_id: str | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the platform (``public`` when it is not one of ours) and its channel."""

    platform: str
    channel: str | None = None
    namespace: str | None = None
    """Among whose idempotency keys this caller's are; None: the platform's own, for a caller that has its key."""


@dataclass(frozen=True, slots=True)
class PurchaseRequest:
    """A create or update as UCP has it. None means *not mentioned*: an update leaves that part as it is.

    ``key`` is the Idempotency-Key; ``fingerprint`` a digest of the canonical body.
    """

    caller: Caller
    key: str
    fingerprint: str
    lines: tuple[LineRequest, ...] | None = None
    cart_id: str | None = None
    """Purchase id of a cart to turn into a checkout session (create only)."""
    buyer: Buyer | None = None
    destination: Destination | None = None
    shipping_option: str | None = None
    country_hint: str | None = None
    attribution: dict[str, str] | None = None
    discount_codes: tuple[str, ...] | None = None
    as_cart: bool = False


@dataclass(frozen=True, slots=True)
class CompleteRequest:
    """Place the order: pay with this instrument. ``token`` is the credential's; never logged, never echoed."""

    caller: Caller
    key: str
    fingerprint: str
    handler_id: str
    instrument_id: str
    instrument_type: str
    token: str


@dataclass(frozen=True, slots=True)
class RefundRequest:
    """Give back: quantities by line (with ``shipping``, what is left of that too), an amount, or the whole rest.

    ``restock``: the units go back into stock. Idempotent by ``key``.
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

NOT_FOUND = NoPurchase((Message("not_found", "Nothing is known under that id.", severity="unrecoverable"),))
