"""The words of stock: how a drop's units are laid out, what a hold is, and what a take may answer."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.ids import ORDER_REF_LENGTH
from chalicelib.instants import UnixSeconds

MAX_EPOCH = 999


@dataclass(frozen=True, slots=True)
class Pool:
    """Where a drop's units stand: buckets 0 to ``homes - 1``. Never changes: a hold's home is a hash modulo it."""

    pool_id: str
    bucket_count: int

    @property
    def is_drop(self) -> bool:
        """Whether units of it are goods. What has a colon in its name, as no drop has, is a budget: not counted so."""
        return ":" not in self.pool_id


@dataclass(frozen=True, slots=True)
class HoldRef:
    """A hold as a purchase names it. ``bucket`` is where it was taken: a hint that saves a read; home is the truth."""

    id: str
    bucket: int
    quantity: int
    expires_at: UnixSeconds


@dataclass(frozen=True, slots=True)
class OrderRef:
    """Who units are sold to: the order's short reference (9 characters) and its epoch, raised whenever it asks anew.

    Written with a fixed width, so that references of one order compare as their epochs do, also inside DynamoDB.
    """

    order_ref: str
    epoch: int

    def __post_init__(self) -> None:
        if len(self.order_ref) != ORDER_REF_LENGTH or not 0 <= self.epoch <= MAX_EPOCH:
            raise ValueError(f"not an order reference of fixed width: {self.order_ref!r}, epoch {self.epoch}")

    def __str__(self) -> str:
        return f"{self.order_ref}{self.epoch:03d}"


# What a take may answer.


@dataclass(frozen=True, slots=True)
class Taken:
    """Units are held for this hold id, by this write or an earlier one (``replay``). ``sold``: already sold to it."""

    hold: HoldRef
    replay: bool = False
    committed: bool = False


@dataclass(frozen=True, slots=True)
class InsufficientUnits:
    """No single bucket has that many; ``quantity`` is the largest that one bucket had."""

    available: int


@dataclass(frozen=True, slots=True)
class SoldOut:
    """Every unit of the drop is sold: final."""


@dataclass(frozen=True, slots=True)
class AllHeld:
    """Every unit is sold or held; from ``next_lapse_at`` on, a take can have what the earliest hold leaves."""

    next_lapse_at: UnixSeconds


@dataclass(frozen=True, slots=True)
class Busy:
    """Not decided within the bounded number of probes: come back after ``retry_after_ms`` (jittered by hold id)."""

    retry_after_ms: int


TakeResult = Taken | InsufficientUnits | SoldOut | AllHeld | Busy


# What selling a hold, or holding it again, may answer.


@dataclass(frozen=True, slots=True)
class Committed:
    """``quantity`` units are the order's at this epoch, by this write or an earlier one."""

    quantity: int


@dataclass(frozen=True, slots=True)
class RevertedToHold:
    """The units stay with the order until ``until``, then lapse by themselves."""

    expires_at: UnixSeconds


@dataclass(frozen=True, slots=True)
class HoldGone:
    """The units are no longer there: the hold lapsed and another buyer took them, or they were given back."""


@dataclass(frozen=True, slots=True)
class StaleEpoch:
    """The order has moved on: the hold stands at a later epoch, or was already held again or sold otherwise at this."""


CommitResult = Committed | HoldGone | StaleEpoch
RevertToHoldResult = RevertedToHold | HoldGone | StaleEpoch


@dataclass(frozen=True, slots=True)
class HoldStatus:
    """How a hold stands in its bucket. ``order`` is the ``o`` attribute, if any; ``until`` None means sold."""

    bucket: int
    quantity: int
    expires_at: UnixSeconds | None
    order: str | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The live summary of a drop, derived from its buckets: units available, held and sold; never incremented.

    ``available`` counts lapsed holds as available, as the next take reclaims them. ``open_buckets`` are the numbers of
    buckets with available units. ``as_of`` is the instant (ms) before the first bucket was read.
    """

    pool_id: str
    size: int
    available: int
    held: int
    sold: int
    open_buckets: tuple[int, ...]
    next_lapse_at: UnixSeconds | None
    sold_out_at: int | None
    as_of: int
    largest_obtainable: int | None = None
    """The most units that one bucket has: what a single hold can take. None: not known."""
    fullest_bucket: int | None = None
    """The bucket that has them."""

    @property
    def sold_out(self) -> bool:
        return self.sold_out_at is not None
