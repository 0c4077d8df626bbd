"""The purchase: cart, checkout session and order as one versioned item."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from chalicelib.discounts import AppliedDiscount
from chalicelib.ids import order_ref
from chalicelib.instants import Instant, UnixSeconds
from chalicelib.stock import HoldRef


class _Frozen(BaseModel):
    # The text of an exception goes into the log, and a broken item may contain personal data.
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class PurchaseState(StrEnum):
    """State of a purchase. Buyers change ``OPEN`` alone; the capture worker and operators change the others."""

    OPEN = "open"
    PLACED = "placed"
    AWAITING_BUYER = "awaiting_buyer"
    ON_HOLD = "held"
    PAID = "paid"
    CANCELLED = "cancelled"


class Line(_Frozen):
    """Units of one drop, at the price of their first hold. ``holds`` name the units; each growth adds one."""

    id: str
    drop_id: str
    sku: str
    title: str
    unit_price: int
    quantity: int
    bucket_count: int
    """Home buckets of the drop. With it, a hold is found without reading the drop."""
    holds: tuple[HoldRef, ...] = ()
    price_until: Instant
    """Until when the price is honoured. Afterwards a completion takes the drop's present price."""
    max_hold_until: UnixSeconds
    """No hold of this line ends later. Afterwards the buyer must remove the line and add it again."""
    limit_per_buyer: int | None = None
    """Units that one buyer can have in all purchases together. Fixed with the price."""
    tax_category: str | None = None
    creator_id: str | None = None
    commission_bps: int = 0
    image_url: str | None = None
    # Fixed when the order is placed, so that the ledger never depends on a table that changes:
    discount: int = 0
    """Minor units off the whole line, before tax."""
    tax: int = 0
    """Tax of the whole line: contained in the price in a tax-inclusive market, otherwise on top of it."""
    tax_rate_bps: int = 0

    @property
    def gross(self) -> int:
        """Return unit price times quantity."""
        return self.unit_price * self.quantity

    @property
    def price(self) -> int:
        """Return the price after discount, without tax on top."""
        return self.gross - self.discount


class Buyer(_Frozen):
    """The buyer. Personal data: stored in the purchase alone, so that it can be erased."""

    model_config = ConfigDict(extra="ignore")
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone_number: str | None = None


class Destination(_Frozen):
    """The delivery address, as UCP's postal address. Personal data: stored in the purchase alone."""

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
    """Amounts of a purchase in minor units. ``total = subtotal - discount + shipping + tax_on_top``.

    ``tax`` is all tax. In a tax-inclusive market the other amounts contain it and ``tax_on_top`` is 0.
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
    """Payment of the latest attempt. ``token`` names the instrument and is removed when the attempt ends."""

    handler_id: str
    instrument_id: str
    instrument_type: str = "card"
    token: str | None = None
    provider: str = "sandbox"
    provider_id: str | None = None
    """Id of the payment at the provider (Stripe: payment intent)."""
    charge_id: str | None = None
    fee: int = 0
    """Read from items of an older version alone. Fees are movements of the provider's balance."""
    action_url: str | None = None
    """Page on which the buyer authenticates (3-D Secure)."""
    deadline: Instant | None = None
    """When waiting ends: for the buyer's authentication, or for the release of an order on hold."""
    velocity_keys: tuple[str, ...] = ()
    """Keyed hashes that a decline counts for. Removed when the attempt ends."""
    step_up: bool = False
    """Whether the buyer must authenticate. Decided at placing, so that each run of the attempt asks for the same."""
    held_by: str | None = None
    """The operator that put the order on hold, or ``channel``."""
    released_by: str | None = None
    released_at: Instant | None = None
    captured: int | None = None
    """Minor units received, where they differ from the order's total."""
    tries: int = 0
    """How often the outcome of the authorisation was unknown. The next run looks it up before it begins another."""
    failure: str | None = None
    """Why the latest attempt ended without money: the provider's code, or our own such as ``out_of_stock``."""


class RefundLine(_Frozen):
    """A refund's share of one line. ``quantity`` is 0 where it refunds money without units."""

    line_id: str
    quantity: int = 0
    item_amount: int = 0
    """Minor units refunded for items: after discount, without tax on top."""
    discount: int = 0
    """The share of the line's discount that belongs to ``item_amount``."""
    tax: int = 0
    commission: int | None = None
    """The share of the line's commission that goes back, fixed when the refund is recorded. None: nothing."""
    already_restocked: int = 0
    """Units of ``quantity`` that an earlier refund put back into stock before it failed at the provider."""


class Allocation(_Frozen):
    """Money of an order by lines and shipping, in minor units."""

    lines: tuple[RefundLine, ...] = ()
    shipping: int = 0
    shipping_tax: int = 0


class AllocatedExcess(Allocation):
    """A part of an excess that lines and shipping have room for since a refund failed or a loss was restored."""

    allocated_at: Instant


class Refund(Allocation):
    """A refund: requested, pending (``provider_id``), then done (``completed_at``) or failed (``failure_code``)."""

    id: str
    key: str
    fingerprint: str
    amount: int
    """Minor units that the buyer receives: items, shipping, tax on top of them, and what exceeds the order's rest."""
    allocated: tuple[AllocatedExcess, ...] = ()
    restock: bool
    requested_by: str | None = None
    """The operator that requested it. No event and no export contains it."""
    requested_at: Instant
    completed_at: Instant | None = None
    restocked: bool = False
    provider_id: str | None = None
    failure_code: str | None = None
    """The provider's code when it declined the refund. The refund then returns no money."""
    failed_at: Instant | None = None
    """When a refund that was already completed failed at the provider: the money came back to the shop."""
    cancels: bool = False
    """Whether the order is cancelled once this refund is done."""

    @property
    def is_pending(self) -> bool:
        """Return whether neither the provider's confirmation nor its failure is recorded."""
        return self.completed_at is None and self.failure_code is None

    @property
    def is_restock_due(self) -> bool:
        """Return whether its units still have to go back into stock; a failure after completion changes nothing."""
        return self.completed_at is not None and self.restock and not self.restocked


class DisputeLoss(Allocation):
    """Money that a dispute took for good, spread when the loss is recorded. It may exceed the order's rest."""

    amount: int
    """Minor units of the order's currency."""
    allocated: tuple[AllocatedExcess, ...] = ()
    lost_at: Instant
    restored_at: Instant | None = None
    """When the dispute's outcome was reversed, so that nothing is lost."""


class Dispute(_Frozen):
    """A dispute (chargeback) of the order's payment. Money in minor units of ``currency``."""

    id: str
    status: str
    """A value of ``chalicelib.payments.DisputeStatus``."""
    amount: int
    currency: str
    opened_at: Instant
    reason: str | None = None
    evidence_due: Instant | None = None
    withdrawn: int = 0
    """The shop's balance lacks this at present; ``withdrawn_of_order`` is its part of the order, in its currency."""
    withdrawn_of_order: int = 0
    closed_at: Instant | None = None
    losses: tuple[DisputeLoss, ...] = ()
    """Only the last one may be without ``restored_at``."""


class IdempotencyRecord(_Frozen):
    """One request that changed the purchase: short digests of its key and fingerprint, and the attempt it began."""

    key: str
    fingerprint: str
    attempt: int = 0
    repriced: bool = False
    """A completion that only showed a new total. Its repetition does not accept that total."""


class Purchase(_Frozen):
    """One buyer's purchase from the first hold to the last refund. Each change raises ``version`` by one.

    Callers see it as ``cart_{id}``, ``chk_{id}`` and ``ord_{id}``.
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
    """Created as a cart and not yet turned into a checkout session."""
    created_at: Instant
    updated_at: Instant
    lines: tuple[Line, ...]
    buyer: Buyer | None = None
    destination: Destination | None = None
    shipping_option: str | None = None
    """The buyer's choice, otherwise the market's first option."""
    totals: Totals = Totals()
    attribution: dict[str, str] = {}
    discount_codes: tuple[str, ...] = ()
    """As the buyer entered them."""
    discounts: tuple[AppliedDiscount, ...] = ()
    rejected_codes: dict[str, str] = {}
    """Reason of each code that does not apply, by code."""
    idempotency_records: tuple[IdempotencyRecord, ...] = ()
    attempt: int = 0
    epoch: int = 0
    placed_at: Instant | None = None
    payment: Payment | None = None
    paid_at: Instant | None = None
    refunds: tuple[Refund, ...] = ()
    cancelled_at: Instant | None = None
    disputes: tuple[Dispute, ...] = ()

    @property
    def email(self) -> str | None:
        """Return the buyer's e-mail address as entered; None when it is missing or blank."""
        given = self.buyer.email if self.buyer else None
        return given if given and given.strip() else None

    @property
    def order_ref(self) -> str:
        """Return the nine characters (54 bits) that name this purchase inside buckets."""
        return order_ref(self.id)
