"""A shop on a fake AWS account: processes that may die, and the platform that delivers messages and runs jobs."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from chalicelib import aws
from chalicelib.capture import store_event
from chalicelib.errors import Conflict, Unavailable
from chalicelib.finance import Exports, open_exports, open_ledger
from chalicelib.instants import DAY, HOUR, MINUTE, Instant, business_day
from chalicelib.payments import OutcomeUnknownError, ProviderBusyError, ProviderEvent
from chalicelib.pricing import DEFAULT_MARKETS, Market
from chalicelib.risk import DeclineLimits, FraudRules, StepUpRule
from chalicelib.streams import capture as captures
from chalicelib.streams import cues, jobs, ledger, relay, stock
from chalicelib.streams.messaging import EventBus, NotSentError, Queue
from tests.builders.context import a_checkout_context
from tests.builders.purchases import NOW
from tests.crashes.connection import ConnectedClient, Connection
from tests.crashes.provider import CrashProvider, NewProvider, SandboxProvider
from tests.fakes.aws import FakeAws
from tests.fakes.process_died import ProcessDied

TIME_ZONE = "Europe/London"
ID_KEY = b"k" * 32
IRISH_MARKET = Market.model_validate(
    {
        "id": "IE",
        "countries": ["IE"],
        "tax_included": True,
        "standard_rate_bps": 2_300,
        "shipping": [{"id": "post", "title": "Post", "price": {"GBP": 0, "MGA": 0}}],
    }
)
"""A market with free shipping."""
MARKETS = DEFAULT_MARKETS.model_copy(update={"markets": (*DEFAULT_MARKETS.markets, IRISH_MARKET)})
RULES = FraudRules(DeclineLimits(2, 9, 9, 400 * DAY), StepUpRule(2, 50, 400 * DAY, HOUR))
"""The windows are so long that no decline leaves them during a use case."""
_MAX_DELIVERIES = 12
PAST_ANY_HOLD: Instant = 11 * MINUTE
"""After this time every hold has expired, also a renewed one."""


class RedeliveredError(Exception):
    """A message failed and stays in its queue."""


RETRYABLE_ERRORS = (
    *aws.AWS_ERRORS,
    Unavailable,
    OutcomeUnknownError,
    ProviderBusyError,
    NotSentError,
    RedeliveredError,
    ProcessDied,
)
"""After these the client repeats its request with the same key, or the platform redelivers. Any other is a fault."""


class CrashableProcess:
    """The container of a function: clients over one connection, the rooms over them, caches of its own."""

    def __init__(self, fake_aws: FakeAws, provider: CrashProvider, connection: Connection) -> None:
        def client(service: str) -> Any:
            return ConnectedClient(fake_aws, service, connection)

        dynamodb, tables, urls = client("dynamodb"), fake_aws.tables, fake_aws.queue_urls
        self.connection = connection
        self.context = a_checkout_context(
            dynamodb,
            tables["stock"],
            tables["commerce"],
            provider.new_gateway(fake_aws, connection),
            markets_at=lambda _: MARKETS,
            id_key=ID_KEY,
            fraud_rules=RULES,
            order_hold_channels=frozenset({"market"}),
        )
        self.stock, self.shows, self.purchases = self.context.stock, self.context.shows, self.context.purchases
        self.ledger = open_ledger(client("s3"), fake_aws.bucket)
        self.exports: Exports = open_exports(
            s3=client("s3"),
            bucket=fake_aws.bucket,
            dynamodb=dynamodb,
            commerce_table=tables["commerce"],
            sqs=client("sqs"),
            queue_url=urls["exports"],
            time_zone=TIME_ZONE,
        )
        self.queues = {name: Queue(client("sqs"), url) for name, url in urls.items()}
        self.bus = EventBus(client("events"), fake_aws.bus)

    def on_purchase(self, records: list[Any]) -> None:
        relay.relay_purchases({"Records": records}, self.queues["captures"], self.queues["ledger"])

    def on_stock(self, records: list[Any], now: Instant) -> None:
        stock.refresh_summaries({"Records": records}, self.shows, self.stock, lambda: now)

    def on_provider_events(self, events: list[ProviderEvent], now: Instant) -> None:
        """Store events, as the webhook handler does."""
        for event in events:
            store_event(self.context, event, now)

    def on_cues(self, events: list[Any], now: Instant) -> None:
        """Handle a batch of Kinesis records: CloudEvents, or text that is no event."""
        texts = [event if isinstance(event, str) else json.dumps(event) for event in events]
        records = [{"kinesis": {"data": b64encode(text.encode()).decode()}} for text in texts]
        cues.apply_cues({"Records": records}, self.shows, self.queues["parked"], now)

    def on_message(self, queue: str, bodies: list[str], now: Instant) -> None:
        """Handle a batch of a queue's messages.

        Raises: RedeliveredError, where a message failed.
        """
        event = {"Records": [{"messageId": f"m{number}", "body": body} for number, body in enumerate(bodies)]}
        answer = {
            "captures": lambda: captures.process_payments(event, self.context, self.queues["captures"], now),
            "ledger": lambda: ledger.post_ledger(event, self.purchases, self.ledger, self.bus, TIME_ZONE),
            "exports": lambda: jobs.run_exports(event, self.exports, lambda: now),
        }[queue]()
        if answer["batchItemFailures"]:
            raise RedeliveredError

    def recover_orders(self, now: Instant) -> None:
        jobs.recover_orders(self.context, self.exports.day_closer.exporter, self.queues["captures"], now)

    def repair_drop(self, drop: str, now: Instant) -> dict[str, Any]:
        """Repair one drop, and return the report of what was found before."""
        request = {"drop_id": drop, "repair": True, "detail": 100, "from_bucket": 0}
        return jobs.audit_drop(request, self.context, self.queues["captures"], now)

    def reconcile(self, now: Instant) -> None:
        jobs.reconcile_payments({"begin": True}, self.context, self.queues["captures"], lambda: now, HOUR)

    def close_day(self, now: Instant) -> None:
        jobs.close_days(self.exports, lambda: now)


@dataclass
class CrashWorld:
    """A shop and its clock."""

    fake_aws: FakeAws
    new_provider: NewProvider = SandboxProvider
    now: Instant = NOW
    violations: list[str] = field(default_factory=list)
    """Invariants that were violated at some instant."""
    followed_until: Instant = 0
    """The instant up to which the shop has read the movements of the provider's balance."""

    def __post_init__(self) -> None:
        self.provider = self.new_provider(lambda: self.now)

    def fork(self) -> CrashWorld:
        """Copy a world in memory: the account, the provider and the clock."""
        return CrashWorld(self.fake_aws.fork(), self.provider.fork, self.now, followed_until=self.followed_until)

    def fingerprint(self) -> int:
        """Hash the stored state and everything undelivered."""
        return hash((self.fake_aws.fingerprint(), repr(self.provider.fingerprint())))

    def watch(self, invariants: Callable[[CrashWorld, str], Iterable[str]]) -> None:
        """Check invariants after every write from now on.

        Violations are collected and not raised: code of the product might catch the exception.
        """
        self.fake_aws.after_write = lambda written: self.violations.extend(invariants(self, written))

    def new_process(self, connection: Connection | None = None) -> CrashableProcess:
        """Start a new container."""
        return CrashableProcess(self.fake_aws, self.provider, connection or Connection())

    def advance_clock(self, milliseconds: Instant) -> None:
        self.now += milliseconds

    # The platform.

    def deliver(self) -> None:
        """Deliver all streams and queues until they are empty, everything at least twice."""
        for delivery in range(_MAX_DELIVERIES):
            events = self.provider.due_events()
            if self.fake_aws.is_quiet() and not events:
                return
            self.new_process().on_provider_events(events, self.now)
            self.provider.acknowledge_events()
            self._deliver_twice("commerce", lambda process, batch: process.on_purchase(batch))
            self.deliver_stock()
            for queue in ("captures", "ledger", "exports"):
                for body in self._drain(queue):
                    self._deliver_message(queue, body)
            self.fake_aws.queues.pop("parked", None)
            if delivery:
                self.advance_clock(2 * MINUTE)
        raise AssertionError(f"queues never became empty: {self.fake_aws.queues}")

    def deliver_stock(self) -> None:
        """Refresh the live summaries."""
        self._deliver_twice("stock", lambda process, batch: process.on_stock(batch, self.now))

    def _deliver_twice(self, stream: str, handle: Callable[[CrashableProcess, list[Any]], None]) -> None:
        batch, self.fake_aws.streams[stream] = self.fake_aws.streams[stream], []
        if batch:
            process = self.new_process()
            handle(process, batch)
            handle(process, batch)

    def _drain(self, queue: str) -> list[str]:
        bodies = self.fake_aws.queues.get(queue, [])
        self.fake_aws.queues[queue] = []
        return list(dict.fromkeys(bodies))

    def _deliver_message(self, queue: str, body: str) -> None:
        process = self.new_process()
        try:
            process.on_message(queue, [body], self.now)
            process.on_message(queue, [body], self.now)
        except RedeliveredError:
            self.fake_aws.queues[queue].append(body)
            if queue == "captures":
                self.violations.append(f"{body} failed, which uses up its deliveries")

    def lose_messages(self) -> None:
        """Drop the stream of purchases, all messages, and the provider's events."""
        self.fake_aws.streams["commerce"].clear()
        self.fake_aws.queues.clear()
        self.provider.lose_events()

    def recover(self) -> None:
        self.new_process().recover_orders(self.now)
        self.deliver()

    def run_night(self) -> None:
        """Advance to three in the morning, then recover orders, reconcile payments, and close the day."""
        midnight = (self.now // DAY + 1) * DAY
        self.now = midnight + 3 * HOUR
        self.recover()
        self.new_process().reconcile(self.now)
        self.followed_until = self.now - 10 * MINUTE
        self.deliver()
        self.new_process().close_day(self.now)
        self.deliver()

    def settle(self) -> None:
        """Deliver everything, let every hold expire, recover orders, and close the day."""
        self.deliver()
        self.advance_clock(2 * MINUTE)
        self.recover()
        self.advance_clock(2 * HOUR)
        self.deliver()
        self.run_night()


def business_date(now: Instant) -> str:
    return business_day(now, TIME_ZONE).isoformat()


Action = Callable[[CrashWorld, CrashableProcess], object]


def run_action(world: CrashWorld, action: Action, process: CrashableProcess) -> bool:
    """Run an action in a process. Return whether it ended, with any answer, and need not be repeated."""
    try:
        action(world, process)
    except RETRYABLE_ERRORS:
        return False
    except Conflict as conflict:
        if conflict.code != "changed":  # "read it and try again"
            raise
        return False
    return True


def repeat_until_done(world: CrashWorld, action: Action, process: CrashableProcess | None = None) -> None:
    """Repeat an action until it ends, in the same process while that lives. Some providers need time meanwhile."""
    for _ in range(_MAX_DELIVERIES):
        process = world.new_process() if process is None or process.connection.dead else process
        if run_action(world, action, process):
            return
        process = None
        world.advance_clock(world.provider.retry_after)
    raise AssertionError("the action never ends")
