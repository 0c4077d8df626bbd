"""Lambda entry points: the HTTP API, and one short function for each source of events.

Only this file composes the packages, reads the environment and passes the clock.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from chalice.app import ConvertToMiddleware

from chalicelib import aws, streams
from chalicelib.api import (
    ROUTES,
    DeploymentKeys,
    Keyring,
    LivedropApi,
    OrderLine,
    Services,
    read_deployment_keys,
    register_routes,
)
from chalicelib.discounts import Discounts
from chalicelib.errors import InvariantBroken
from chalicelib.finance import open_exports, open_ledger
from chalicelib.instants import MINUTE, SECOND, Instant, clock
from chalicelib.payments import (
    EventStore,
    Gateway,
    Pace,
    ProviderKeys,
    SandboxGateway,
    SharedPacer,
    TurnStore,
    read_provider_keys,
    stripe_gateway,
)
from chalicelib.pricing import DEFAULT_MARKETS, MarketRevisions, Markets
from chalicelib.purchase import CheckoutContext, PurchaseStore
from chalicelib.risk import FraudRules, Risk
from chalicelib.settings import Settings
from chalicelib.shows import Shows
from chalicelib.stock import Stock
from chalicelib.streams import (
    EventBus,
    Queue,
    apply_cues,
    audit_drop,
    capture_enqueuer,
    close_days,
    process_payments,
    reconcile_payments,
    recover_orders,
    refresh_summaries,
    relay_purchases,
    run_exports,
)
from chalicelib.telemetry import flush, logger, report_broken_invariant

if TYPE_CHECKING:
    from chalicelib.finance import Exports

Event = dict[str, Any]
RECONCILIATION_TIME: Instant = 8 * MINUTE
"""How long one run reconciles payments. The timeout leaves two minutes more, for the last order and the statement."""

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
    """Read the settings of the deployment from the environment."""
    return Settings.from_environment(os.environ)


@cache
def keyring() -> Keyring[DeploymentKeys]:
    """Build the cache of keys and known platforms. Only the HTTP function may read them."""
    return Keyring(lambda: read_deployment_keys(settings().secrets_id))


@cache
def provider_keys() -> Keyring[ProviderKeys]:
    """Build the cache of the payment provider's keys."""
    return Keyring(lambda: read_provider_keys(settings().payment_secrets_id))


@cache
def stock() -> Stock:
    """Build the stock room."""
    return Stock(aws.client("dynamodb"), settings().stock_table, settings().commerce_table)


@cache
def shows() -> Shows:
    """Build the room of shows, drops and cues."""
    config = settings()
    return Shows(aws.client("dynamodb"), config.commerce_table, stock(), config.cue_max_age_seconds)


@cache
def gateway() -> Gateway:
    """Build the gateway of the payment provider. Each of its calls uses the key that is valid at that instant."""
    config = settings()
    if config.payments != "stripe":
        dynamodb = aws.client("dynamodb")
        return SandboxGateway(dynamodb, config.sandbox_table, EventStore(dynamodb, config.commerce_table))
    return stripe_gateway(
        current_key=lambda: provider_keys().get(clock()).api_key,
        reread_key=lambda: provider_keys().reread(clock()).api_key,
        mark=config.payment_mark,
        base_url=config.stripe_url or None,
        pacer=pacer(),
    )


@cache
def pacer() -> SharedPacer | None:
    """Build the pacer of the calls to Stripe. None: the sandbox, or a rate of 0, is not paced."""
    config = settings()
    if config.payments != "stripe" or config.provider_rate == 0:
        return None
    turns = TurnStore(aws.client("dynamodb"), config.commerce_table, "stripe")
    return SharedPacer(turns, Pace(config.provider_rate, config.provider_account_rate), clock, time.sleep)


@cache
def market_revisions() -> MarketRevisions:
    """Build the store of the shop's markets: tax and shipping by destination."""
    return MarketRevisions(aws.client("dynamodb"), settings().commerce_table, DEFAULT_MARKETS)


@cache
def discounts() -> Discounts:
    """Build the room of codes and automatic offers."""
    return Discounts(aws.client("dynamodb"), settings().commerce_table, stock())


@cache
def risk() -> Risk:
    """Build the room of declines and step-ups."""
    config = settings()
    rules = FraudRules.parse(config.decline_limits, config.step_up)
    return Risk(aws.client("dynamodb"), config.commerce_table, stock(), rules)


@cache
def purchases() -> PurchaseStore:
    """Build the store of purchases."""
    return PurchaseStore(aws.client("dynamodb"), settings().commerce_table)


def build_context(*, id_key: bytes, markets_at: Callable[[Instant], Markets]) -> CheckoutContext:
    """Build what the use cases of a purchase need.

    Only the HTTP function creates and prices purchases. So only that function passes the key of purchase ids and the
    shop's own markets.
    """
    config = settings()
    return CheckoutContext(
        purchases=purchases(),
        shows=shows(),
        stock=stock(),
        gateway=gateway(),
        markets_at=markets_at,
        discounts=discounts(),
        risk=risk(),
        id_key=id_key,
        order_hold_channels=frozenset(config.order_hold_channels),
        return_url=config.return_url,
    )


@cache
def worker_context() -> CheckoutContext:
    """Build the context of the workers behind queues and schedules, which create and price no purchase."""
    return build_context(id_key=b"", markets_at=lambda _: DEFAULT_MARKETS)


@cache
def exports() -> Exports:
    """Build exports and the closing of days."""
    config = settings()
    return open_exports(
        s3=aws.client("s3"),
        bucket=config.finance_bucket,
        dynamodb=aws.client("dynamodb"),
        commerce_table=config.commerce_table,
        sqs=aws.client("sqs"),
        queue_url=config.exports_queue_url,
        time_zone=config.time_zone,
    )


def services() -> Services:
    """Return what the views need, with the keys that are valid now."""
    return services_with(keyring().get(clock()))


@lru_cache(maxsize=1)
def services_with(deployment_keys: DeploymentKeys) -> Services:
    """Build what the views need, with these keys."""
    return Services(
        settings=settings(),
        deployment_keys=deployment_keys,
        shows=shows(),
        stock=stock(),
        context=build_context(id_key=deployment_keys.id_key, markets_at=market_revisions().current),
        exports=exports(),
        enqueue_capture=capture_enqueuer(queue(settings().capture_queue_url)),
        provider_keys=provider_keys(),
        market_table=market_revisions(),
        order_line=OrderLine(queue(settings().capture_queue_url).length, settings().provider_rate) if pacer() else None,
    )


def queue(url: str) -> Queue:
    """Build the queue at an address."""
    return Queue(aws.client("sqs"), url)


register_routes(app, ROUTES, services)


@app.lambda_function(name="on_cue")
def on_cue(event: Event, context: Any) -> None:
    """Handle the stream of cues: apply each cue to its show or drop."""
    apply_cues(event, shows(), queue(settings().parked_cues_queue_url), clock())


@app.lambda_function(name="on_stock")
def on_stock(event: Event, context: Any) -> None:
    """Handle the stream of the stock table: refresh the live summaries of changed buckets."""
    refresh_summaries(event, shows(), stock(), clock)


@app.lambda_function(name="on_purchase")
def on_purchase(event: Event, context: Any) -> None:
    """Handle the stream of the commerce table: relay changes to the capture and ledger queues."""
    relay_purchases(event, queue(settings().capture_queue_url), queue(settings().ledger_queue_url))


CAPTURE_BATCH = 5
"""Messages of one batch of the capture queue, which one process handles side by side (``infra/aws/template.yaml``)."""


LAST_CALL_AFTER = 30 * SECOND
"""When a worker begins its last call to the provider: a call takes 10 s, and the function has 50 s in all."""


@cache
def capture_threads() -> ThreadPoolExecutor:
    """Build the threads of the capture worker: a batch takes as long as its slowest message."""
    return ThreadPoolExecutor(CAPTURE_BATCH, thread_name_prefix="capture")


@app.lambda_function(name="capture")
def capture(event: Event, context: Any) -> Event:
    """Handle the capture queue: commit units, authorise and capture payments."""
    capture_queue, shared_pacer = queue(settings().capture_queue_url), pacer()
    if shared_pacer is not None:
        shared_pacer.end_calls(clock() + LAST_CALL_AFTER)
    return process_payments(event, worker_context(), capture_queue, clock(), capture_threads().map)


@app.lambda_function(name="post_ledger")
def post_ledger(event: Event, context: Any) -> Event:
    """Handle the ledger queue: post ledger entries and publish order events."""
    config = settings()
    ledger = open_ledger(aws.client("s3"), config.finance_bucket)
    bus = EventBus(aws.client("events"), config.event_bus)
    return streams.post_ledger(event, purchases(), ledger, bus, config.time_zone)


@app.lambda_function(name="export")
def export(event: Event, context: Any) -> Event:
    """Handle the exports queue: make the files of each requested export."""
    return run_exports(event, exports(), clock)


@app.lambda_function(name="close_day")
def close_day(event: Event, context: Any) -> Event:
    """Run once a day by schedule: close yesterday, and days before it that were left open."""
    return close_days(exports(), clock)


@app.lambda_function(name="maintenance")
def maintenance(event: Event, context: Any) -> Event:
    """Run by schedule, and by command: recover orders, audit a drop, or reconcile payments."""
    capture_queue = queue(settings().capture_queue_url)
    match event:
        case {"audit": request}:
            return audit_drop(request, worker_context(), capture_queue, clock())
        case {"reconcile": request}:
            return reconcile_payments(request, worker_context(), capture_queue, clock, RECONCILIATION_TIME)
        case _:
            return recover_orders(worker_context(), exports().day_closer.exporter, capture_queue, clock())
