"""Jobs of the exports queue, of schedules and of commands: exports, closing days, recovery, audits, reconciliation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from chalicelib import recovery
from chalicelib.errors import LivedropError
from chalicelib.finance import Exporter, Exports
from chalicelib.instants import HOUR, Clock, Instant
from chalicelib.purchase import CheckoutContext, EnqueueCapture
from chalicelib.recovery import MAX_DETAIL, build_audit_report, repair_stock
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
    request: Mapping[str, Any], context: CheckoutContext, capture_queue: Queue, now: Instant
) -> dict[str, Any]:
    """Compare the provider's payments of the last hours with the orders, for ``livedrop payments reconcile``."""
    report = asdict(
        recovery.reconcile_payments(context, capture_enqueuer(capture_queue), now - request["hours"] * HOUR, now)
    )
    logger.info("payments reconciled", extra=report | {"differences": len(report["differences"])})
    return report


def capture_enqueuer(queue: Queue) -> EnqueueCapture:
    """Return the function that enqueues an attempt for the capture worker."""
    return lambda purchase_id, attempt: queue.send([{"purchase_id": purchase_id, "attempt": attempt}])


def _unlimited() -> bool:
    return False
