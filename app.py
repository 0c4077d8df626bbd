"""Lambda entry points: the Chalice app, and one thin function for each source of events."""

from __future__ import annotations

from typing import Any

from chalice.app import Chalice

from chalicelib.telemetry import logger

app = Chalice(app_name="livedrop", configure_logs=False)


@app.route("/health", methods=["GET"])
def health() -> dict[str, str]:
    """Whether this process serves."""
    return {"status": "ok"}


@app.lambda_function(name="on_cue")
def on_cue(event: dict[str, Any], context: Any) -> None:
    """The stream of cues: each opens, closes or changes a drop."""
    logger.info("on_cue", extra={"records": len(event.get("Records", []))})


@app.lambda_function(name="on_stock")
def on_stock(event: dict[str, Any], context: Any) -> None:
    """The stream of the stock table: live summaries follow the buckets."""
    logger.info("on_stock", extra={"records": len(event.get("Records", []))})


@app.lambda_function(name="on_purchase")
def on_purchase(event: dict[str, Any], context: Any) -> None:
    """The stream of the commerce table: the relay to the capture and books queues."""
    logger.info("on_purchase", extra={"records": len(event.get("Records", []))})


@app.lambda_function(name="capture")
def capture(event: dict[str, Any], context: Any) -> None:
    """The capture queue: goods, authorisation, money."""
    logger.info("capture", extra={"records": len(event.get("Records", []))})


@app.lambda_function(name="record")
def record(event: dict[str, Any], context: Any) -> None:
    """The books queue: ledger entries and order events."""
    logger.info("record", extra={"records": len(event.get("Records", []))})


@app.lambda_function(name="export")
def export(event: dict[str, Any], context: Any) -> None:
    """The exports queue: files for finance that someone asked for."""
    logger.info("export", extra={"records": len(event.get("Records", []))})


@app.lambda_function(name="close_day")
def close_day(event: dict[str, Any], context: Any) -> None:
    """The schedule, once a day: close the business day before."""
    logger.info("close_day")


@app.lambda_function(name="repair")
def repair(event: dict[str, Any], context: Any) -> None:
    """The schedule, once a day, and by command: whatever a lost message left behind is taken up again."""
    logger.info("repair")
