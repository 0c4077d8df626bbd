"""A race of whole purchases: created, changed, completed and cancelled at the same moment, captured, refunded.

The truth about goods is what purchases say; the truth about money is what the provider has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Any, Final, TypeVar

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
    NoPurchase,
    Purchase,
    PurchaseStore,
    RefundWish,
    State,
    Wish,
)
from chalicelib.errors import Conflict, NotFound
from chalicelib.payments import Authorised, Captured, SandboxGateway
from chalicelib.shows import Drop, Shows
from chalicelib.stock import Layout, Stock
from tests.conftest import EngineAccount
from tests.races import crowd
from tests.races.clock import Clock
from tests.races.crowd import asked, at_once
from tests.races.judge import judged, read_buckets
from tests.races.network import FAULTS, NO_FAULTS, Died, Faults, Network
from tests.races.stock_race import GIVES_UP, QUANTITIES, client_of

NOW: Final = 1_800_000_000_000
HOLD_SECONDS: Final = 10
STEP_MS: Final = 300
THREADS: Final = 6
PRICE: Final = 1_000
CALLER: Final = Caller("web")
TOKENS: Final = ("ok", "ok", "ok", "declined", "timeout", "capture_timeout", "captured_late", "capture_refused")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Race:
    """Drops by id with their buckets' sizes, and buyers. ``wanted``: what each of patient buyers must get, if they are.

    ``apart``: the control.
    """

    account: EngineAccount
    stock_table: str
    commerce_table: str
    sandbox_table: str
    drops: tuple[tuple[str, tuple[int, ...]], ...]
    buyers: int
    seed: str
    wanted: tuple[int, ...] = ()
    apart: bool = False

    @property
    def units(self) -> int:
        return sum(sum(sizes) for _, sizes in self.drops)


@dataclass
class Process:
    """What one process of a race has: a client and rooms of its own, and what its buyers were told."""

    race: Race
    clock: Clock
    name: str
    faults: Faults
    figures: Counter[str] = field(default_factory=Counter)
    told_paid: set[str] = field(default_factory=set)
    versions: dict[tuple[str, int], Purchase] = field(default_factory=dict)

    def __post_init__(self) -> None:
        race = self.race
        client: Any = client_of(race.account)
        self.network = Network(client, race.stock_table, self.faults, f"{race.seed}/{self.name}", apart=race.apart)
        dynamodb: Any = self.network
        stock = Stock(dynamodb, race.stock_table, race.commerce_table)
        shows = Shows(dynamodb, race.commerce_table, stock, 30)
        purchases = PurchaseStore(dynamodb, race.commerce_table)
        self.bank = SandboxGateway(dynamodb, race.sandbox_table)
        self.till = Checkout(purchases, shows, stock, self.bank, DEFAULT_MARKETS, race.seed.encode())

    def request(self, verb: Callable[..., T], *arguments: Any) -> Callable[[], T | Conflict | NotFound]:
        """A call that takes the instant as its last argument; that it contradicts what is, is an answer."""

        def send() -> T | Conflict | NotFound:
            with self.clock.request() as now:
                try:
                    return verb(*arguments, now)
                except (Conflict, NotFound) as answer:
                    return answer

        return send

    def change(self, key: str, wishes: dict[str, int]) -> Change:
        return Change(
            CALLER, key, f"{key} {wishes}", tuple(Wish(drop_id, units) for drop_id, units in wishes.items()),
            buyer=Buyer(email="a@example.com"),
            destination=Destination(street_address="1 High Street", address_country="GB"),
        )  # fmt: skip

    def note(self, purchase: Purchase) -> None:
        """What a buyer was told: of one version always the same, and paid remains paid."""
        same = self.versions.setdefault((purchase.id, purchase.version), purchase) == purchase
        self.figures["forked"] += not same
        if purchase.state is State.PAID:
            self.told_paid.add(purchase.id)

    def outcome(self) -> tuple[Counter[str], set[str]]:
        return self.figures + self.network.figures, self.told_paid


class _Buyer:
    """One buyer with one purchase."""

    def __init__(self, process: Process, number: int) -> None:
        self._process, self._till, self._number = process, process.till, number
        self._random = Random(f"{process.race.seed}/{number}")
        self._keys = 0
        self._wishes: dict[str, int] = {}
        self._ours = ""

    def _key(self) -> str:
        self._keys += 1
        return f"{self._number}-{self._keys}"

    def _send(self, *requests: Callable[[], object]) -> list[object]:
        """Requests at the same moment. They are all about this buyer's one purchase."""
        answers = at_once(*requests)
        for answer in answers:
            if isinstance(answer, Answer):
                self._ours = answer.purchase.id
                self._process.note(answer.purchase)
        return answers

    def _create(self, key: str, wishes: dict[str, int], copies: int = 1) -> list[object]:
        change = self._process.change(key, wishes)
        return self._send(*[self._process.request(self._till.create, change)] * copies)

    def _update(self, wishes: dict[str, int]) -> Callable[[], object]:
        change = self._process.change(self._key(), wishes)
        return self._process.request(self._till.update, self._ours, change)

    def _complete(self, token: str) -> Callable[[], object]:
        wish = Completion(CALLER, self._key(), token, "sandbox", "i", "card", token)
        return self._process.request(self._till.complete, self._ours, wish)

    def _cancel(self) -> Callable[[], object]:
        key = self._key()
        return self._process.request(partial(self._till.cancel, self._ours, CALLER, key, key))

    def _find(self) -> Purchase | None:
        (found,) = self._send(self._process.request(self._till.find, self._ours))
        return found.purchase if isinstance(found, Answer) else None

    def _capture(self) -> None:
        """The message of each attempt there may be, perhaps to two workers at once."""
        purchase = self._find()
        if purchase is not None and purchase.state is State.PLACED:
            work = self._process.request(self._till.capture, self._ours, purchase.attempt)
            at_once(*[work] * self._random.choice([1, 1, 2]))


class _Restless(_Buyer):
    """Does all that a buyer may do, much of it twice or at the wrong moment."""

    def play(self) -> Iterator[None]:
        some, key = self._random, self._key()
        drops = [drop_id for drop_id, _ in self._process.race.drops]
        chosen = some.sample(drops, some.choice([1, 1, len(drops)]))
        wishes = {drop_id: some.choice(QUANTITIES) for drop_id in chosen}
        for _ in range(4):
            answers = self._create(key, wishes, copies=some.choice([1, 1, 2]))
            self._note(answers)
            yield
            if self._ours:
                break
            yield
        if not self._ours:
            return
        if some.random() < 0.7:
            self._send(*self._tangle(wishes))
            yield
            self._capture()
        for _ in range(some.choice([0, 2, 5])):
            yield
        for _ in range(3):
            self._send(*[self._complete(some.choice(TOKENS))] * some.choice([1, 2]))
            yield
            self._capture()
            yield
        purchase = self._find()
        if purchase is not None and purchase.state is State.PAID and some.random() < 0.3:
            at_once(*[self._refund(purchase)] * some.choice([1, 2]))
            self._process.figures["refunds"] += 1

    def _note(self, answers: list[object]) -> None:
        created = {answer.purchase.id for answer in answers if isinstance(answer, Answer)}
        self._process.figures["double_holds"] += len(created) > 1
        self._process.figures["replays"] += sum(isinstance(answer, Answer) for answer in answers) > 1
        refused = [answer for answer in answers if isinstance(answer, NoPurchase)]
        for answer in refused:
            self._process.figures[f"refused_{answer.messages[0].code}"] += 1

    def _tangle(self, wishes: dict[str, int]) -> list[Callable[[], object]]:
        """Requests that contradict one another."""
        other = {drop_id: self._random.choice(QUANTITIES) for drop_id in wishes}
        update, complete = self._update(other), self._complete("ok")
        return self._random.choice(
            [
                [update, self._update(wishes)],
                [update, update],
                [update, complete],
                [update, complete, complete],
                [complete, self._complete("ok")],
                [self._cancel(), complete],
            ]
        )

    def _refund(self, purchase: Purchase) -> Callable[[], object]:
        till, key = self._till, self._key()
        if self._random.random() < 0.5:
            return self._process.request(partial(till.cancel_order, self._ours, key, key, "ann"))
        line = purchase.lines[0]
        lines = ((line.id, self._random.randint(1, line.quantity)),)
        return self._process.request(till.refund, self._ours, RefundWish(key, key, lines, True, "ann"))


class _Patient(_Buyer):
    """Wants so many and comes back until it has them, whatever is lost or dies on the way."""

    def play(self) -> Iterator[None]:
        ((drop_id, _),) = self._process.race.drops
        wishes, key = {drop_id: self._process.race.wanted[self._number]}, self._key()
        for _ in range(100):
            purchase = self._found()
            if purchase is None:
                self._surviving(lambda: self._create(key, wishes))
            elif purchase.state is State.PLACED:
                self._surviving(self._capture)
            elif purchase.state is State.PAID:
                return
            elif [line.quantity for line in purchase.lines] == [*wishes.values()]:
                self._surviving(lambda: self._send(self._complete("ok")))
            else:
                self._surviving(lambda: self._send(self._update(wishes)))
            yield

    def _found(self) -> Purchase | None:
        return self._find() if self._ours else None

    def _surviving(self, step: Callable[[], object]) -> None:
        try:
            step()
        except Died:
            self._process.figures["deaths"] += 1


def lay_out(race: Race) -> None:
    """The drops, open, and their buckets."""
    client = client_of(race.account)
    stock = Stock(client, race.stock_table, race.commerce_table)
    for drop_id, sizes in race.drops:
        drop = Drop(
            id=drop_id, show_id="s", sku=drop_id, title=drop_id, unit_price=PRICE, currency="GBP", stock=sum(sizes),
            homes=len(sizes), hold_seconds=HOLD_SECONDS, opens_at=0,
        )  # fmt: skip
        record = {"pk": f"DROP#{drop_id}", "sk": "DROP", **drop.model_dump(exclude_none=True)}
        client.put_item(TableName=race.commerce_table, Item=to_item(record))
        stock.lay_out(drop_id, sizes, NOW)


def run(race: Race, clock: Clock, part: int, parts: int) -> tuple[Counter[str], set[str]]:
    """One process's share of the buyers, to their ends."""
    process = Process(race, clock, str(part), FAULTS)
    kind = _Patient if race.wanted else _Restless
    buyers = [kind(process, number).play() for number in range(part, race.buyers, parts)]
    errors = crowd.play(buyers, clock, f"{race.seed}/{part}", threads=THREADS, step_ms=STEP_MS)
    process.figures["errors"] += len(errors)
    return process.outcome()


def finish(race: Race, clock: Clock, told_paid: set[str]) -> Counter[str]:
    """Deliver what is left as the platform would, let all holds lapse, let late buyers come, then open the books."""
    process = Process(race, clock, "late", NO_FAULTS)
    _settle(process)
    clock.let_pass(1_000_000)
    for drop_id, sizes in race.drops:  # the stream of the stock table does it within a second of quiet
        process.till.stock.refresh(Layout(drop_id, len(sizes)), clock.now())
    if not race.wanted:
        for drop_id, sizes in race.drops:
            _sell_the_rest(process, drop_id, sum(sizes))
    purchases = {purchase.id: purchase for purchase in _purchases(process)}
    found = process.outcome()[0]
    for purchase in purchases.values():
        found["money"] += not _money_is_right(process, purchase)
        found[f"purchases_{purchase.state}"] += 1
    found["lost_sales"] += sum(purchases[ours].state is not State.PAID for ours in told_paid if ours in purchases)
    found["lost_sales"] += len(told_paid - purchases.keys())
    for drop_id, sizes in race.drops:
        told = {purchase.order_ref: {_sold(purchase, drop_id)} for purchase in purchases.values()}
        buckets = read_buckets(client_of(race.account), race.stock_table, Layout(drop_id, len(sizes)))
        found.update(judged(buckets, sum(sizes), told))
    if race.wanted:
        got = Counter(_sold(purchase, race.drops[0][0]) for purchase in purchases.values())
        found["refused_for_good"] += (Counter(race.wanted) - got).total()
    return found


def _purchases(process: Process) -> list[Purchase]:
    return [one for one in process.till.purchases.scan() if _is_ours(process.race, one)]


def _is_ours(race: Race, purchase: Purchase) -> bool:
    drops = {drop_id for drop_id, _ in race.drops}
    return any(line.drop_id in drops for line in purchase.lines)


def _settle(process: Process) -> None:
    """Redeliver every message and repair, with nothing failing any more, until every attempt has ended."""
    till, clock = process.till, process.clock
    for _ in range(4):
        clock.let_pass(61_000)
        for purchase in _purchases(process):
            for attempt in range(1, purchase.attempt + 1):
                asked(process.request(till.capture, purchase.id, attempt))
        till.repair(lambda ours, attempt: None, clock.now())


def _sell_the_rest(process: Process, drop_id: str, units: int) -> None:
    """Late buyers of one drop, one after another, until they are told that it is sold out."""
    random, refused = Random(f"{process.race.seed}/{drop_id}"), 0
    for late in range(20 * units):
        if refused == GIVES_UP:
            return
        buyer = _Buyer(process, 1_000_000 + late)
        wishes = {drop_id: random.choice(QUANTITIES)}
        (answer,) = buyer._create(f"late-{drop_id}-{late}", wishes)
        if isinstance(answer, NoPurchase):
            if answer.messages[0].code == "out_of_stock":
                return
            refused += 1
            process.clock.let_pass(1_500)
        elif isinstance(answer, Answer):
            refused = 0
            buyer._send(buyer._complete("ok"))
            buyer._capture()


def _sold(purchase: Purchase, drop_id: str) -> int:
    """Units of a drop that a purchase has: paid for, less those that a refund gave back to stock."""
    if purchase.state is not State.PAID:
        return 0
    lines = {line.id: line.quantity for line in purchase.lines if line.drop_id == drop_id}
    returned = [part for refund in purchase.refunds if refund.restock for part in refund.lines if part.line_id in lines]
    return sum(lines.values()) - sum(part.quantity for part in returned)


def _money_is_right(process: Process, purchase: Purchase) -> bool:
    """Paid: captured by its last attempt alone. Not paid: by none. Nothing reserved, no attempt unended."""
    captured = []
    for attempt in range(1, purchase.attempt + 1):
        found = process.bank.find(purchase.id, attempt, now=process.clock.now())
        if isinstance(found, Authorised):
            return False
        if isinstance(found, Captured):
            captured.append(attempt)
    paid = purchase.state is State.PAID
    return captured == ([purchase.attempt] if paid else []) and purchase.state is not State.PLACED


def shares_of(units: int, seed: str) -> tuple[int, ...]:
    """Quantities of 1 to 5 that add up to ``units``."""
    random, shares = Random(seed), []
    while units:
        shares.append(min(units, random.choice(QUANTITIES)))
        units -= shares[-1]
    return tuple(shares)
