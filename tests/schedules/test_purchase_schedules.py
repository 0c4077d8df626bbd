"""No interleaving of buyers, workers, cuts and late writes charges without goods, strands a unit or leaves money held.

The purchase's own code, the real stock, and the sandbox provider, on a stage.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.exceptions import BotoCoreError

from chalicelib.aws import to_item
from chalicelib.checkout import (
    DEFAULT_MARKETS,
    Answer,
    Buyer,
    Caller,
    Change,
    Checkout,
    Completion,
    Destination,
    Purchase,
    PurchaseStore,
    State,
    Wish,
    capture,
    reserving,
)
from chalicelib.discounts import Applied, Discount, Discounts
from chalicelib.errors import LivedropError
from chalicelib.payments import Authorised, Captured, Gateway, OutcomeUnknownError, SandboxGateway
from chalicelib.shows import Drop, Shows
from chalicelib.stock import HeldAgain, Layout, Stock
from tests.schedules.search import Search, in_parts
from tests.schedules.stage import FAULTS, Stage
from tests.schedules.table import Table

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

LEAPS = (1_000, 4_000, 40_000, 61_000)
HOLD_SECONDS = 30
LAYOUT = Layout("mug", 2)
SIZES = [1, 1]
PRICE = 1_000
TEN = Discount(code="TEN", title="Ten off", percent_bps=1_000, budget_uses=1, uses_homes=1)
USES = TEN.budgets[0].layout

FAILS = (BotoCoreError, LivedropError, OutcomeUnknownError)
"""What a cut call, a rival or a silent provider does to a request or a worker; its client or queue tries again."""


class _Provider:
    """The sandbox with the stage's faults between us and it: lost requests, lost answers, effects that land late."""

    name = "sandbox"

    def __init__(self, stage: Stage, real: SandboxGateway) -> None:
        self._stage, self._real = stage, real

    def __getattr__(self, verb: str) -> Callable[..., Any]:
        def asked(*arguments: Any, **named: Any) -> Any:
            try:
                return self._stage.call(lambda: getattr(self._real, verb)(*arguments, **named), writes=verb != "find")
            except BotoCoreError as error:
                raise OutcomeUnknownError from error

        return asked


class World:
    """Two units of one drop, some buyers, and what must be true when all is quiet.

    In every other world they all have a code that can be used once.
    """

    def __init__(self, seed: int) -> None:
        self.stage = Stage(seed, self.check)
        self.random = Random(seed)
        self.bank = SandboxGateway(cast("DynamoDBClient", Table()), "sandbox")
        self.ids: set[str] = set()
        drop = Drop(
            id="mug", show_id="s", sku="m", title="Mug", unit_price=PRICE, currency="GBP", stock=sum(SIZES), homes=2,
            hold_seconds=HOLD_SECONDS, opens_at=0,
        )  # fmt: skip
        record = {"pk": "DROP#mug", "sk": "DROP", **drop.model_dump(exclude_none=True)}
        self.stage.table.put_item(
            TableName="commerce", Item=to_item(record), ConditionExpression="attribute_not_exists(pk)"
        )
        made = {"made_by": "ann", "made_at": 0, "changed_by": "ann", "changed_at": 0}
        offer = {"pk": "OFFER#TEN", "sk": "OFFER", **TEN.model_dump(exclude_none=True), **made}
        self.stage.table.put_item(
            TableName="commerce", Item=to_item(offer), ConditionExpression="attribute_not_exists(pk)"
        )
        self.codes = ("TEN",) if seed // 2 % 2 else ()  # tests play even and odd seeds apart
        self.till = self.process()
        self.till.stock.lay_out("mug", SIZES, self.stage.now)
        self.till.stock.lay_out(USES.drop_id, [1], self.stage.now)

    def process(self) -> Checkout:
        """What another process has: the same tables, a memory of its own."""
        client = self.stage.client
        stock = Stock(client, "stock", "commerce")
        provider = cast("Gateway", _Provider(self.stage, self.bank))
        shows = Shows(client, "commerce", stock, 30)
        purchases, discounts = PurchaseStore(client, "commerce"), Discounts(client, "commerce", stock)
        return Checkout(purchases, shows, stock, provider, DEFAULT_MARKETS, discounts, b"k" * 32)

    def check(self) -> None:
        places = {**{f"mug#{number}": size for number, size in enumerate(SIZES)}, f"{USES.drop_id}#0": 1}
        for place, size in places.items():
            bucket = self.stage.table.items.get(("stock", place))
            if bucket is not None:
                assert bucket["a"] >= 0
                assert bucket["a"] + sum(entry["q"] for entry in bucket["h"].values()) == size

    def change(self, key: str, quantity: int) -> Change:
        return Change(
            Caller("web"), key, f"{key} {quantity}", (Wish("mug", quantity),), buyer=Buyer(email="a@example.com"),
            destination=Destination(street_address="1 High Street", address_country="GB"), codes=self.codes,
        )  # fmt: skip

    def buyer(self, name: str) -> Callable[[], None]:
        """Create, perhaps change, complete with a card that may be declined, perhaps again, perhaps cancel."""
        till, random = self.process(), Random(f"{name}{self.random.random()}")
        tokens = [random.choice(["ok", "declined", "timeout", "capture_refused", "ok"]) for _ in range(2)]
        quantity, gives_up = random.choice([1, 1, 2]), random.random() < 0.2

        def tried(step: Callable[[], Any]) -> Any:
            for _ in range(4):
                try:
                    return step()
                except FAILS:
                    continue
            return None

        def play() -> None:
            created = tried(lambda: till.create(self.change(name, quantity), self.stage.now))
            if not isinstance(created, Answer):
                return
            ours = created.purchase.id
            self.ids.add(ours)
            if quantity == 2 and random.random() < 0.5:
                tried(lambda: till.update(ours, self.change(f"{name}-fewer", 1), self.stage.now))
            for turn, token in enumerate(tokens):
                wish = Completion(Caller("web"), f"{name}-pay-{turn}", token, "sandbox", "i", "card", token)
                tried(partial(self.completed, till, ours, wish))
            if gives_up:
                tried(lambda: till.cancel(ours, Caller("web"), f"{name}-cancel", "", self.stage.now))

        return play

    def completed(self, till: Checkout, ours: str, wish: Completion) -> object:
        return till.complete(ours, wish, self.stage.now)

    def worker(self) -> Callable[[], None]:
        """Messages of placed attempts, delivered again and again, to whoever is there."""
        till, random = self.process(), Random(self.random.random())

        def play() -> None:
            for _ in range(8):
                try:
                    if self.ids:
                        ours = random.choice(sorted(self.ids))
                        till.capture(ours, random.choice([1, 1, 2]), self.stage.now)
                    else:
                        till.stock.summary("mug")
                except FAILS:
                    continue

        return play

    def settle(self) -> list[Purchase]:
        """Redeliver as the platform does, with nothing failing any more, until every attempt has ended."""
        self.stage.pass_time(61_000)
        for _ in range(6):
            for purchase in self.purchases():
                for attempt in range(1, purchase.attempt + 1):
                    try:
                        self.till.capture(purchase.id, attempt, self.stage.now)
                    except FAILS:
                        continue
        return self.purchases()

    def purchases(self) -> list[Purchase]:
        places = [place[1] for place in self.stage.table.items if place[-1] == "PURCHASE"]
        read = [self.till.purchases.read(place.removeprefix("PURCHASE#")) for place in places]
        return [purchase for purchase in read if purchase is not None]

    def judge(self) -> None:
        """Money, goods and orders agree; nothing is reserved; every unit not sold can be had again."""
        purchases = self.settle()
        sold_to, used_by = dict[str, int](), dict[str, int]()
        for purchase in purchases:
            assert purchase.state is not State.PLACED
            charges = self._charges(purchase)
            failed = purchase.state is State.OPEN and purchase.attempt > 0
            self.stage.happened["open after a failed attempt" if failed else purchase.state.value] += 1
            if purchase.state is State.PAID:
                assert charges == [purchase.attempt]
                sold_to[purchase.order_ref] = sum(line.quantity for line in purchase.lines)
                if purchase.discounts:
                    used_by[purchase.order_ref] = 1
                    self.stage.happened["paid with the code"] += 1
            else:
                assert charges == []
        self.stage.pass_time(1_000_000)
        self.till.stock.refresh(LAYOUT, self.stage.now)
        audit = self.till.stock.audit(LAYOUT, sum(SIZES), self.stage.now)
        assert audit.mismatches == ()
        assert dict(audit.sold_by_order) == sold_to
        assert audit.available == sum(SIZES) - sum(sold_to.values())
        uses = self.till.stock.audit(USES, 1, self.stage.now)
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


def play(seed: int, faults: str) -> Counter[str]:
    world = World(seed)
    for name in ("ada", "bob", "cy"):
        world.stage.actor(world.buyer(name), FAULTS[faults])
    for _ in range(3):
        world.stage.actor(world.worker(), FAULTS[faults])
    world.stage.play(LEAPS)
    world.judge()
    return world.stage.happened


@in_parts(40)
@pytest.mark.parametrize("faults", FAULTS)
def test_no_schedule_charges_without_goods_or_strands_anything(search: Search, faults: str, seeds: range) -> None:
    met = ["paid", "paid with the code", "open after a failed attempt", "processes died"]
    search.finds_nothing(f"purchase, {faults}", seeds, lambda seed: play(seed, faults), met=met)


def test_the_search_catches_a_worker_that_does_not_look_after_the_goods(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "_goods", lambda till, purchase, now: (purchase, True))
    search.catches("a worker that does not look after the goods", 500, lambda seed: play(seed, "doubled, cut and late"))


def test_the_search_catches_an_attempt_ended_before_its_units_are_held_again(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stock, "hold_again", lambda self, layout, ref, order, until: HeldAgain(until))
    search.catches("an attempt ended before its units are held again", 500, lambda seed: play(seed, "doubled"))


def test_the_search_catches_uses_that_are_not_returned(search: Search, monkeypatch: pytest.MonkeyPatch) -> None:
    def kept(till: Checkout, purchase: Purchase, until: int) -> tuple[Applied, ...]:
        return purchase.discounts

    monkeypatch.setattr(reserving, "held_until", kept)
    search.catches("uses that are not returned", 500, lambda seed: play(seed, "doubled"))
