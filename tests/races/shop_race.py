"""A race of whole purchases: created, changed, completed and cancelled at the same moment, captured, refunded.

The truth about goods is what purchases say; the truth about money is what the provider has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeVar

from chalicelib.aws import to_item
from chalicelib.errors import Conflict, NotFound
from chalicelib.payments import SandboxGateway
from chalicelib.purchase import (
    Buyer,
    Caller,
    Destination,
    LineRequest,
    Purchase,
    PurchaseRequest,
    PurchaseState,
)
from chalicelib.shows import Drop
from chalicelib.stock import Stock
from tests.builders.context import a_checkout_context
from tests.conftest import EmulatorAccount
from tests.races.faulty_client import ClientFaultRates, FaultyClient
from tests.races.race_clock import RaceClock
from tests.races.stock_race import QUANTITIES, client_of

NOW: Final = 1_800_000_000_000
HOLD_SECONDS: Final = 10
PRICE: Final = 1_000
CALLER: Final = Caller("web")

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ShopRace:
    """Drops by id with their buckets' sizes, and buyers. ``wanted``: what each of patient buyers must get, if they are.

    ``apart``: the control.
    """

    account: EmulatorAccount
    stock_table: str
    commerce_table: str
    sandbox_table: str
    drops: tuple[tuple[str, tuple[int, ...]], ...]
    buyers: int
    seed: str
    wanted_quantities: tuple[int, ...] = ()
    reads_then_writes: bool = False

    @property
    def units(self) -> int:
        return sum(sum(sizes) for _, sizes in self.drops)


@dataclass
class ShopRaceProcess:
    """What one process of a race has: a client and rooms of its own, and what its buyers were told."""

    race: ShopRace
    clock: RaceClock
    name: str
    faults: ClientFaultRates
    figures: Counter[str] = field(default_factory=Counter)
    answered_paid: set[str] = field(default_factory=set)
    versions: dict[tuple[str, int], Purchase] = field(default_factory=dict)

    def __post_init__(self) -> None:
        race = self.race
        client: Any = client_of(race.account)
        self.faulty_client = FaultyClient(
            client, race.stock_table, self.faults, f"{race.seed}/{self.name}", reads_then_writes=race.reads_then_writes
        )
        dynamodb: Any = self.faulty_client
        self.gateway = SandboxGateway(dynamodb, race.sandbox_table)
        self.context = a_checkout_context(
            dynamodb, race.stock_table, race.commerce_table, self.gateway, id_key=race.seed.encode()
        )

    def request(self, verb: Callable[..., T], *arguments: Any) -> Callable[[], T | Conflict | NotFound]:
        """A call that takes the instant as its last argument; that it contradicts what is, is an answer."""

        def send() -> T | Conflict | NotFound:
            with self.clock.request() as now:
                try:
                    return verb(*arguments, now)
                except (Conflict, NotFound) as answer:
                    return answer

        return send

    def change(self, key: str, quantities: dict[str, int]) -> PurchaseRequest:
        return PurchaseRequest(
            CALLER,
            key,
            f"{key} {quantities}",
            tuple(LineRequest(drop_id, units) for drop_id, units in quantities.items()),
            buyer=Buyer(email="a@example.com"),
            destination=Destination(street_address="1 High Street", address_country="GB"),
        )

    def record_answer(self, purchase: Purchase) -> None:
        """What a buyer was told: of one version always the same, and paid remains paid."""
        same = self.versions.setdefault((purchase.id, purchase.version), purchase) == purchase
        self.figures["forked"] += not same
        if purchase.state is PurchaseState.PAID:
            self.answered_paid.add(purchase.id)

    def collect_results(self) -> tuple[Counter[str], set[str]]:
        return self.figures + self.faulty_client.figures, self.answered_paid


def put_drops(race: ShopRace) -> None:
    """The drops, open, and their buckets."""
    client = client_of(race.account)
    stock = Stock(client, race.stock_table, race.commerce_table)
    for drop_id, sizes in race.drops:
        drop = Drop(
            id=drop_id, show_id="s", sku=drop_id, title=drop_id, unit_price=PRICE, currency="GBP", stock=sum(sizes),
            bucket_count=len(sizes), hold_seconds=HOLD_SECONDS, opens_at=0,
        )  # fmt: skip
        record = {"pk": f"DROP#{drop_id}", "sk": "DROP", **drop.model_dump(exclude_none=True)}
        client.put_item(TableName=race.commerce_table, Item=to_item(record))
        stock.create_buckets(drop_id, sizes, NOW)


def shares_of(units: int, seed: str) -> tuple[int, ...]:
    """Quantities of 1 to 5 that add up to ``units``."""
    random, shares = Random(seed), []
    while units:
        shares.append(min(units, random.choice(QUANTITIES)))
        units -= shares[-1]
    return tuple(shares)
