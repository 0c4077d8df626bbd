"""The words of a show: shows, drops and their windows, cues. Frozen models without I/O."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from pydantic import Field

from chalicelib.instants import Instant
from chalicelib.schema import Currency, FrozenModel, Id
from chalicelib.stock import Pool, StockPlan, Summary


class Show(FrozenModel):
    """One live broadcast. ``currency``, ``market`` and ``time_zone`` hold for everything sold in it."""

    id: Id
    title: str
    currency: Currency
    starts_at: Instant
    host: str | None = None
    channels: tuple[str, ...] = ()
    time_zone: str | None = None
    market: str | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None


class Drop(FrozenModel):
    """A timed offer of one SKU in a show. Amounts in minor units of ``currency``, which is its show's.

    The window is ``[opens_at, closes_at)``; a drop without ``opens_at`` waits for its cue.
    """

    id: Id
    show_id: Id
    sku: str
    title: str
    unit_price: int
    currency: Currency
    stock: int
    """Units offered, stock added later included."""
    bucket_count: int
    """Number of home buckets, fixed for the drop's life."""
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
        """The earlier price, where the present one is a reduction of it: only then may it be shown (98/6/EC, 6a)."""
        earlier = self.earlier_price
        return earlier if earlier is not None and earlier > self.unit_price else None

    @property
    def pool(self) -> Pool:
        return Pool(self.id, self.bucket_count)


class DropState(StrEnum):
    """What a watcher is told. Sold out comes from the summary, the rest from the window."""

    SCHEDULED = "scheduled"
    OPEN = "open"
    SUSPENDED = "suspended"
    SOLD_OUT = "sold_out"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Offer:
    """What a buyer is offered at this moment: the drop and how its stock stands, both at most one second old."""

    drop: Drop
    summary: Summary


@dataclass(frozen=True, slots=True)
class DropWithPlan:
    """A drop as its record has it: ``drop.stock`` is without the ``plan`` that is under way, if there is one."""

    drop: Drop
    plan: StockPlan | None
    changed_at: Instant


@dataclass(frozen=True, slots=True)
class LiveDrop:
    """A drop as its watchers see it. Amounts in minor units of ``currency``."""

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
    """When the earliest hold lapses (ms); None without holds."""


@dataclass(frozen=True, slots=True)
class LiveShow:
    """A show as its watchers see it, with its drops in the order of their ids."""

    show: Show
    drops: tuple[LiveDrop, ...]
    next_transition_at: Instant | None
    """The next instant at which a drop's window opens or closes by itself; from then on this picture is old."""
    digest: str
    """Hash of all that is shown, for an ETag. Equal digests: nothing has changed but the time."""


@dataclass(frozen=True, slots=True)
class StockAdjusted:
    """Units were added to a drop or taken away, by this request or an earlier one with the same key (``repeated``).

    ``moved`` is what of ``quantity`` there was to move: held and sold units cannot be taken away.
    """

    drop: Drop
    quantity: int
    moved: int
    repeated: bool


class CueType(StrEnum):
    """What the show can tell: the ``type`` of a cue's CloudEvent."""

    OPEN = "dev.livedrop.drop.open"
    CLOSE = "dev.livedrop.drop.close"
    EXTEND = "dev.livedrop.drop.extend"
    SUSPEND = "dev.livedrop.drop.suspend"
    RESUME = "dev.livedrop.drop.resume"
    STOCK_ADDED = "dev.livedrop.drop.stock_added"
    SHOW_STARTED = "dev.livedrop.show.started"
    SHOW_ENDED = "dev.livedrop.show.ended"


class Cue(FrozenModel):
    """A validated cue: CloudEvents 1.0 attributes and the data its type has. ``time`` is when the host said it."""

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
    """The cue changed something, by this delivery."""


@dataclass(frozen=True, slots=True)
class CueRepeated:
    """This very cue had been applied before; nothing changed."""


@dataclass(frozen=True, slots=True)
class CueRefused:
    """The cue cannot be applied: ``code`` and a sentence. Kept in the show's record."""

    code: str
    detail: str


class RefusedCue(FrozenModel):
    """A refused cue as it is stored for operators, for thirty days. ``show_id``: None where the subject is unknown."""

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
