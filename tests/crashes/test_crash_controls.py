"""Controls of the crash enumeration: wrong variants that are right while no process dies. Each must be caught."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

from chalicelib.capture import fail_attempt, process_payment, take_payment
from chalicelib.capture.attempt import Failed, Paid
from chalicelib.capture.commit_stock import StockCommitted
from chalicelib.checkout import complete, discount_budgets
from chalicelib.discounts import AppliedDiscount
from chalicelib.finance import Exporter
from chalicelib.finance.export import MANIFEST_FILE
from chalicelib.payments import ProviderRefund, RefundFailed
from chalicelib.purchase import Purchase, Refund
from chalicelib.purchase.context import CheckoutContext
from chalicelib.purchase.holds import holds_of, order_ref_of
from chalicelib.refunds import finish_refund
from chalicelib.stock import expressions
from tests.crashes.crash_runner import CrashEnumeration
from tests.crashes.test_crashes import in_memory_worlds_of, sequential_reads_without_logs
from tests.crashes.use_cases import USE_CASES

__all__ = ["sequential_reads_without_logs"]

Control = Callable[[pytest.MonkeyPatch], None]


def stock_after_money(patch: pytest.MonkeyPatch) -> None:
    """Commit units after the purchase is paid."""
    real_mark_paid = take_payment.mark_paid

    def then_commit(context: CheckoutContext, purchase: Purchase, *others: Any) -> Paid:
        outcome = real_mark_paid(context, purchase, *others)
        for pool, hold in holds_of(purchase):
            context.stock.commit(pool, hold, hold.quantity, order_ref_of(purchase))
        return outcome

    patch.setattr(complete, "_commit_stock", lambda context, placed: None)
    for module in (process_payment, take_payment):
        patch.setattr(module, "ensure_stock_committed", lambda context, purchase, now: StockCommitted(purchase))
    patch.setattr(take_payment, "mark_paid", then_commit)


def plans_without_numbers(patch: pytest.MonkeyPatch) -> None:
    """Add units without the number of their plan, so that a repeat adds them again."""
    numbered = expressions.add_units

    def unnumbered(plan: int, units: int) -> expressions.Write:
        update = numbered(plan, units).update.removesuffix(f", {expressions.PLAN} = :plan")
        return expressions.Write(update, "attribute_exists(pk)", {":units": units})

    patch.setattr(expressions, "add_units", unnumbered)


def refunds_without_ids(patch: pytest.MonkeyPatch) -> None:
    """Give each refund call to the provider a new id."""
    numbers = count()

    def refund_with_new_id(
        context: CheckoutContext, purchase: Purchase, one: Refund, now: int
    ) -> ProviderRefund | RefundFailed:
        assert purchase.payment is not None
        assert purchase.payment.provider_id is not None
        refund_id = f"{purchase.id}-{next(numbers)}"
        return context.gateway.refund(purchase.payment.provider_id, refund_id=refund_id, amount=one.amount, now=now)

    patch.setattr(finish_refund, "_ask_provider", refund_with_new_id)


def budgets_released_last(patch: pytest.MonkeyPatch) -> None:
    """End an attempt first, and release its budget holds afterwards."""
    end = fail_attempt.fail_attempt

    def none_yet(context: CheckoutContext, purchase: Purchase, now: int) -> tuple[AppliedDiscount, ...]:
        return tuple(one.model_copy(update={"budget_holds": ()}) for one in purchase.discounts)

    def then_release(
        context: CheckoutContext, purchase: Purchase, failure: str, provider_id: str | None, now: int, **more: Any
    ) -> Failed:
        failed = end(context, purchase, failure, provider_id, now, **more)
        discount_budgets.release_budgets(context, purchase, now)
        return failed

    patch.setattr(fail_attempt, "release_budgets", none_yet)
    patch.setattr(fail_attempt, "fail_attempt", then_release)
    patch.setattr(process_payment, "fail_attempt", then_release)


def manifest_first(patch: pytest.MonkeyPatch) -> None:
    """Publish the manifest of a day before its files."""
    publish = Exporter.publish

    def too_early(self: Exporter, stage: str, prefix: str) -> dict[str, Any]:
        self.object_store.put(prefix + MANIFEST_FILE, self.object_store.read(stage + MANIFEST_FILE) or b"")
        return publish(self, stage, prefix)

    patch.setattr(Exporter, "publish", too_early)


@pytest.mark.parametrize(
    ("wrong", "name"),
    [
        (stock_after_money, "capture: ok"),
        (plans_without_numbers, "add stock to three buckets"),
        (refunds_without_ids, "refund"),
        (budgets_released_last, "discount: capture: declined"),
        (manifest_first, "close of day"),
    ],
)
def test_the_enumeration_catches_a_fault_that_only_crashes_show(
    wrong: Control, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = next(case for case in USE_CASES if case.name == name)
    wrong(monkeypatch)
    enumeration = CrashEnumeration(case, in_memory_worlds_of(case), check_every_write=False, sample_every=5)
    enumeration.run_without_faults()
    assert enumeration.explore().violations != []


@pytest.mark.parametrize(("wrong", "name"), [(stock_after_money, "capture: ok"), (manifest_first, "close of day")])
def test_checks_after_every_write_catch_a_fault_without_a_crash(
    wrong: Control, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = next(case for case in USE_CASES if case.name == name)
    wrong(monkeypatch)
    with pytest.raises(AssertionError, match=r"without its stock|does not describe"):
        CrashEnumeration(case, in_memory_worlds_of(case)).run_without_faults()
