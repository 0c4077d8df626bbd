"""Lambda entry points: the HTTP API, and one thin function for each source of events.

Here alone the rooms are composed, the environment is read and the clock is asked.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from chalice.app import ConvertToMiddleware

from chalicelib import aws
from chalicelib.api import ROUTES, DeploymentKeys, Keyring, LivedropApi, Services, read_deployment_keys, register_routes
from chalicelib.discounts import Discounts
from chalicelib.errors import InvariantBroken
from chalicelib.finance import open_exports, open_ledger
from chalicelib.instants import clock
from chalicelib.payments import EventStore, Gateway, ProviderKeys, SandboxGateway, read_provider_keys, stripe_gateway
from chalicelib.pricing import DEFAULT_MARKETS, MarketRevisions
from chalicelib.purchase import CheckoutContext, PurchaseStore
from chalicelib.risk import Risk, RiskRules
from chalicelib.settings import Settings
from chalicelib.shows import Shows
from chalicelib.stock import Stock
from chalicelib.telemetry import flush, logger, report_broken_invariant

if TYPE_CHECKING:
    from chalicelib.finance import Exports

Event = dict[str, Any]

app = LivedropApi(app_name="livedrop", configure_logs=False)
app.register_middleware(ConvertToMiddleware(logger.inject_lambda_context), "pure_lambda")


@app.middleware("pure_lambda")
def flush_metrics(event: Any, get_response: Callable[[Any], Any]) -> Any:
    """Write out the metrics of an invocation, also when it fails."""
    try:
        return get_response(event)
    except InvariantBroken as error:
        report_broken_invariant(error)
        raise
    finally:
        flush()


@cache
def settings() -> Settings:
    """What the deployment tells this process."""
    return Settings.from_environment(os.environ)


@cache
def keyring() -> Keyring[DeploymentKeys]:
    """Keys and known platforms; only the HTTP function may read them."""
    return Keyring(lambda: read_deployment_keys(settings().secrets_id))


@cache
def stock() -> Stock:
    """Units."""
    return Stock(aws.client("dynamodb"), settings().stock_table, settings().commerce_table)


@cache
def shows() -> Shows:
    """Shows, drops and cues."""
    config = settings()
    return Shows(aws.client("dynamodb"), config.commerce_table, stock(), config.cue_max_age_seconds)


@cache
def provider_keys() -> Keyring[ProviderKeys]:
    """The payment provider's keys."""
    return Keyring(lambda: read_provider_keys(settings().payment_secrets_id))


@cache
def gateway() -> Gateway:
    """Who takes the money. A process keeps the provider's key that it began with."""
    config = settings()
    if config.payments != "stripe":
        dynamodb = aws.client("dynamodb")
        return SandboxGateway(dynamodb, config.sandbox_table, EventStore(dynamodb, config.commerce_table))
    return stripe_gateway(provider_keys().get(clock()).api_key, config.stripe_url or None)


@cache
def market_table() -> MarketRevisions:
    """Tax and shipping by market, as the shop put them."""
    return MarketRevisions(aws.client("dynamodb"), settings().commerce_table, DEFAULT_MARKETS)


@cache
def discounts() -> Discounts:
    """Codes and automatic offers."""
    return Discounts(aws.client("dynamodb"), settings().commerce_table, stock())


@cache
def risk() -> Risk:
    """Declines and step-ups."""
    config = settings()
    rules = RiskRules.parse(config.decline_limits, config.step_up)
    return Risk(aws.client("dynamodb"), config.commerce_table, stock(), rules)


def build_context(id_key: bytes = b"", markets: MarketRevisions | None = None) -> CheckoutContext:
    """Purchases. Only the function that creates and prices them is given the key of their ids and the markets."""
    config = settings()
    order_hold_channels = frozenset(config.order_hold_channels)
    return CheckoutContext(
        purchases(),
        shows(),
        stock(),
        gateway(),
        DEFAULT_MARKETS,
        markets,
        discounts(),
        risk(),
        id_key,
        order_hold_channels,
        config.return_url,
    )


@cache
def checkout_context() -> CheckoutContext:
    """Purchases, as functions behind streams and queues move them."""
    return build_context()


@cache
def purchases() -> PurchaseStore:
    """Purchases as they are stored."""
    return PurchaseStore(aws.client("dynamodb"), settings().commerce_table)


@cache
def exports() -> Exports:
    """Exports and the close of days."""
    config = settings()
    return open_exports(
        aws.client("s3"),
        config.finance_bucket,
        aws.client("dynamodb"),
        config.commerce_table,
        aws.client("sqs"),
        config.exports_queue_url,
        config.time_zone,
    )


def services() -> Services:
    """Everything that HTTP calls lead to, by the keys of the moment."""
    return services_with(keyring().get(clock()))


@lru_cache(maxsize=1)
def services_with(deployment_keys: DeploymentKeys) -> Services:
    """Everything that HTTP calls lead to, by these keys."""
    from chalicelib.streams import Queue, capture_enqueuer

    captures = capture_enqueuer(Queue(aws.client("sqs"), settings().capture_queue_url))
    checkout_context = build_context(deployment_keys.id_key, market_table())
    return Services(
        settings(),
        deployment_keys,
        shows(),
        stock(),
        checkout_context,
        exports(),
        captures,
        provider_keys(),
        market_table(),
    )


register_routes(app, ROUTES, services)


@app.lambda_function(name="on_cue")
def on_cue(event: Event, context: Any) -> None:
    """The stream of cues: each opens, closes or changes a drop."""
    from chalicelib.streams import Queue, cues

    cues.apply_cues(event, shows(), Queue(aws.client("sqs"), settings().parked_cues_queue_url), clock())


@app.lambda_function(name="on_stock")
def on_stock(event: Event, context: Any) -> None:
    """The stream of the stock table: live summaries follow the buckets."""
    from chalicelib.streams import stock as buckets

    buckets.refresh_summaries(event, shows(), stock(), clock)


@app.lambda_function(name="on_purchase")
def on_purchase(event: Event, context: Any) -> None:
    """The stream of the commerce table: the relay to the capture and ledger queues."""
    from chalicelib.streams import Queue, relay_purchases

    sqs, config = aws.client("sqs"), settings()
    relay_purchases(event, Queue(sqs, config.capture_queue_url), Queue(sqs, config.ledger_queue_url))


@app.lambda_function(name="capture")
def capture(event: Event, context: Any) -> Event:
    """The capture queue: goods, authorisation, money."""
    from chalicelib.streams import Queue
    from chalicelib.streams import capture as worker

    return worker.process_payments(
        event, checkout_context(), Queue(aws.client("sqs"), settings().capture_queue_url), clock()
    )


@app.lambda_function(name="post_ledger")
def post_ledger(event: Event, context: Any) -> Event:
    """The ledger queue: ledger entries and order events."""
    from chalicelib.streams import EventBus
    from chalicelib.streams import ledger as books

    config = settings()
    ledger_store = open_ledger(aws.client("s3"), config.finance_bucket)
    return books.post_ledger(
        event, purchases(), ledger_store, EventBus(aws.client("events"), config.event_bus), config.time_zone
    )


@app.lambda_function(name="export")
def export(event: Event, context: Any) -> Event:
    """The exports queue: files for finance that someone asked for."""
    from chalicelib.streams import jobs

    return jobs.run_exports(event, exports(), clock)


@app.lambda_function(name="close_day")
def close_day(event: Event, context: Any) -> Event:
    """The schedule, once a day: close the business day before."""
    from chalicelib.streams import jobs

    return jobs.close_days(exports(), clock)


@app.lambda_function(name="maintenance")
def maintenance(event: Event, context: Any) -> Event:
    """The schedule, once a day, and by command: whatever a lost message left behind is taken up again. By command also
    the audit of a drop, and the comparison of payments with the provider."""
    from chalicelib.streams import Queue, jobs

    capture_queue = Queue(aws.client("sqs"), settings().capture_queue_url)
    if "audit" in event:
        return jobs.audit_drop(event["audit"], checkout_context(), capture_queue, clock())
    if "reconcile" in event:
        return jobs.reconcile_payments(event["reconcile"], checkout_context(), capture_queue, clock())
    return jobs.recover_orders(checkout_context(), exports().day_closer.exporter, capture_queue, clock())
