"""The types of stock: pools, holds, and the results of a take and of the verbs on a hold."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.ids import ORDER_REF_LENGTH
from chalicelib.instants import UnixSeconds

MAX_EPOCH = 999


@dataclass(frozen=True, slots=True)
class Pool:
    """The units of one drop, or of one discount budget, in buckets 0 to ``bucket_count - 1``.

    The number of buckets never changes: the home of a hold is a hash modulo it.
    """

    pool_id: str
    bucket_count: int

    @property
    def is_drop(self) -> bool:
        """Whether the pool is a drop's. A budget's id has a colon, a drop's id never has one."""
        return ":" not in self.pool_id


@dataclass(frozen=True, slots=True)
class HoldRef:
    """A hold as its purchase stores it. ``bucket`` is where it was placed: a hint that saves a read; home decides."""

    id: str
    bucket: int
    quantity: int
    expires_at: UnixSeconds


@dataclass(frozen=True, slots=True)
class OrderRef:
    """An order as buckets store it: its short reference (9 characters) and its epoch, written in 3 digits.

    The epoch is a fencing token: an order raises it whenever it asks for its units again. The width is fixed, so that
    references of one order compare as their epochs do, also inside DynamoDB.
    """

    order_ref: str
    epoch: int

    def __post_init__(self) -> None:
        if len(self.order_ref) != ORDER_REF_LENGTH or not 0 <= self.epoch <= MAX_EPOCH:
            raise ValueError(
                f"an order reference has {ORDER_REF_LENGTH} characters and an epoch to {MAX_EPOCH}: {self!r}"
            )

    def __str__(self) -> str:
        return f"{self.order_ref}{self.epoch:03d}"


# Results of a take.


@dataclass(frozen=True, slots=True)
class Taken:
    """The units are in this hold, by this write or an earlier one (``replay``). ``committed``: already an order's."""

    hold: HoldRef
    replay: bool = False
    committed: bool = False


@dataclass(frozen=True, slots=True)
class InsufficientUnits:
    """No bucket has that many units. ``available`` is the largest quantity that one write could have had."""

    available: int


@dataclass(frozen=True, slots=True)
class SoldOut:
    """Every unit of the pool is committed. Final."""


@dataclass(frozen=True, slots=True)
class AllHeld:
    """Every unit is committed or held. From ``next_lapse_at`` on, a take can reclaim the hold that expires first."""

    next_lapse_at: UnixSeconds


@dataclass(frozen=True, slots=True)
class Busy:
    """Not decided within the bounded number of probes. Retry after ``retry_after_ms``, which differs by hold id."""

    retry_after_ms: int


TakeResult = Taken | InsufficientUnits | SoldOut | AllHeld | Busy


# Results of a commit, and of a return to a hold.


@dataclass(frozen=True, slots=True)
class Committed:
    """The order has ``quantity`` units at this epoch, by this write or an earlier one."""

    quantity: int


@dataclass(frozen=True, slots=True)
class RevertedToHold:
    """The order keeps the units until ``expires_at``. Then the hold expires by itself."""

    expires_at: UnixSeconds


@dataclass(frozen=True, slots=True)
class HoldGone:
    """The hold has no units any more: they were released, or another buyer reclaimed them after the hold expired."""


@dataclass(frozen=True, slots=True)
class StaleEpoch:
    """The hold is at a later epoch of the order, or this epoch already committed or reverted it otherwise."""


CommitResult = Committed | HoldGone | StaleEpoch
RevertToHoldResult = RevertedToHold | HoldGone | StaleEpoch


@dataclass(frozen=True, slots=True)
class HoldStatus:
    """The entry of a hold with units. ``order`` is an :class:`OrderRef` as text. No ``expires_at``: committed."""

    bucket: int
    quantity: int
    expires_at: UnixSeconds | None
    order: str | None

    @property
    def order_ref(self) -> str | None:
        """The short reference of the order, without its epoch; None without an order."""
        return None if self.order is None else self.order[:ORDER_REF_LENGTH]

    def is_committed_to(self, order: OrderRef) -> bool:
        """Return whether the units are committed to the order at its epoch."""
        return self.expires_at is None and self.order == str(order)


@dataclass(frozen=True, slots=True)
class Summary:
    """The live summary of a pool, derived from its buckets, never incremented: units available, held and sold.

    ``available`` includes the units of expired holds, as the next take reclaims them. ``open_buckets`` are the numbers
    of buckets with available units. ``as_of`` is the instant (ms) before the first bucket was read.
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
    """The most units that one write can have, so the largest hold that can be placed. None: not known."""
    fullest_bucket: int | None = None
    """The bucket that has ``largest_obtainable`` units."""

    @property
    def sold_out(self) -> bool:
        return self.sold_out_at is not None
