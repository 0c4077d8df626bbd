"""The words of discounts: codes and automatic offers, and their budgets, which are laid out as stock is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

from chalicelib.instants import Instant, UnixSeconds
from chalicelib.schema import Currency, FrozenModel, Id
from chalicelib.stock import HoldRef, Pool, Summary

_CODE = re.compile(r"[A-Z0-9][A-Z0-9_.-]{0,31}")
_BUDGET = re.compile(r"offer:[A-Z0-9_.-]+:(?:uses|money):([1-9][0-9]{0,5})")
MAX_CODE_LENGTH: Final = 64
"""Characters of a code that a buyer may send; a real one has 32 at most."""


def normalise_code(text: str) -> str | None:
    """A code as it is kept, whatever its case (UCP: codes match case-insensitively); None for what can be no code."""
    code = text.strip().upper() if len(text) <= MAX_CODE_LENGTH else ""
    return code if _CODE.fullmatch(code) else None


def limit_key(code: str) -> str:
    """What a limit per buyer counts a code under. No drop can have this id, for its colon."""
    return f"offer:{code}"


def budget_pool(name: str) -> Pool | None:
    """Where a budget of that name stands in the stock table; None for the name of a drop."""
    found = _BUDGET.fullmatch(name)
    return Pool(name, int(found[1])) if found else None


@dataclass(frozen=True, slots=True)
class Budget:
    """What a discount may be used for in all: ``size`` uses, or minor units of money. ``usual``: of one use.

    It stands in the stock table, in ``homes`` buckets, under a name that no drop can have: ``offer:TEN:uses:5``.
    """

    code: str
    is_money: bool
    bucket_count: int
    size: int
    usual: int

    @property
    def name(self) -> str:
        """Which of the discount's budgets it is: ``uses:5``."""
        return f"{'money' if self.is_money else 'uses'}:{self.bucket_count}"

    @property
    def pool(self) -> Pool:
        """Where it stands."""
        return Pool(f"{limit_key(self.code)}:{self.name}", self.bucket_count)

    def quantity_for(self, amount: int) -> int:
        """What one use with this amount takes of it."""
        return amount if self.is_money else 1


class Discount(FrozenModel):
    """A code, or an offer that applies by itself to a show's purchases. Money in minor units of ``currency``.

    It takes off ``percent_bps`` basis points (of money, ``max_amount`` at most) or ``amount``. It is valid in
    ``[starts_at, ends_at)``.
    """

    code: str
    title: str
    show_id: Id | None = None
    drop_ids: tuple[Id, ...] = ()
    """The drops it is for; empty: all."""
    automatic: bool = False
    percent_bps: int | None = None
    amount: int | None = None
    max_amount: int | None = None
    minimum_subtotal: int | None = None
    currency: Currency | None = None
    """Of all its amounts; None where it has none."""
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    limit_per_buyer: int | None = None
    budget_uses: int | None = None
    budget_amount: int | None = None
    priority: int = 100
    """Lower ones apply first."""
    combinable: bool = False
    """Whether it applies beside others that are combinable, too."""
    uses_bucket_count: int = 0
    money_bucket_count: int = 0
    """Buckets of each budget, fixed when it was laid out."""

    @property
    def usual_money(self) -> int:
        """A quarter of the most that one use takes: a bucket has room for six of those, and for many small ones."""
        return -(-(self.amount or self.max_amount or 1) // 4)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """Its budgets. Each costs an order two write units: one reserves a share, one consumes it."""
        found = []
        if self.budget_uses is not None:
            found.append(Budget(self.code, False, self.uses_bucket_count, self.budget_uses, 1))
        if self.budget_amount is not None:
            found.append(Budget(self.code, True, self.money_bucket_count, self.budget_amount, self.usual_money))
        return tuple(found)


@dataclass(frozen=True, slots=True)
class ActiveDiscount:
    """A discount, and how its budgets stand, in their order; both at most one second old."""

    discount: Discount
    summaries: tuple[Summary | None, ...] = ()

    @property
    def used_up(self) -> bool:
        """Whether nothing of a budget is left, as far as is known."""
        return any(summary is not None and summary.available <= 0 for summary in self.summaries)


class RejectionReason(StrEnum):
    """Why a code does not apply."""

    UNKNOWN = "unknown"
    NOT_STARTED = "not_started"
    ENDED = "ended"
    USED_UP = "used_up"
    """Nothing, or too little, is left of a budget."""
    LIMIT = "limit_reached"
    """The buyer has used it as often as one may."""
    OTHER_GOODS = "other_goods"
    BELOW_MINIMUM = "below_minimum"
    NOT_COMBINABLE = "not_combinable"


PERMANENT_REJECTIONS: Final = frozenset({RejectionReason.USED_UP, RejectionReason.LIMIT})
"""What completing found out stays so until the purchase is updated: else each try would begin with another total."""


class _PurchasePart(BaseModel):
    """A part of a purchase."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BudgetHold(_PurchasePart):
    """The share of a budget that an order has: reserved while it is being placed, then consumed."""

    budget: str
    """Which of the discount's budgets, and in how many buckets it stands: ``uses:5``."""
    hold: HoldRef


class AppliedDiscount(_PurchasePart):
    """A discount as it applies to a purchase. ``parts``: minor units taken off each of its lines, in their order."""

    code: str
    title: str
    parts: tuple[int, ...]
    automatic: bool = False
    priority: int = 100
    budget_holds: tuple[BudgetHold, ...] = ()
    """Of an order alone, from the freeze on: an attempt that ends returns them."""

    @property
    def amount(self) -> int:
        """What it takes off in all."""
        return sum(self.parts)

    @property
    def holds_with_pools(self) -> list[tuple[Pool, HoldRef]]:
        """Its shares of budgets, with where those stand."""
        places = [(budget_pool(f"{limit_key(self.code)}:{one.budget}"), one.hold) for one in self.budget_holds]
        return [(pool, hold) for pool, hold in places if pool is not None]


@dataclass(frozen=True, slots=True)
class BudgetState:
    """How a budget stands, by strong reads of every bucket: ``money`` in minor units, else uses."""

    is_money: bool
    size: int
    available: int
    reserved: int
    used: int


BUDGET_HOLD_SECONDS: Final[UnixSeconds] = 300
"""How long a share of a budget is reserved for an order about to be placed; sold to it, it has no end."""
