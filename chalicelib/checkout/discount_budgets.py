"""Budgets of discounts: held before the order is placed, committed with its units, released when an attempt fails.

A budget is a pool of stock and a use is a hold in it, so all promises about holds apply to uses. One request takes a
use once, there are never more uses than the budget has, and a use that nobody commits expires.
"""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.checkout.lines import LineDraft
from chalicelib.checkout.purchase_limits import count_discount_use
from chalicelib.discounts import BUDGET_HOLD_SECONDS, AppliedDiscount, Budget, BudgetHold, RejectionReason
from chalicelib.instants import SECOND, Instant, UnixSeconds
from chalicelib.purchase import CheckoutContext, Message, Purchase, order_ref_of, revert_to_hold
from chalicelib.stock import Busy, Summary, Taken, hold_id


@dataclass(frozen=True, slots=True)
class BudgetsHeld:
    """Every discount has a hold in each of its budgets."""

    discounts: tuple[AppliedDiscount, ...]


@dataclass(frozen=True, slots=True)
class DiscountUnavailable:
    """A discount cannot be had: it is gone, its budget is used up, or the buyer has used it as often as allowed."""

    code: str
    reason: RejectionReason


def hold_budgets(
    context: CheckoutContext, placed: Purchase, draft: LineDraft, now: Instant
) -> BudgetsHeld | DiscountUnavailable | Message:
    """Hold what the purchase's discounts use of their budgets. Returns the message ``busy`` when a budget is contended.

    Costs 1 WCU a budget, and 1 WCU for a limit per buyer (2 where the buyer used the discount before). The draft
    records each new hold; after a crash the holds expire.
    """
    discounts = []
    for applied in placed.discounts:
        offered = context.discounts.find(applied.code, now)
        if offered is None:
            return DiscountUnavailable(applied.code, RejectionReason.UNKNOWN)
        if not count_discount_use(context, placed, offered.discount, now):
            return DiscountUnavailable(applied.code, RejectionReason.LIMIT)
        holds = [
            _hold_budget(context, placed, applied, budget, summary, draft, now)
            for budget, summary in zip(offered.discount.budgets, offered.summaries, strict=True)
        ]
        for hold in holds:
            if isinstance(hold, Busy):
                content = "Many buyers use this discount at this moment. Try again shortly."
                return Message("busy", content, extra={"retry_after_ms": hold.retry_after_ms})
        if None in holds:
            return DiscountUnavailable(applied.code, RejectionReason.USED_UP)
        discounts.append(applied.model_copy(update={"budget_holds": tuple(holds)}))
    return BudgetsHeld(tuple(discounts))


def _hold_budget(
    context: CheckoutContext,
    placed: Purchase,
    discount: AppliedDiscount,
    budget: Budget,
    summary: Summary | None,
    draft: LineDraft,
    now: Instant,
) -> BudgetHold | Busy | None:
    """Hold all that a discount uses of one budget, or nothing. A duplicate request finds the hold of the first one.

    The summary may not show that hold yet, so a refused take reads the bucket.
    """
    pool, quantity = budget.pool, budget.quantity_for(discount.amount)
    name = hold_id(placed.id, pool.pool_id, placed.version, quantity)
    answer = context.stock.take(pool, name, quantity, now // SECOND + BUDGET_HOLD_SECONDS, summary, now=now)
    found = answer if isinstance(answer, Taken) else context.stock.find_hold(pool, name)
    if found is None:
        return answer if isinstance(answer, Busy) else None
    if not found.committed:
        draft.new_holds.append((pool, found.hold))
    return BudgetHold(budget=budget.name, hold=found.hold)


def revert_budgets_to_hold(
    context: CheckoutContext, purchase: Purchase, expires_at: UnixSeconds
) -> tuple[AppliedDiscount, ...] | None:
    """Turn committed uses back into holds of the purchase. None when one is gone. Costs 1 WCU a budget."""
    all_reverted, discounts = True, []
    for applied in purchase.discounts:
        holds = revert_to_hold(context.stock, order_ref_of(purchase), applied.holds_with_pools, expires_at)
        reverted = tuple(
            BudgetHold(budget=budget_hold.budget, hold=hold)
            for budget_hold, hold in zip(applied.budget_holds, holds, strict=True)
            if hold is not None
        )
        all_reverted = all_reverted and len(reverted) == len(holds)
        discounts.append(applied.model_copy(update={"budget_holds": reverted}))
    return tuple(discounts) if all_reverted else None


def release_budgets(context: CheckoutContext, purchase: Purchase, now: Instant) -> tuple[AppliedDiscount, ...]:
    """Revert every use to a hold that ends this second, and return the discounts without budget holds.

    Reverting, in place of releasing, refuses a late commit at this epoch. Other buyers can take the ended holds.
    """
    revert_budgets_to_hold(context, purchase, now // SECOND)
    return tuple(applied.model_copy(update={"budget_holds": ()}) for applied in purchase.discounts)
