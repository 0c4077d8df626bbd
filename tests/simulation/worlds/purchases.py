"""A simulated world of purchases: three units of one drop, buyers, capture workers, and the sandbox provider."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from random import Random
from typing import Any, NamedTuple

from chalicelib.aws import to_item
from chalicelib.capture import cancel_order, process_attempt, put_on_hold, release_from_hold
from chalicelib.checkout import cancel_purchase, complete_purchase, create_purchase, update_purchase
from chalicelib.discounts import Discount
from chalicelib.instants import Instant
from chalicelib.purchase import (
    CheckoutContext,
    CheckoutResult,
    CompleteRequest,
    Purchase,
    PurchaseRequest,
    PurchaseState,
)
from chalicelib.refunds import finish_refunds
from chalicelib.stock import Pool
from tests.builders.context import a_checkout_context
from tests.builders.drops import an_open_drop, put_drop_record
from tests.builders.purchases import PLATFORM, a_complete_request, a_purchase_request
from tests.independent_counts import units_add_up, units_by_drop
from tests.providers import PaymentStatus
from tests.simulation.simulator import RETRYABLE_ERRORS, Simulator
from tests.simulation.worlds.provider import SEARCH_LAG, NewProvider, SimulatedSandbox

HOLD_SECONDS = 30
POOL = Pool("mug", 2)
SIZES = [2, 1]
TEN = Discount(code="TEN", title="Ten off", percent_bps=1_000, budget_uses=1, uses_bucket_count=1)
USES_POOL = TEN.budgets[0].pool

CLOCK_JUMPS = (1_000, 4_000, 40_000, 61_000)


class _BuyerPlan(NamedTuple):
    """The requests of a buyer. They are the same for both copies."""

    quantity: int
    changes: tuple[int, ...]
    tokens: tuple[str, ...]
    cancels: bool

    @classmethod
    def of(cls, name: str, seed: int) -> _BuyerPlan:
        random = Random(f"{name}{seed}")
        return cls(
            random.choice([1, 1, 2, 3]),
            tuple(random.choice([1, 2, 3]) for _ in range(random.choice([0, 1, 1, 2]))),
            tuple(random.choice(["ok", "declined", "timeout", "capture_refused", "ok"]) for _ in range(2)),
            random.random() < 0.2,
        )


class PurchaseWorld:
    """Three units of one drop, some buyers, and the invariants that hold after every write and at rest.

    In half of the worlds all buyers have a code that can be used once.
    """

    def __init__(self, seed: int, new_provider: NewProvider = SimulatedSandbox) -> None:
        self.simulator = Simulator(seed, self.check_invariants)
        self.seed, self.random = seed, Random(seed)
        self.search_lag = SEARCH_LAG * (seed // 4 % 2)
        self.searchable_from: dict[tuple[str, int], Instant] = {}
        self.answers_by_key: Counter[str] = Counter()
        self.provider = new_provider(self)
        self.purchase_ids: set[str] = set()
        drop = an_open_drop(stock=sum(SIZES), bucket_count=len(SIZES), hold_seconds=HOLD_SECONDS)
        put_drop_record(self.simulator.table, drop)
        audit_fields = {"created_by": "ann", "created_at": 0, "changed_by": "ann", "changed_at": 0}
        offer = {"pk": "OFFER#TEN", "sk": "OFFER", **TEN.model_dump(exclude_none=True), **audit_fields}
        self.simulator.table.put_item(
            TableName="commerce", Item=to_item(offer), ConditionExpression="attribute_not_exists(pk)"
        )
        self.codes = ("TEN",) if seed // 2 % 2 else ()  # even and odd seeds run in different test processes
        self.context = self.new_context()
        self.context.stock.create_buckets("mug", SIZES, self.simulator.now)
        self.context.stock.create_buckets(USES_POOL.pool_id, [1], self.simulator.now)

    def new_context(self, **fields: Any) -> CheckoutContext:
        """Build what another process has: the same tables, caches of its own."""
        gateway = self.provider.new_gateway()
        return a_checkout_context(self.simulator.client, "stock", "commerce", gateway, **fields)

    def check_invariants(self) -> None:
        bucket_counts: Counter[str] = Counter()
        sold: Counter[str] = Counter()
        sizes = {f"mug#{number}": size for number, size in enumerate(SIZES)} | {f"{USES_POOL.pool_id}#0": 1}
        for name, size in sizes.items():
            bucket = self.simulator.table.items.get(("stock", name))
            if bucket is not None:
                assert units_add_up(bucket)
                assert bucket["s"] == size
                bucket_counts.update(hold for hold, entry in bucket["h"].items() if entry["q"])
                for entry in bucket["h"].values() if name.startswith("mug#") else ():
                    sold[entry.get("o", "")[:9]] += entry["q"]
        assert max(bucket_counts.values(), default=0) <= 1, "a hold has units in two buckets"
        for item_key, item in self.simulator.table.items.items():
            if item_key[-1] != "PURCHASE":
                continue
            attempt_keys = [key["k"] for key in item["keys"] if key.get("at")]
            assert len(attempt_keys) == len(set(attempt_keys)), "two attempts of one request"
            if item["state"] == "paid":
                restocked = (part["q"] for one in item.get("refunds", ()) if one.get("re") for part in one.get("l", ()))
                wanted = sum(line["q"] for line in item["lines"]) - sum(restocked)
                assert sold[item_key[1].removeprefix("PURCHASE#")[:9]] >= wanted, "paid without its units"

    def change(self, key: str, quantity: int) -> PurchaseRequest:
        return a_purchase_request(("mug", quantity), key=key, discount_codes=self.codes)

    def buyer_process(self, name: str) -> Callable[[], None]:
        """Create, perhaps update, complete twice with a card that may be declined, and perhaps cancel."""
        context, plan = self.new_context(), _BuyerPlan.of(name, self.seed)

        def send_until_answered(key: str, step: Callable[[], Any]) -> Any:
            for _ in range(4):
                try:
                    answer = step()
                except RETRYABLE_ERRORS:
                    continue
                self.answers_by_key[key] += isinstance(answer, CheckoutResult)
                return answer
            return None

        def run() -> None:
            created = send_until_answered(
                name, lambda: create_purchase(context, self.change(name, plan.quantity), self.simulator.now)
            )
            if not isinstance(created, CheckoutResult):
                return
            purchase_id = created.purchase.id
            self.purchase_ids.add(purchase_id)
            for turn, quantity in enumerate(plan.changes):
                key = f"{name}-change-{turn}"
                send_until_answered(
                    key, partial(self.update_checkout, context, purchase_id, self.change(key, quantity))
                )
            for turn, token in enumerate(plan.tokens):
                key = f"{name}-pay-{turn}"
                request = a_complete_request(self.provider.token(token, key), key)
                send_until_answered(key, partial(self.complete_checkout, context, purchase_id, request))
            if plan.cancels:
                send_until_answered(
                    f"{name}-cancel",
                    lambda: cancel_purchase(context, purchase_id, PLATFORM, f"{name}-cancel", "", self.simulator.now),
                )

        return run

    def update_checkout(self, context: CheckoutContext, purchase_id: str, change: PurchaseRequest) -> object:
        return update_purchase(context, purchase_id, change, self.simulator.now)

    def complete_checkout(self, context: CheckoutContext, purchase_id: str, request: CompleteRequest) -> object:
        return complete_purchase(context, purchase_id, request, self.simulator.now)

    def worker_process(self) -> Callable[[], None]:
        """Deliver the messages of placed attempts, again and again."""
        context, random = self.new_context(), Random(self.random.random())

        def run() -> None:
            for _ in range(8):
                try:
                    if self.purchase_ids:
                        purchase_id = random.choice(sorted(self.purchase_ids))
                        process_attempt(context, purchase_id, random.choice([1, 1, 2]), self.simulator.now)
                    else:
                        context.stock.summary("mug")
                except RETRYABLE_ERRORS:
                    continue

        return run

    def operator_process(self) -> Callable[[], None]:
        """Put placed orders on hold, release them, and cancel orders on hold or paid ones."""
        context, random = self.new_context(), Random(self.random.random())

        def run() -> None:
            for _ in range(6):
                purchase_id, now = random.choice(sorted(self.purchase_ids) or ["nobody"]), self.simulator.now
                hold = partial(put_on_hold, context, purchase_id, "ann", now)
                release = partial(release_from_hold, context, purchase_id, "ann", now)
                cancel = partial(cancel_order, context, purchase_id, "cancel", "", "ann", now)
                actions: list[Callable[[], object]] = [hold, hold, release, cancel]
                with suppress(*RETRYABLE_ERRORS):
                    random.choice(actions)()

        return run

    def redeliver_until_settled(self) -> list[Purchase]:
        """Deliver all messages again without faults, as the platform does, until every attempt and refund has ended."""
        for _ in range(6):
            self.simulator.advance_clock(61_000)
            for purchase in self.purchases():
                if purchase.state is PurchaseState.ON_HOLD:
                    with suppress(*RETRYABLE_ERRORS):
                        cancel_order(self.context, purchase.id, "cancel", "", "ann", self.simulator.now)
                with suppress(*RETRYABLE_ERRORS):
                    finish_refunds(self.context, purchase, self.simulator.now)
                for attempt in range(1, purchase.attempt + 1):
                    with suppress(*RETRYABLE_ERRORS):
                        process_attempt(self.context, purchase.id, attempt, self.simulator.now)
        return self.purchases()

    def purchases(self) -> list[Purchase]:
        keys = [place[1] for place in self.simulator.table.items if place[-1] == "PURCHASE"]
        read = [self.context.purchases.read(place.removeprefix("PURCHASE#")) for place in keys]
        return [purchase for purchase in read if purchase is not None]

    def check_at_rest(self) -> None:
        """Check that money, units and orders agree, that nothing is reserved, and that unsold units are available."""
        purchases = self.redeliver_until_settled()
        paid = [purchase for purchase in purchases if purchase.state is PurchaseState.PAID]
        for purchase in purchases:
            assert purchase.state not in {PurchaseState.PLACED, PurchaseState.ON_HOLD}
            charges = self._captured_attempts(purchase)
            failed = purchase.state is PurchaseState.OPEN and purchase.attempt > 0
            self.simulator.events_seen["open after a failed attempt" if failed else purchase.state.value] += 1
            assert charges == ([purchase.attempt] if purchase in paid else [])
            assert not any(refund.is_pending for refund in purchase.refunds)
            self.simulator.events_seen["paid and refunded"] += bool(purchase.refunds)
        self.simulator.advance_clock(1_000_000)
        self.context.stock.refresh(POOL, self.simulator.now)
        self.check_stock(paid)

    def check_stock(self, paid: Sequence[Purchase]) -> None:
        """Check that orders have exactly the units and uses that buckets call sold, and that all others are free."""
        units = {order.order_ref: sum(units_by_drop(order).values()) for order in paid}
        uses = {order.order_ref: 1 for order in paid if order.discounts}
        self.simulator.events_seen["paid with the code"] += len(uses)
        for pool, size, wanted in ((POOL, sum(SIZES), units), (USES_POOL, 1, uses)):
            audit = self.context.stock.audit(pool, size, self.simulator.now)
            assert audit.mismatches == ()
            assert dict(audit.sold_by_order) == {ref: count for ref, count in wanted.items() if count}
            assert audit.available == size - sum(wanted.values()), "a unit is stranded"

    def _captured_attempts(self, purchase: Purchase) -> list[int]:
        """Return the attempts that were captured. None may still have money reserved."""
        captured = []
        for payment in self.provider.payments():
            if payment.purchase_id == purchase.id:
                assert payment.status is not PaymentStatus.RESERVED
                captured += [payment.attempt] if payment.status is PaymentStatus.CAPTURED else []
        return captured
