"""Three units of one drop, buyers who may send each request twice, and workers: on a stage, with the sandbox."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from botocore.exceptions import BotoCoreError

from chalicelib.aws import to_item
from chalicelib.checkout import (
    DEFAULT_MARKETS,
    Buyer,
    Caller,
    Checkout,
    CheckoutResult,
    CompleteRequest,
    Destination,
    LineRequest,
    Purchase,
    PurchaseRequest,
    PurchaseState,
    PurchaseStore,
)
from chalicelib.discounts import Discount, Discounts
from chalicelib.errors import LivedropError
from chalicelib.instants import Instant
from chalicelib.payments import Authorised, Captured, Gateway, OutcomeUnknownError, SandboxGateway
from chalicelib.shows import Drop, Shows
from chalicelib.stock import Layout, Stock
from tests.schedules.provider import SEARCH_LAG, SimulatedProvider
from tests.schedules.stage import Simulator
from tests.schedules.table import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

HOLD_SECONDS = 30
LAYOUT = Layout("mug", 2)
SIZES = [2, 1]
PRICE = 1_000
TEN = Discount(code="TEN", title="Ten off", percent_bps=1_000, budget_uses=1, uses_bucket_count=1)
USES = TEN.budgets[0].pool

FAILS = (BotoCoreError, LivedropError, OutcomeUnknownError)
"""What a cut call, a rival or a silent provider does to a request or a worker; its client or queue tries again."""


class _Intent(NamedTuple):
    """What a buyer will do: the same for both copies of its requests."""

    quantity: int
    changes: tuple[int, ...]
    tokens: tuple[str, ...]
    cancels: bool

    @classmethod
    def of(cls, name: str, seed: int) -> _Intent:
        random = Random(f"{name}{seed}")
        return cls(
            random.choice([1, 1, 2, 3]),
            tuple(random.choice([1, 2, 3]) for _ in range(random.choice([0, 1, 1, 2]))),
            tuple(random.choice(["ok", "declined", "timeout", "capture_refused", "ok"]) for _ in range(2)),
            random.random() < 0.2,
        )


class World:
    """Three units of one drop, some buyers, and what must be true when all is quiet.

    In every other world they all have a code that can be used once.
    """

    def __init__(self, seed: int) -> None:
        self.stage = Simulator(seed, self.check)
        self.seed, self.random = seed, Random(seed)
        self.lag = SEARCH_LAG * (seed // 4 % 2)
        self.found_from: dict[tuple[str, int], Instant] = {}
        self.answers: Counter[str] = Counter()
        self.bank = SandboxGateway(cast("DynamoDBClient", Table()), "sandbox")
        self.ids: set[str] = set()
        drop = Drop(
            id="mug",
            show_id="s",
            sku="m",
            title="Mug",
            unit_price=PRICE,
            currency="GBP",
            stock=sum(SIZES),
            bucket_count=2,
            hold_seconds=HOLD_SECONDS,
            opens_at=0,
        )
        record = {"pk": "DROP#mug", "sk": "DROP", **drop.model_dump(exclude_none=True)}
        self.stage.table.put_item(
            TableName="commerce", Item=to_item(record), ConditionExpression="attribute_not_exists(pk)"
        )
        made = {"created_by": "ann", "created_at": 0, "changed_by": "ann", "changed_at": 0}
        offer = {"pk": "OFFER#TEN", "sk": "OFFER", **TEN.model_dump(exclude_none=True), **made}
        self.stage.table.put_item(
            TableName="commerce", Item=to_item(offer), ConditionExpression="attribute_not_exists(pk)"
        )
        self.codes = ("TEN",) if seed // 2 % 2 else ()  # tests play even and odd seeds apart
        self.checkout = self.process()
        self.checkout.stock.lay_out("mug", SIZES, self.stage.now)
        self.checkout.stock.lay_out(USES.drop_id, [1], self.stage.now)

    def process(self) -> Checkout:
        """What another process has: the same tables, a memory of its own."""
        client = self.stage.client
        stock = Stock(client, "stock", "commerce")
        provider = cast("Gateway", SimulatedProvider(self))
        shows = Shows(client, "commerce", stock, 30)
        purchases, discounts = PurchaseStore(client, "commerce"), Discounts(client, "commerce", stock)
        return Checkout(purchases, shows, stock, provider, DEFAULT_MARKETS, discounts, b"k" * 32)

    def check(self) -> None:
        places: Counter[str] = Counter()
        sold: Counter[str] = Counter()
        sizes = {f"mug#{number}": size for number, size in enumerate(SIZES)} | {f"{USES.drop_id}#0": 1}
        for name, size in sizes.items():
            bucket = self.stage.table.items.get(("stock", name))
            if bucket is not None:
                assert bucket["a"] >= 0
                assert bucket["a"] + sum(entry["q"] for entry in bucket["h"].values()) == size
                places.update(hold for hold, entry in bucket["h"].items() if entry["q"])
                for entry in bucket["h"].values() if name.startswith("mug#") else ():
                    sold[entry.get("o", "")[:9]] += entry["q"]
        assert max(places.values(), default=0) <= 1, "a hold has units in two buckets"
        for place, item in self.stage.table.items.items():
            if place[-1] != "PURCHASE":
                continue
            begun = [key["k"] for key in item["keys"] if key.get("at")]
            assert len(begun) == len(set(begun)), "two attempts of one request"
            if item["state"] == "paid":
                back = (part["q"] for one in item.get("refunds", ()) if one.get("re") for part in one["l"])
                wanted = sum(line["q"] for line in item["lines"]) - sum(back)
                assert sold[place[1].removeprefix("PURCHASE#")[:9]] >= wanted, "paid without its goods"

    def change(self, key: str, quantity: int) -> PurchaseRequest:
        return PurchaseRequest(
            Caller("web"),
            key,
            f"{key} {quantity}",
            (LineRequest("mug", quantity),),
            buyer=Buyer(email="a@example.com"),
            destination=Destination(street_address="1 High Street", address_country="GB"),
            discount_codes=self.codes,
        )

    def buyer(self, name: str) -> Callable[[], None]:
        """Create, perhaps change, complete with a card that may be declined, and again, perhaps cancel."""
        checkout, intent = self.process(), _Intent.of(name, self.seed)

        def told(key: str, step: Callable[[], Any]) -> Any:
            for _ in range(4):
                try:
                    answer = step()
                except FAILS:
                    continue
                self.answers[key] += isinstance(answer, CheckoutResult)
                return answer
            return None

        def play() -> None:
            created = told(name, lambda: checkout.create(self.change(name, intent.quantity), self.stage.now))
            if not isinstance(created, CheckoutResult):
                return
            purchase_id = created.purchase.id
            self.ids.add(purchase_id)
            for turn, quantity in enumerate(intent.changes):
                key = f"{name}-change-{turn}"
                told(key, partial(self.updated, checkout, purchase_id, self.change(key, quantity)))
            for turn, token in enumerate(intent.tokens):
                key = f"{name}-pay-{turn}"
                wish = CompleteRequest(Caller("web"), key, token, "sandbox", "i", "card", token)
                told(key, partial(self.completed, checkout, purchase_id, wish))
            if intent.cancels:
                told(
                    f"{name}-cancel",
                    lambda: checkout.cancel(purchase_id, Caller("web"), f"{name}-cancel", "", self.stage.now),
                )

        return play

    def updated(self, checkout: Checkout, purchase_id: str, change: PurchaseRequest) -> object:
        return checkout.update(purchase_id, change, self.stage.now)

    def completed(self, checkout: Checkout, purchase_id: str, wish: CompleteRequest) -> object:
        return checkout.complete(purchase_id, wish, self.stage.now)

    def worker(self) -> Callable[[], None]:
        """Messages of placed attempts, delivered again and again, to whoever is there."""
        checkout, random = self.process(), Random(self.random.random())

        def play() -> None:
            for _ in range(8):
                try:
                    if self.ids:
                        purchase_id = random.choice(sorted(self.ids))
                        checkout.process_payment(purchase_id, random.choice([1, 1, 2]), self.stage.now)
                    else:
                        checkout.stock.summary("mug")
                except FAILS:
                    continue

        return play

    def operator(self) -> Callable[[], None]:
        """Orders held back while they are placed, then released or given up."""
        checkout, random = self.process(), Random(self.random.random())

        def play() -> None:
            for _ in range(6):
                purchase_id, now = random.choice(sorted(self.ids) or ["nobody"]), self.stage.now
                hold = partial(checkout.put_on_hold, purchase_id, "ann", now)
                release = partial(checkout.release_from_hold, purchase_id, "ann", now)
                with suppress(*FAILS):
                    random.choice([hold, hold, release, partial(checkout.cancel_held_order, purchase_id, now)])()

        return play

    def settle(self) -> list[Purchase]:
        """Redeliver as the platform does, with nothing failing any more, until every attempt has ended."""
        for _ in range(6):
            self.stage.advance_clock(61_000)
            for purchase in self.purchases():
                if purchase.state is PurchaseState.ON_HOLD:
                    with suppress(*FAILS):
                        self.checkout.cancel_held_order(purchase.id, self.stage.now)
                for attempt in range(1, purchase.attempt + 1):
                    try:
                        self.checkout.process_payment(purchase.id, attempt, self.stage.now)
                    except FAILS:
                        continue
        return self.purchases()

    def purchases(self) -> list[Purchase]:
        places = [place[1] for place in self.stage.table.items if place[-1] == "PURCHASE"]
        read = [self.checkout.purchases.read(place.removeprefix("PURCHASE#")) for place in places]
        return [purchase for purchase in read if purchase is not None]

    def judge(self) -> None:
        """Money, goods and orders agree; nothing is reserved; every unit not sold can be had again."""
        purchases = self.settle()
        sold_to, used_by = dict[str, int](), dict[str, int]()
        for purchase in purchases:
            assert purchase.state not in {PurchaseState.PLACED, PurchaseState.ON_HOLD}
            charges = self._charges(purchase)
            failed = purchase.state is PurchaseState.OPEN and purchase.attempt > 0
            self.stage.events_seen["open after a failed attempt" if failed else purchase.state.value] += 1
            if purchase.state is PurchaseState.PAID:
                assert charges == [purchase.attempt]
                sold_to[purchase.order_ref] = sum(line.quantity for line in purchase.lines)
                if purchase.discounts:
                    used_by[purchase.order_ref] = 1
                    self.stage.events_seen["paid with the code"] += 1
            else:
                assert charges == []
        self.stage.advance_clock(1_000_000)
        self.checkout.stock.refresh(LAYOUT, self.stage.now)
        audit = self.checkout.stock.audit(LAYOUT, sum(SIZES), self.stage.now)
        assert audit.mismatches == ()
        assert dict(audit.sold_by_order) == sold_to
        assert audit.available == sum(SIZES) - sum(sold_to.values())
        uses = self.checkout.stock.audit(USES, 1, self.stage.now)
        assert uses.mismatches == ()
        assert dict(uses.sold_by_order) == used_by
        assert uses.available == 1 - len(used_by)

    def _charges(self, purchase: Purchase) -> list[int]:
        """Attempts that were captured; none may still have money reserved."""
        captured = []
        for attempt in range(1, purchase.attempt + 1):
            found = self.bank.find(purchase.id, attempt, now=self.stage.now)
            assert not isinstance(found, Authorised)
            if isinstance(found, Captured):
                captured.append(attempt)
        return captured
