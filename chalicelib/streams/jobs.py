"""Jobs of the exports queue, of schedules and of commands: exports, closing days, recovery, audits, reconciliation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from chalicelib import recovery
from chalicelib.errors import LivedropError
from chalicelib.finance import Exporter, Exports
from chalicelib.instants import DAY, Clock, Instant, rfc3339
from chalicelib.purchase import CheckoutContext, EnqueueCapture
from chalicelib.recovery import (
    MAX_DETAIL,
    MAX_READ_AGAIN,
    READ_AGAIN,
    ReconciliationReport,
    build_audit_report,
    repair_stock,
)
from chalicelib.streams.batch import each_message
from chalicelib.streams.messaging import Queue
from chalicelib.telemetry import count, logger, report_broken_invariant


def run_exports(event: Mapping[str, Any], exports: Exports, clock: Clock) -> dict[str, Any]:
    """Make the files of each requested export. SQS redelivers only the runs that failed."""

    def run_export(message: dict[str, Any], _: int) -> None:
        run = exports.run_export(message["date"], message["run_id"], clock)
        if run is None:
            raise LookupError(f"No export run {message['run_id']} of {message['date']} exists.")
        if run.differences:
            count("export_differences", run.differences)
            logger.error("export differs from orders", extra={"run": run.id, "differences": run.differences})

    return each_message(event, "exports", run_export)


def close_days(exports: Exports, clock: Clock) -> dict[str, Any]:
    """Close yesterday and earlier days left open, and return the keys of their manifests."""
    runs = exports.close_due_days(clock)
    differences = sum(run.differences or 0 for run in runs)
    if differences:
        count("export_differences", differences)
    logger.info("days closed", extra={"dates": [run.date for run in runs], "differences": differences})
    return {"closed": [{"date": run.date, "manifest": run.manifest_key} for run in runs], "differences": differences}


def recover_orders(context: CheckoutContext, exporter: Exporter, capture_queue: Queue, now: Instant) -> dict[str, Any]:
    """Finish the work of lost messages: overdue placed purchases, unfinished refunds, missing ledger entries."""
    recovered = asdict(recovery.recover_lost_orders(context, capture_enqueuer(capture_queue), now)) | {
        "entries_posted": exporter.post_missing_entries(now)
    }
    logger.info("orders recovered", extra=recovered)
    return recovered


def audit_drop(
    request: Mapping[str, Any], context: CheckoutContext, capture_queue: Queue, now: Instant
) -> dict[str, Any]:
    """Audit a drop, and with ``repair`` repair it. Return the code and detail of an error instead of raising it.

    ``livedrop audit`` calls this function. An HTTP request has not the time to read every purchase of a big shop.
    """
    lists = {"detail": min(request["detail"], MAX_DETAIL), "from_bucket": request["from_bucket"]}
    try:
        if not request["repair"]:
            return build_audit_report(recovery.audit_drop(context, request["drop_id"], now, _unlimited), **lists)
        found, repair_report = repair_stock(
            context, request["drop_id"], capture_enqueuer(capture_queue), now, _unlimited
        )
    except LivedropError as error:
        report_broken_invariant(error)
        return {"code": error.code, "detail": error.detail}
    return build_audit_report(found, **lists, repair=repair_report)


def reconcile_payments(
    request: Mapping[str, Any], context: CheckoutContext, capture_queue: Queue, clock: Clock, time_limit: Instant
) -> dict[str, Any]:
    """Follow the provider's balance and go on with the comparison of orders, for at most ``time_limit`` milliseconds.

    ``begin`` in the request begins a new comparison, and ``days`` is how many days before it are read again: 2 by
    default, 30 at most. A schedule and ``livedrop payments reconcile`` call this function
    until the report is complete.
    """
    began_at = clock()
    report = recovery.reconcile_payments(
        context,
        capture_enqueuer(capture_queue),
        clock,
        lambda: clock() - began_at >= time_limit,
        begin=request.get("begin", False),
        look_back=min(request["days"] * DAY, MAX_READ_AGAIN) if "days" in request else READ_AGAIN,
    )
    return _reconciliation_report(report)


def _reconciliation_report(report: ReconciliationReport) -> dict[str, Any]:
    """Return a report as JSON: instants as RFC 3339, counts, differences, and the clearing statement."""
    followed, comparison = report.followed, report.comparison
    record: dict[str, Any] = {
        "complete": report.complete,
        "movements_since": rfc3339(followed.since),
        "movements_until": rfc3339(followed.until),
        "movements_complete": followed.complete,
        "movements_stored": followed.stored,
        "provider_available": followed.provider_available,
        "provider_problem": followed.provider_problem,
    }
    if comparison is not None:
        names = (
            "purchases", "orders", "movements", "foreign", "enqueued", "refunds_recorded", "disputes_recorded",
            "failed", "differences_count", "differences",
        )  # fmt: skip
        if comparison.reading_again_from is not None:
            record["reading_again_from"] = rfc3339(comparison.reading_again_from)
        record |= {"began_at": rfc3339(comparison.started_at)} | {name: getattr(comparison, name) for name in names}
    if report.statement is not None:
        record["clearing"] = [asdict(row) | {"difference": row.difference} for row in report.statement]
    return record


def capture_enqueuer(queue: Queue) -> EnqueueCapture:
    """Return the function that enqueues an attempt for the capture worker."""
    return lambda purchase_id, attempt: queue.send([{"purchase_id": purchase_id, "attempt": attempt}])


def _unlimited() -> bool:
    return False
