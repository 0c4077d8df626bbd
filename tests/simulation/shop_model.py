"""A shop beside a model of it: units, the holds of each purchase with their ends, and the units each buyer bought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from botocore.exceptions import ReadTimeoutError
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from chalicelib.instants import SECOND, Instant
from chalicelib.payments import SandboxGateway
from chalicelib.purchase import CheckoutContext, Purchase, PurchaseState
from chalicelib.stock import Pool
from chalicelib.stock.expressions import bucket_from_record
from tests.builders.context import a_checkout_context
from tests.builders.drops import put_drop_record
from tests.builders.shows import a_drop_record
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB
from tests.independent_counts import CLOCK_SKEW_SECONDS
from tests.simulation.simulator import RETRYABLE_ERRORS

POOL, SIZES, LIMIT, HOLD_SECONDS = Pool("mug", 3), [2, 2, 1], 3, 30
DROP = a_drop_record(
    id="mug", stock=sum(SIZES), first_stock=sum(SIZES), bucket_count=len(SIZES), hold_seconds=HOLD_SECONDS,
    limit_per_buyer=LIMIT, opens_at=0,
)  # fmt: skip
BUYERS = ("ada", "bob")
KEPT_KEYS = 7
"""Updates whose Idempotency-Keys a purchase remembers."""
NAMES = ("p1", "p2", "p3", "p4", "p5")
MISMATCH_MESSAGE = "the buckets differ from the model"
RequestFunction = Callable[[CheckoutContext], Any]


class FailOnceClient:
    """A client whose n-th call is cut: it is lost, or it takes effect and its answer is lost."""

    def __init__(self, client: Any, call_number: int, performed: bool) -> None:
        self._client, self._left, self._performed = client, call_number, performed

    def __getattr__(self, operation: str) -> Any:
        def call(**named: Any) -> Any:
            self._left -= 1
            if self._left == 0:
                if self._performed:
                    getattr(self._client, operation)(**named)
                raise ReadTimeoutError(endpoint_url="cut")
            return getattr(self._client, operation)(**named)

        return call


@dataclass
class ModelPurchase:
    """The model of one purchase. ``holds`` are pairs of units and their end; ``sold`` units have no end."""

    buyer: str
    id: str
    state: PurchaseState = PurchaseState.OPEN
    attempt: int = 0
    token: str = ""
    holds: list[tuple[int, int]] = field(default_factory=list)
    sold: int = 0
    attempted: bool = False
    updates: int = 0

    @property
    def quantity(self) -> int:
        return self.sold + sum(units for units, _ in self.holds)


class ShopWithModel(RuleBasedStateMachine):
    """The shop with its model. ``steps`` counts the steps and their results."""

    steps: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.now: Instant = 1_800_000_000_000
        self.table = StrictFakeDynamoDB()
        self.gateway = SandboxGateway(cast("Any", StrictFakeDynamoDB()), "sandbox")
        put_drop_record(self.table, DROP)
        self.context = self.new_context(self.table)
        self.context.stock.create_buckets("mug", SIZES, self.now)
        self.size = sum(SIZES)
        self.models: dict[str, ModelPurchase] = {}
        self.sent_requests: list[Callable[[], None]] = []
        self.used_keys: set[str] = set()
        self.refreshed_since_change = True
        self.steps["steps"] -= 1  # hypothesis checks the invariants once before the first step

    def new_context(self, client: Any) -> CheckoutContext:
        """Build what another process has: the same tables, caches of its own."""
        return a_checkout_context(client, "stock", "commerce", self.gateway)

    # The model.

    @property
    def seconds(self) -> int:
        return self.now // SECOND

    def held(self) -> int:
        """Count the units that other buyers may not take: a hold's units are free two seconds after its end."""
        holds = (hold for one in self.models.values() for hold in one.holds)
        return sum(units for units, expires_at in holds if expires_at + CLOCK_SKEW_SECONDS >= self.seconds)

    def sold(self) -> int:
        return sum(one.sold for one in self.models.values())

    def free(self) -> int:
        return self.size - self.held() - self.sold()

    @invariant()
    def the_buckets_are_as_the_model_says(self) -> None:
        self.steps["steps"] += 1
        audit = self.context.stock.audit(POOL, self.size, self.now)
        found = (audit.available, audit.held, audit.sold, audit.mismatches)
        assert found == (self.free(), self.held(), self.sold(), ()), MISMATCH_MESSAGE

    @invariant()
    def no_buyer_has_more_than_the_limit(self) -> None:
        for buyer in BUYERS:
            assert sum(one.sold for one in self.models.values() if one.buyer == buyer) <= LIMIT

    # Requests.

    def send(self, name: str, request: RequestFunction, cut: tuple[int, bool] | None = None) -> Any:
        """Send a request. With ``cut``, send it first to a process whose n-th call is cut."""
        self.refreshed_since_change = False
        if cut is not None:
            self.context.stock.refresh(POOL, self.now)
            try:
                request(self.new_context(FailOnceClient(self.table, *cut)))
            except RETRYABLE_ERRORS:
                self.steps[f"{name}, cut"] += 1
        return request(self.new_context(self.table))

    def deliver_or_defer(self, deliver: Callable[[], None], late: bool) -> None:
        """Deliver a request now. A ``late`` one is delivered when a later step draws it."""
        self.sent_requests.append(deliver)
        if not late:
            deliver()

    def draw_name(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.models)))

    def largest_bucket(self) -> int:
        """Return the units of the fullest bucket."""
        items = [item for place, item in self.table.items.items() if place[0] == "stock"]
        return max(bucket_from_record(item).obtainable(self.seconds) for item in items)

    def update_model(self, name: str, purchase: Purchase) -> None:
        """Take the holds that a purchase names into the model."""
        (line,) = purchase.lines
        model = self.models[name]
        model.holds = [(hold.quantity, hold.expires_at) for hold in line.holds]
        assert model.quantity == line.quantity
        assert all(expires_at <= line.max_hold_until for _, expires_at in model.holds)

    def assert_unchanged(self, name: str, answer: Any) -> None:
        """Check that a repeat or a late request got the present state and changed nothing."""
        model = self.models[name]
        assert (answer.purchase.id, answer.purchase.state) == (model.id, model.state)
        self.steps["answered with the present state"] += 1
