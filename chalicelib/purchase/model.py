"""The purchase: cart, checkout session and order as one versioned item, and what may be said of it."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from chalicelib.discounts import AppliedDiscount
from chalicelib.ids import order_ref
from chalicelib.instants import MINUTE, Instant, UnixSeconds
from chalicelib.stock import HoldRef

SETTLE_PERIOD: Instant = MINUTE
"""Longer than any request or worker lives.

Every write that began before an instant has landed, or has failed, one settle period later.
"""


class _Frozen(BaseModel):
    # An exception's text goes into the log; what stands in a broken item may be personal.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class PurchaseState(StrEnum):
    """Where a purchase stands. Only ``OPEN`` may be updated; from ``PLACED`` on only the capture worker moves it."""

    OPEN = "open"
    PLACED = "placed"
    AWAITING_BUYER = "awaiting_buyer"
    ON_HOLD = "held"
    PAID = "paid"
    CANCELLED = "cancelled"


class Line(_Frozen):
    """Units of one drop. Price is fixed at the take. ``holds`` name the units; more units are further holds."""

    id: str
    drop_id: str
    sku: str
    title: str
    unit_price: int
    quantity: int
    bucket_count: int
    """Home buckets of the drop: what it takes to find a hold without reading the drop."""
    holds: tuple[HoldRef, ...] = ()
    price_until: Instant
    """Until when the price is honoured; afterwards the line must be taken anew."""
    max_hold_until: UnixSeconds
    """No hold of this line ends later: afterwards its units are to be given up and taken anew, as by everybody."""
    limit_per_buyer: int | None = None
    """How many units one buyer may have over all purchases. Fixed at the take, as the price is."""
    tax_category: str | None = None
    creator_id: str | None = None
    commission_bps: int = 0
    image_url: str | None = None
    # Frozen at placing, so that books never depend on a table that changes:
    discount: int = 0
    """Minor units taken off the whole line, before tax."""
    tax: int = 0
    """Tax of the whole line: contained in the price where the market is tax-inclusive, on top where it is not."""
    tax_rate_bps: int = 0

    @property
    def gross(self) -> int:
        """Unit price times quantity."""
        return self.unit_price * self.quantity

    @property
    def price(self) -> int:
        """What the line costs, its discount taken off, without tax on top."""
        return self.gross - self.discount


class Buyer(_Frozen):
    """Who buys. Personal: stands only in the purchase, erasable."""

    model_config = ConfigDict(extra="ignore")
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone_number: str | None = None


class Destination(_Frozen):
    """Where it goes: UCP's postal address. Personal: stands only in the purchase, erasable."""

    model_config = ConfigDict(extra="ignore")
    id: str = "dest_1"
    first_name: str | None = None
    last_name: str | None = None
    phone_number: str | None = None
    street_address: str | None = None
    extended_address: str | None = None
    address_locality: str | None = None
    address_region: str | None = None
    postal_code: str | None = None
    address_country: str | None = None


class Totals(_Frozen):
    """Money of a purchase in minor units. ``total = subtotal - discount + shipping + tax_on_top``.

    ``tax`` is all tax; where prices include it, ``tax_on_top`` is 0 and ``tax`` is contained in the others.
    """

    subtotal: int = 0
    """Prices times quantities, before discounts."""
    discount: int = 0
    shipping: int = 0
    shipping_tax: int = 0
    shipping_tax_rate_bps: int = 0
    tax: int = 0
    tax_on_top: int = 0
    total: int = 0


class Payment(_Frozen):
    """The latest attempt's payment at the provider. ``instrument`` (its token) is dropped when the attempt ends."""

    handler_id: str
    instrument_id: str
    instrument_type: str = "card"
    token: str | None = None
    provider: str = "sandbox"
    provider_id: str | None = None
    """The provider's payment (Stripe: payment intent)."""
    charge_id: str | None = None
    fee: int = 0
    action_url: str | None = None
    """Where the buyer proves who they are while the purchase waits for that."""
    deadline: Instant | None = None
    """Until when the purchase waits: for the buyer, or, held, for its release."""
    velocity_keys: tuple[str, ...] = ()
    """By what a decline is counted: keyed hashes, kept until the attempt ends."""
    step_up: bool = False
    """The buyer is to authenticate: decided at placing, so that every run of the attempt asks for the same."""
    held_by: str | None = None
    """Who had the order held: an operator, or ``channel``."""
    released_by: str | None = None
    failure: str | None = None
    """Why the latest attempt ended without money: the provider's code, or ``out_of_stock``."""


class RefundLine(_Frozen):
    """What a refund gives back of a line; ``quantity`` 0 where it is money without units."""

    line_id: str
    quantity: int = 0
    item_amount: int = 0
    """Minor units given back for goods, discount taken off, without tax on top."""
    discount: int = 0
    """The share of the line's discount that goes with them."""
    tax: int = 0


class Refund(_Frozen):
    """Money given back. ``done_at`` is None until the provider confirmed it."""

    id: str
    key: str
    fingerprint: str
    lines: tuple[RefundLine, ...]
    amount: int
    """Everything given back: goods, tax on top, shipping."""
    shipping: int = 0
    shipping_tax: int = 0
    restock: bool
    requested_by: str | None = None
    """Who asked for it. Kept here alone: it goes into no event and no export."""
    requested_at: Instant
    completed_at: Instant | None = None
    restocked: bool = False
    provider_id: str | None = None
    failure_code: str | None = None
    """Why the provider would not give it back: its code. Then it gives back nothing, and stands for the record."""

    @property
    def is_pending(self) -> bool:
        """Whether it is still to be carried out."""
        return self.completed_at is None and self.failure_code is None


class IdempotencyRecord(_Frozen):
    """An idempotency key this purchase has seen: a short hash of it, the body's fingerprint, the attempt it began."""

    key: str
    fingerprint: str
    attempt: int = 0
    repriced: bool = False
    """A completion that placed nothing: it was answered with a new total, to which its repeat is no consent."""


class Purchase(_Frozen):
    """One buyer's purchase from the first hold to the last refund. Each change raises ``version`` by one.

    Seen outside as ``cart_{id}``, ``chk_{id}`` and ``ord_{id}``.
    """

    id: str
    version: int
    state: PurchaseState
    platform: str
    channel: str | None = None
    show_id: str | None = None
    currency: str
    market: str
    is_cart: bool = False
    """Begun as a cart and not yet turned into a checkout session."""
    created_at: Instant
    updated_at: Instant
    lines: tuple[Line, ...]
    buyer: Buyer | None = None
    destination: Destination | None = None
    shipping_option: str | None = None
    """The option that applies: chosen by the buyer, else the market's first."""
    totals: Totals = Totals()
    attribution: dict[str, str] = {}
    discount_codes: tuple[str, ...] = ()
    """Discount codes, as the buyer gave them."""
    discounts: tuple[AppliedDiscount, ...] = ()
    rejected_codes: dict[str, str] = {}
    """Why codes do not apply, by code."""
    idempotency_records: tuple[IdempotencyRecord, ...] = ()
    attempt: int = 0
    epoch: int = 0
    placed_at: Instant | None = None
    payment: Payment | None = None
    paid_at: Instant | None = None
    refunds: tuple[Refund, ...] = ()
    cancelled_at: Instant | None = None

    @property
    def email(self) -> str | None:
        """The buyer's e-mail address as it was given; None when there is none, or a blank one."""
        given = self.buyer.email if self.buyer else None
        return given if given and given.strip() else None

    @property
    def order_ref(self) -> str:
        """The short reference of this purchase that buckets store."""
        return order_ref(self.id)
