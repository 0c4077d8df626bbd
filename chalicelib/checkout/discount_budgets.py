"""Shares of budgets: reserved before the freeze, consumed with the goods, returned when an attempt ends without money.

A budget is laid out as stock is, a use is a hold in it, and all that is true of holds is true of uses: taken at most
once by the same request, never more than there are, lapsing by themselves.
"""

from __future__ import annotations

from chalicelib.checkout.lines import LineDraft
from chalicelib.checkout.purchase_limits import count_discount_use
from chalicelib.discounts import BUDGET_HOLD_SECONDS, AppliedDiscount, Budget, BudgetHold, RejectionReason
from chalicelib.instants import SECOND, Instant, UnixSeconds
from chalicelib.purchase import CheckoutContext, Message, Purchase, order_ref_of, revert_to_hold
from chalicelib.stock import Busy, Summary, Taken, hold_id


def hold_budgets(
    context: CheckoutContext, placed: Purchase, draft: LineDraft, now: Instant
) -> tuple[AppliedDiscount, ...] | dict[str, str] | Message:
    """The purchase's discounts with a share of each of their budgets; or why, by code, there is none; or ``busy``.

    Costs 1 WCU a budget, and 1 (2 where the buyer used it before) for a limit per buyer. What is taken is noted in the
    basket; dying afterwards, it lapses.
    """
    discounts = []
    for one in placed.discounts:
        offered = context.discounts.find(one.code, now)
        if offered is None:
            return {one.code: RejectionReason.UNKNOWN}
        if not count_discount_use(context, placed, offered.discount, now):
            return {one.code: RejectionReason.LIMIT}
        shares = [
            _hold_budget(context, placed, one, budget, summary, draft, now)
            for budget, summary in zip(offered.discount.budgets, offered.summaries, strict=True)
        ]
        for share in shares:
            if isinstance(share, Busy):
                extra = {"retry_after_ms": share.retry_after_ms}
                return Message("busy", "Too many use this discount at once; try again in a moment.", extra=extra)
        if None in shares:
            return {one.code: RejectionReason.USED_UP}
        discounts.append(one.model_copy(update={"budget_holds": tuple(shares)}))
    return tuple(discounts)


def _hold_budget(
    context: CheckoutContext,
    placed: Purchase,
    discount: AppliedDiscount,
    budget: Budget,
    summary: Summary | None,
    draft: LineDraft,
    now: Instant,
) -> BudgetHold | Busy | None:
    """The whole share, or nothing. A twin of this request has the same hold, which its summary may miss."""
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
    """The purchase's discounts with their shares held again, at its epoch; None when one is gone. 1 WCU each."""
    all_reverted, discounts = True, []
    for discount in purchase.discounts:
        holds = revert_to_hold(context.stock, order_ref_of(purchase), discount.holds_with_pools, expires_at)
        kept = tuple(
            BudgetHold(budget=budget_hold.budget, hold=hold)
            for budget_hold, hold in zip(discount.budget_holds, holds, strict=True)
            if hold is not None
        )
        all_reverted = all_reverted and len(kept) == len(holds)
        discounts.append(discount.model_copy(update={"budget_holds": kept}))
    return tuple(discounts) if all_reverted else None


def release_budgets(context: CheckoutContext, purchase: Purchase, now: Instant) -> tuple[AppliedDiscount, ...]:
    """The purchase's discounts without shares: these are held until this very second, so that others may take them,
    and a late sell at this epoch is refused."""
    revert_budgets_to_hold(context, purchase, now // SECOND)
    return tuple(one.model_copy(update={"budget_holds": ()}) for one in purchase.discounts)
