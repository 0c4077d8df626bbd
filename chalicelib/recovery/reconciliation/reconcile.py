"""Reconcile orders with the provider by what moved: go on with what lost messages left open, and report the rest.

A comparison reads every purchase once, with its movements. It may take several runs of a function: its state is stored,
and each run goes on where the one before stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from chalicelib.errors import Conflict, LivedropError
from chalicelib.ids import order_id
from chalicelib.instants import HOUR, Clock, Instant
from chalicelib.payments import OutcomeUnknownError, ProviderBusyError
from chalicelib.purchase import (
    CheckoutContext,
    EnqueueCapture,
    PurchaseMovements,
    PurchaseState,
    scan_with_movements,
)
from chalicelib.recovery.reconciliation.clearing import (
    ClearingRow,
    add_movement,
    balance_at,
    clearing_of,
    statement,
)
from chalicelib.recovery.reconciliation.compare_order import (
    AttemptToProcess,
    DifferenceKind,
    DisputeToRecord,
    Finding,
    PaymentDifference,
    Period,
    RefundToRecord,
    compare_order,
    dispute_is_settled,
)
from chalicelib.recovery.reconciliation.follow_balance import (
    READ_AGAIN,
    FollowReport,
    TimeBudget,
    follow_balance,
    read_again,
)
from chalicelib.recovery.reconciliation.store import Comparison, ComparisonStore, orphans_since
from chalicelib.refunds import record_dispute, record_provider_refund
from chalicelib.telemetry import count, logger, report_broken_invariant

PERIOD: Final[Instant] = 26 * HOUR
"""A scheduled run begins a new comparison when the latest one began at least this long ago."""
_LOG_EVERY: Final = 10_000


@dataclass(frozen=True, slots=True)
class ReconciliationReport:
    """How far the follower and the comparison came. ``statement`` is None until a comparison is complete."""

    followed: FollowReport
    comparison: Comparison | None
    statement: list[ClearingRow] | None = None

    @property
    def complete(self) -> bool:
        """Return whether all movements are stored, and the latest comparison has read every order."""
        has_finished = self.comparison is not None and self.comparison.finished_at is not None
        return self.followed.complete and has_finished


def reconcile_payments(
    context: CheckoutContext,
    enqueue_capture: EnqueueCapture,
    clock: Clock,
    time_is_up: TimeBudget,
    *,
    begin: bool = False,
    look_back: Instant = READ_AGAIN,
) -> ReconciliationReport:
    """Follow the provider's balance, then go on with the comparison of orders until the time is up.

    Begins a new comparison if the latest is older than :data:`PERIOD`, or with ``begin``. It first reads the time
    ``look_back`` before the cursor again: a movement may have been listed long after its creation. Safe to repeat,
    at once, and beside a sale. Costs the provider's list. A comparison costs a scan of the commerce table (1 RCU each
    4 KB), the list of what it reads again, and 1 WCU for each movement of that list.
    """
    now = clock()
    followed = follow_balance(context.movements, context.gateway, now, time_is_up)
    if not followed.complete:
        count("balance_behind")
    store = ComparisonStore(context.purchases.dynamodb, context.purchases.commerce_table)
    comparison = store.latest(context.gateway.name)
    is_due = comparison is None or (comparison.finished_at is not None and now - comparison.started_at >= PERIOD)
    if (begin or is_due) and followed.complete:
        since = orphans_since(comparison, now)
        comparison = Comparison(context.gateway.name, followed.since, followed.until, now, orphans_since=since)
        comparison.reading_again_from = max(followed.since, followed.until - look_back)
    if comparison is None or comparison.finished_at is not None or time_is_up():
        return ReconciliationReport(followed, comparison)
    if comparison.reading_again_from is not None:
        followed = _read_again(context, comparison, followed, time_is_up)
    run = _Run(context, enqueue_capture, comparison, now)
    saved = _go_on(run, store, now, time_is_up)
    if not saved:  # another run went on from the same state: what it stored counts
        return ReconciliationReport(followed, store.latest(comparison.provider))
    rows = _statement(context, store, comparison, clock) if comparison.finished_at is not None else None
    return ReconciliationReport(followed, comparison, rows)


def _read_again(
    context: CheckoutContext, comparison: Comparison, followed: FollowReport, time_is_up: TimeBudget
) -> FollowReport:
    """Read the days before the cursor again until the time is up. Return the follower's report with what it stored."""
    since = comparison.reading_again_from or comparison.since
    again = read_again(context.movements, context.gateway, since, comparison.until, time_is_up)
    comparison.reading_again_from = None if again.complete else again.until
    if again.stored:
        logger.warning("movements were listed late", extra={"stored": again.stored, "since": since})
    problem = followed.provider_problem or again.provider_problem
    return replace(followed, stored=followed.stored + again.stored, provider_problem=problem)


def _go_on(run: _Run, store: ComparisonStore, now: Instant, time_is_up: TimeBudget) -> bool:
    """Compare until the time is up, and store how far it came. False: another run has stored a later state."""
    comparison = run.comparison
    if comparison.reading_again_from is None:
        for group in scan_with_movements(run.context.purchases, comparison.position):
            if time_is_up():
                break
            run.compare(group)
        else:
            comparison.finished_at = now
    if not store.save(comparison):
        return False
    comparison.saves += 1
    _log_progress("payments compared", comparison)
    if comparison.finished_at is not None and comparison.differences_count:
        count("payment_differences", comparison.differences_count)
    return True


def _statement(
    context: CheckoutContext, store: ComparisonStore, comparison: Comparison, clock: Clock
) -> list[ClearingRow] | None:
    """Return the clearing statement of a complete comparison; None when the provider does not say its balance now."""
    try:
        balance = balance_at(context.gateway, comparison.until, clock)
    except (OutcomeUnknownError, ProviderBusyError) as error:
        logger.warning("provider's balance not readable", extra={"reason": str(error)})
        return None
    if balance is None:
        logger.warning("provider's balance keeps moving")
        return None
    opening = store.opening(comparison.provider)
    if opening is None:
        clearing = clearing_of(comparison.sums)
        before = {
            currency: balance.get(currency, 0) - clearing.get(currency, 0)
            for currency in balance.keys() | clearing.keys()
        }
        opening = store.set_opening(comparison.provider, before)
    rows = statement(comparison.sums, opening, balance)
    for row in rows:
        logger.info("clearing", extra={"provider": comparison.provider, **asdict(row), "difference": row.difference})
    differing = [row for row in rows if row.difference]
    if differing:
        count("clearing_differences", len(differing))
        logger.error("clearing differs from the provider's balance", extra={"rows": [asdict(row) for row in differing]})
    return rows


@dataclass(slots=True)
class _Run:
    """One run of a comparison: it compares group by group, and keeps the comparison's counts."""

    context: CheckoutContext
    enqueue_capture: EnqueueCapture
    comparison: Comparison
    now: Instant
    period: Period = field(init=False)

    def __post_init__(self) -> None:
        self.period = Period(self.comparison.provider, self.comparison.since, self.comparison.until)

    def compare(self, group: PurchaseMovements) -> None:
        """Compare one purchase with its movements, or count one movement of the account."""
        comparison = self.comparison
        for movement in group.movements:
            comparison.movements += 1
            comparison.foreign += movement.is_foreign
            if movement.provider == comparison.provider and movement.created_at < comparison.until:
                add_movement(comparison.sums, movement)
        if group.purchase is not None:
            comparison.purchases += 1
            comparison.orders += group.purchase.state is PurchaseState.PAID
        findings: list[Finding] = []
        with self._counting_failure(group.position):
            findings += compare_order(
                group.purchase, group.movements, self.period, self.now, orphans_since=self.comparison.orphans_since
            )
        for finding in findings:
            with self._counting_failure(finding):
                self._report(self._settle(finding))
        comparison.position = group.position
        if comparison.purchases and comparison.purchases % _LOG_EVERY == 0 and group.purchase is not None:
            _log_progress("comparing payments", comparison)

    @contextmanager
    def _counting_failure(self, subject: object) -> Iterator[None]:
        """Count and log any error of one order, so that the others are compared."""
        try:
            yield
        except Exception as error:
            self.comparison.failed += 1
            report_broken_invariant(error)
            is_expected = isinstance(error, LivedropError | OutcomeUnknownError | ProviderBusyError)
            extra = {"subject": str(subject), "reason": str(error)}
            logger.warning("order not compared", extra=extra, exc_info=None if is_expected else error)

    def _report(self, differences: Iterable[PaymentDifference]) -> None:
        for difference in differences:
            self.comparison.add_difference({**asdict(difference), "kind": difference.kind.value})
            extra = {name: value for name, value in asdict(difference).items() if name != "kind"}
            logger.error("payment and order differ", extra=extra | {"difference": difference.kind.value})

    def _settle(self, finding: Finding) -> Iterator[PaymentDifference]:
        """Do what a finding asks for; yield the difference that is left."""
        match finding:
            case PaymentDifference():
                yield finding
            case AttemptToProcess():
                self.enqueue_capture(finding.purchase_id, finding.attempt)
                self.comparison.enqueued += 1
            case RefundToRecord() | DisputeToRecord():
                yield from self._record(finding)

    def _record(self, finding: RefundToRecord | DisputeToRecord) -> Iterator[PaymentDifference]:
        try:
            if isinstance(finding, RefundToRecord):
                changed = self._record_refund(finding)
                self.comparison.refunds_recorded += changed
            else:
                changed = record_dispute(self.context, finding.purchase_id, finding.dispute_id, self.now)
                self.comparison.disputes_recorded += changed
        except Conflict as error:
            logger.warning("movement not recorded", extra={"finding": str(finding), "reason": error.code})
            changed = False
        if not changed:
            yield from self._unless_agreed(finding)

    def _record_refund(self, finding: RefundToRecord) -> bool:
        made = self.context.gateway.find_refund(finding.provider_refund_id, now=self.now)
        return made is not None and record_provider_refund(self.context, finding.purchase_id, made, self.now)

    def _unless_agreed(self, finding: RefundToRecord | DisputeToRecord) -> Iterator[PaymentDifference]:
        """Yield a difference unless the order says by now what moved: a webhook may have recorded it meanwhile."""
        purchase = self.context.purchases.read(finding.purchase_id)
        public_id = order_id(finding.purchase_id)
        if isinstance(finding, RefundToRecord):
            refunds = () if purchase is None else purchase.refunds
            known = next((one for one in refunds if one.provider_id == finding.provider_refund_id), None)
            expected, found, subject = known.amount if known else 0, finding.amount, finding.provider_refund_id
            kind = DifferenceKind.REFUND
        else:
            if purchase is not None and not dispute_is_settled(purchase, finding.dispute_id, self.period):
                return
            disputes = () if purchase is None else purchase.disputes
            expected = next((one.withdrawn for one in disputes if one.id == finding.dispute_id), 0)
            found, subject, kind = finding.withdrawn, finding.dispute_id, DifferenceKind.DISPUTE
        if expected != found:
            yield PaymentDifference(kind, public_id, subject, expected, found, finding.currency)


def _log_progress(message: str, comparison: Comparison) -> None:
    extra: dict[str, Any] = {
        "purchases": comparison.purchases,
        "orders": comparison.orders,
        "movements": comparison.movements,
        "enqueued": comparison.enqueued,
        "refunds_recorded": comparison.refunds_recorded,
        "disputes_recorded": comparison.disputes_recorded,
        "failed": comparison.failed,
        "differences": comparison.differences_count,
        "complete": comparison.finished_at is not None,
    }
    logger.info(message, extra=extra)
