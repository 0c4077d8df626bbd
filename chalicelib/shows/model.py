"""Models of shows, drops and their windows, and cues. Frozen, without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from chalicelib.instants import Instant
from chalicelib.schema import CurrencyCode, FrozenModel, Id
from chalicelib.stock import Pool, StockPlan, Summary


class Show(FrozenModel):
    """One live broadcast. ``currency``, ``market`` and ``time_zone`` apply to all its drops."""

    id: Id
    title: str
    currency: CurrencyCode
    starts_at: Instant
    host: str | None = None
    channels: tuple[str, ...] = ()
    time_zone: str | None = None
    market: str | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None


class Drop(FrozenModel):
    """A timed offer of one SKU in a show. Amounts are minor units of ``currency``, the show's currency.

    The window is ``[opens_at, closes_at)``. A drop without ``opens_at`` waits for its cue.
    """

    id: Id
    show_id: Id
    sku: str
    title: str
    unit_price: int
    currency: CurrencyCode
    stock: int
    """Units offered, with the stock that was added later."""
    bucket_count: int
    """Number of home buckets, fixed at creation."""
    usual_quantity: int = 1
    hold_seconds: int = 300
    max_quantity: int | None = None
    limit_per_buyer: int | None = None
    opens_at: Instant | None = None
    closes_at: Instant | None = None
    suspended: bool = False
    image_url: str | None = None
    creator_id: str | None = None
    commission_bps: int = 0
    tax_category: str | None = None
    market: str | None = None
    earlier_price: int | None = None
    """The lowest price of this drop in the 30 days before the present price began."""

    @property
    def price_reduced_from(self) -> int | None:
        """The earlier price, if the present one is lower. Only then may a shop show it (98/6/EC, article 6a)."""
        earlier = self.earlier_price
        return earlier if earlier is not None and earlier > self.unit_price else None

    @property
    def pool(self) -> Pool:
        """The drop's units in the stock room."""
        return Pool(self.id, self.bucket_count)


class DropState(StrEnum):
    """A drop's state for watchers. ``SOLD_OUT`` comes from the summary, the others from the window."""

    SCHEDULED = "scheduled"
    OPEN = "open"
    SUSPENDED = "suspended"
    SOLD_OUT = "sold_out"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Offer:
    """A drop and the summary of its stock, both at most one second old."""

    drop: Drop
    summary: Summary


@dataclass(frozen=True, slots=True)
class DropWithPlan:
    """A drop and its pending stock plan, if it has one. ``drop.stock`` does not count the plan's units."""

    drop: Drop
    plan: StockPlan | None
    changed_at: Instant


@dataclass(frozen=True, slots=True)
class LiveDrop:
    """A drop in the live view. Amounts are minor units of ``currency``."""

    drop_id: str
    state: DropState
    sku: str
    title: str
    image_url: str | None
    opens_at: Instant | None
    closes_at: Instant | None
    unit_price: int
    earlier_price: int | None
    currency: str
    available: int
    held: int
    sold: int
    size: int
    next_lapse_at: Instant | None
    """The instant at which the earliest hold expires; None without holds."""


@dataclass(frozen=True, slots=True)
class LiveShow:
    """The live view of a show, with its drops in the order of their ids."""

    show: Show
    drops: tuple[LiveDrop, ...]
    next_transition_at: Instant | None
    """The next instant at which a drop's window opens or closes. From then on this view is out of date."""
    digest: str
    """Hash of the content, for an ETag. Views with equal digests differ in nothing but the time."""


@dataclass(frozen=True, slots=True)
class StockAdjusted:
    """Units were added to a drop or taken away, by this request or by an earlier one with its key (``repeated``).

    ``moved`` can be less than ``quantity``, since held and sold units stay.
    """

    drop: Drop
    quantity: int
    moved: int
    repeated: bool


class CueType(StrEnum):
    """The ``type`` of a cue's CloudEvent."""

    OPEN = "dev.livedrop.drop.open"
    CLOSE = "dev.livedrop.drop.close"
    EXTEND = "dev.livedrop.drop.extend"
    SUSPEND = "dev.livedrop.drop.suspend"
    RESUME = "dev.livedrop.drop.resume"
    STOCK_ADDED = "dev.livedrop.drop.stock_added"
    SHOW_STARTED = "dev.livedrop.show.started"
    SHOW_ENDED = "dev.livedrop.show.ended"


class Cue(FrozenModel):
    """A validated cue: CloudEvents 1.0 attributes and the data of its type. ``time`` is when the host gave it."""

    source: str
    id: str
    type: CueType
    subject: Id
    time: Instant
    closes_at: Instant | None = None
    reopen: bool = False
    quantity: int | None = Field(default=None, ge=1)


@dataclass(frozen=True, slots=True)
class CueApplied:
    """This delivery of the cue changed a record."""


@dataclass(frozen=True, slots=True)
class CueRepeated:
    """An earlier delivery of the cue was applied. Nothing changed."""


@dataclass(frozen=True, slots=True)
class CueRefused:
    """The cue cannot be applied, for the reason in ``code`` and ``detail``. Operators can read the refusal."""

    code: str
    detail: str


class RefusedCue(FrozenModel):
    """A stored refusal, which operators can read for thirty days. ``show_id`` is None for an unknown subject."""

    show_id: str | None = None
    source: str
    id: str
    type: str
    subject: str
    time: Instant
    code: str
    detail: str
    refused_at: Instant


CueResult = CueApplied | CueRepeated | CueRefused
