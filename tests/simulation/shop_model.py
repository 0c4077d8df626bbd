"""A shop beside a model of it: units, what each purchase holds and until when, and what each buyer has bought."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from botocore.exceptions import ReadTimeoutError
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant

from chalicelib.errors import LivedropError
from chalicelib.instants import SECOND, Instant
from chalicelib.payments import SandboxGateway
from chalicelib.purchase import Caller, CheckoutContext, Purchase, PurchaseState
from chalicelib.shows.records import DropRecord
from chalicelib.stock import Pool
from chalicelib.stock.expressions import bucket_from_record
from tests.builders.context import a_checkout_context
from tests.fakes.strict_dynamodb import StrictFakeDynamoDB

LAYOUT, SIZES, LIMIT, HOLD_SECONDS = Pool("mug", 3), [2, 2, 1], 3, 30
DROP = DropRecord(
    id="mug",
    show_id="s",
    sku="m",
    title="Mug",
    unit_price=1_000,
    currency="GBP",
    stock=sum(SIZES),
    bucket_count=3,
    hold_seconds=HOLD_SECONDS,
    limit_per_buyer=LIMIT,
    opens_at=0,
    first_stock=sum(SIZES),
    created_by="ann",
    created_at=0,
    changed_by="ann",
    changed_at=0,
)
WEB = Caller("web")
BUYERS = ("ada", "bob")
REMEMBERED_KEYS = 7
"""Updates whose repeats a purchase knows again."""
NAMES = ("p1", "p2", "p3", "p4", "p5")
RequestFunction = Callable[[CheckoutContext], Any]


class FailOnceClient:
    """A client whose n-th call is lost, or done with its answer lost."""

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
    """What the model knows of one purchase. ``holds``: units and their end; ``sold`` units have none."""

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
    """The shop with its model; ``steps`` counts those that are taken, and what came of them."""

    steps: Counter[str]

    def __init__(self) -> None:
        super().__init__()
        self.now: Instant = 1_800_000_000_000
        self.table = StrictFakeDynamoDB()
        self.gateway = SandboxGateway(cast("Any", StrictFakeDynamoDB()), "sandbox")
        self.table.items["commerce", "DROP#mug", "DROP"] = {
            "pk": "DROP#mug", "sk": "DROP", **DROP.model_dump(exclude_none=True),
        }  # fmt: skip
        self.context = self.new_context(self.table)
        self.context.stock.create_buckets("mug", SIZES, self.now)
        self.size = sum(SIZES)
        self.models: dict[str, ModelPurchase] = {}
        self.sent_requests: list[Callable[[], None]] = []
        self.used_keys: set[str] = set()
        self.refreshed_since_change = True
        self.steps["steps"] -= 1  # the invariants are asked once before the first

    def new_context(self, client: Any) -> CheckoutContext:
        """What another process has: the same tables, a memory of its own."""
        return a_checkout_context(client, "stock", "commerce", self.gateway)

    # The model.

    @property
    def seconds(self) -> int:
        return self.now // SECOND

    def held(self) -> int:
        """Units that others may not take: those of a hold that has ended are free two seconds later."""
        holds = (hold for one in self.models.values() for hold in one.holds)
        return sum(units for units, until in holds if until + 2 >= self.seconds)

    def sold(self) -> int:
        return sum(one.sold for one in self.models.values())

    def free(self) -> int:
        return self.size - self.held() - self.sold()

    @invariant()
    def the_buckets_are_as_the_model_says(self) -> None:
        self.steps["steps"] += 1
        audit = self.context.stock.audit(LAYOUT, self.size, self.now)
        found = (audit.available, audit.held, audit.sold, audit.mismatches)
        assert found == (self.free(), self.held(), self.sold(), ()), "the buckets are not as the model says"

    @invariant()
    def no_buyer_has_more_than_the_limit(self) -> None:
        for buyer in BUYERS:
            assert sum(one.sold for one in self.models.values() if one.buyer == buyer) <= LIMIT

    # Requests.

    def send(self, what: str, request: RequestFunction, cut: tuple[int, bool] | None = None) -> Any:
        """Send it; with ``cut``, to a process whose n-th call fails, and then again."""
        self.refreshed_since_change = False
        if cut is not None:
            self.context.stock.refresh(LAYOUT, self.now)
            try:
                request(self.new_context(FailOnceClient(self.table, *cut)))
            except (ReadTimeoutError, LivedropError):
                self.steps[f"{what}, cut"] += 1
        return request(self.new_context(self.table))

    def deliver_or_defer(self, deliver: Callable[[], None], late: bool) -> None:
        """Deliver a request now; or only later, when it is drawn to be delivered again."""
        self.sent_requests.append(deliver)
        if not late:
            deliver()

    def draw_name(self, data: st.DataObject) -> str:
        return data.draw(st.sampled_from(sorted(self.models)))

    def largest_bucket(self) -> int:
        """The most units that one bucket has."""
        items = [item for place, item in self.table.items.items() if place[0] == "stock"]
        return max(bucket_from_record(item).obtainable(self.seconds) for item in items)

    def update_model(self, name: str, purchase: Purchase) -> None:
        """The holds that a purchase names now are what the model counts."""
        (line,) = purchase.lines
        model = self.models[name]
        model.holds = [(hold.quantity, hold.expires_at) for hold in line.holds]
        assert model.quantity == line.quantity
        assert all(until <= line.max_hold_until for _, until in model.holds)

    def assert_unchanged(self, name: str, answer: Any) -> None:
        """A repeat, or a request that came too late, is told how the purchase stands and changes nothing."""
        model = self.models[name]
        assert (answer.purchase.id, answer.purchase.state) == (model.id, model.state)
        self.steps["answered as before"] += 1
