"""Models of discounts: codes and automatic discounts, and their budgets, which are pools of the stock room."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict

from chalicelib.instants import Instant, UnixSeconds
from chalicelib.schema import CurrencyCode, FrozenModel, Id
from chalicelib.stock import HoldRef, Pool, Summary

_CODE = re.compile(r"[A-Z0-9][A-Z0-9_.-]{0,31}")
_BUDGET = re.compile(r"offer:[A-Z0-9_.-]+:(?:uses|money):([1-9][0-9]{0,5})")
MAX_CODE_LENGTH: Final = 64
"""Characters of a code that a buyer may send. A code of the shop has 32 at most."""


def normalise_code(text: str) -> str | None:
    """Return a code in its stored form, in capitals; None for a text that can be no code.

    UCP wants codes to match in any case.
    """
    code = text.strip().upper() if len(text) <= MAX_CODE_LENGTH else ""
    return code if _CODE.fullmatch(code) else None


def limit_key(code: str) -> str:
    """Return the key of a code's limit per buyer. Its colon keeps it apart from the ids of drops."""
    return f"offer:{code}"


def budget_pool(pool_id: str) -> Pool | None:
    """Return the pool of a budget from its id, such as ``offer:TEN:uses:5``; None for the id of a drop."""
    match = _BUDGET.fullmatch(pool_id)
    return Pool(pool_id, int(match[1])) if match else None


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that all orders may take of a discount: ``size`` uses, or minor units of money.

    ``usual`` is the quantity of one usual use. A budget is a pool of ``bucket_count`` buckets.
    """

    code: str
    is_money: bool
    bucket_count: int
    size: int
    usual: int

    @property
    def name(self) -> str:
        """The name of this budget among the discount's budgets: ``uses:5``."""
        return f"{'money' if self.is_money else 'uses'}:{self.bucket_count}"

    @property
    def pool(self) -> Pool:
        """The pool of the budget. Its id, such as ``offer:TEN:uses:5``, can be no drop's."""
        return Pool(f"{limit_key(self.code)}:{self.name}", self.bucket_count)

    def quantity_for(self, amount: int) -> int:
        """Return what a use that takes off ``amount`` consumes."""
        return amount if self.is_money else 1


def usual_money_of(largest_use: int) -> int:
    """Return the usual quantity of a money budget: a quarter of the most that one use takes.

    A bucket has room for six uses of the most, or for many small ones.
    """
    return -(-largest_use // 4)


class Discount(FrozenModel):
    """A code, or an automatic discount on the purchases of a show. Amounts are minor units of ``currency``.

    It takes off ``percent_bps`` basis points, at most ``max_amount``, or it takes off ``amount``. It is valid in
    ``[starts_at, ends_at)``.
    """

    code: str
    title: str
    show_id: Id | None = None
    drop_ids: tuple[Id, ...] = ()
    """The drops that it is for; empty: all."""
    automatic: bool = False
    percent_bps: int | None = None
    amount: int | None = None
    max_amount: int | None = None
    minimum_subtotal: int | None = None
    currency: CurrencyCode | None = None
    """The currency of all its amounts; None without amounts."""
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    limit_per_buyer: int | None = None
    budget_uses: int | None = None
    budget_amount: int | None = None
    priority: int = 100
    """Discounts with lower priority apply first."""
    combinable: bool = False
    """Whether it may apply beside other combinable discounts."""
    uses_bucket_count: int = 0
    money_bucket_count: int = 0
    """Buckets of each budget, fixed at creation."""

    @property
    def usual_money(self) -> int:
        """The usual quantity of its money budget."""
        return usual_money_of(self.amount or self.max_amount or 1)

    @property
    def budgets(self) -> tuple[Budget, ...]:
        """Its budgets. Each costs an order two write units: one to hold a share, one to consume it."""
        budgets = []
        if self.budget_uses is not None:
            budgets.append(Budget(self.code, False, self.uses_bucket_count, self.budget_uses, 1))
        if self.budget_amount is not None:
            budgets.append(Budget(self.code, True, self.money_bucket_count, self.budget_amount, self.usual_money))
        return tuple(budgets)


@dataclass(frozen=True, slots=True)
class ActiveDiscount:
    """A discount and the summaries of its budgets, in their order. Both are at most one second old."""

    discount: Discount
    summaries: tuple[Summary | None, ...] = ()

    @property
    def used_up(self) -> bool:
        """Whether a budget has nothing left, as far as its summary is known."""
        return any(summary is not None and summary.available <= 0 for summary in self.summaries)


class RejectionReason(StrEnum):
    """Why a code does not apply."""

    UNKNOWN = "unknown"
    NOT_STARTED = "not_started"
    ENDED = "ended"
    USED_UP = "used_up"
    """A budget has nothing left, or too little."""
    LIMIT = "limit_reached"
    """The buyer has reached the limit per buyer."""
    OTHER_ITEMS = "other_goods"
    BELOW_MINIMUM = "below_minimum"
    NOT_COMBINABLE = "not_combinable"


PERMANENT_REJECTIONS: Final = frozenset({RejectionReason.USED_UP, RejectionReason.LIMIT})
"""Rejections that a completion found. They last until the buyer updates the purchase, or each completion of it would
change the total again."""


class _PurchasePart(BaseModel):
    """A part of a purchase."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class BudgetHold(_PurchasePart):
    """An order's share of a budget: held while the order is placed, then consumed."""

    budget: str
    """The budget's name with its number of buckets: ``uses:5``."""
    hold: HoldRef


class AppliedDiscount(_PurchasePart):
    """A discount on a purchase. ``parts`` are the minor units taken off each line, in the order of the lines."""

    code: str
    title: str
    parts: tuple[int, ...]
    automatic: bool = False
    priority: int = 100
    budget_holds: tuple[BudgetHold, ...] = ()
    """The holds of an order, from placing on. A failed attempt releases them."""

    @property
    def amount(self) -> int:
        """The sum of its parts."""
        return sum(self.parts)

    @property
    def holds_with_pools(self) -> list[tuple[Pool, HoldRef]]:
        """Its budget holds, each with the pool of its budget."""
        holds = [(budget_pool(f"{limit_key(self.code)}:{share.budget}"), share.hold) for share in self.budget_holds]
        return [(pool, hold) for pool, hold in holds if pool is not None]


@dataclass(frozen=True, slots=True)
class BudgetState:
    """Uses of a budget, or minor units where ``is_money``, counted by strong reads of every bucket."""

    is_money: bool
    size: int
    available: int
    reserved: int
    used: int


BUDGET_HOLD_SECONDS: Final[UnixSeconds] = 300
"""How long a share of a budget is held for an order that is being placed. Once consumed it has no end."""
