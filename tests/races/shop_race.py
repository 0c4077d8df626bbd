"""A race of purchases: created, updated, completed and cancelled at the same moment, captured and refunded.

The purchases decide which units are sold. The provider decides which money was captured.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, TypeVar

from chalicelib.errors import Conflict, NotFound
from chalicelib.payments import SandboxGateway
from chalicelib.purchase import Purchase, PurchaseRequest, PurchaseState
from chalicelib.stock import Stock
from tests.builders.context import a_checkout_context
from tests.builders.drops import an_open_drop, put_drop_record
from tests.builders.purchases import a_purchase_request
from tests.conftest import EmulatorAccount
from tests.races.faulty_client import ClientFaultRates, FaultyClient
from tests.races.race_clock import RaceClock
from tests.races.stock_race import QUANTITIES, client_of

NOW: Final = 1_800_000_000_000
HOLD_SECONDS: Final = 10

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ShopRace:
    """Drops with the sizes of their buckets, and buyers.

    ``wanted_quantities`` are the units that each patient buyer must get; without them the buyers are restless.
    ``reads_then_writes`` is the control.
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
    """A process of a race: its client and context, and the answers to its buyers."""

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
        """Make a request of a call whose last argument is the instant. A conflict is an answer."""

        def send() -> T | Conflict | NotFound:
            with self.clock.request() as now:
                try:
                    return verb(*arguments, now)
                except (Conflict, NotFound) as answer:
                    return answer

        return send

    def change(self, key: str, quantities: dict[str, int]) -> PurchaseRequest:
        return a_purchase_request(*quantities.items(), key=key)

    def record_answer(self, purchase: Purchase) -> None:
        """Record an answer: one version has always the same content, and paid orders stay paid."""
        same = self.versions.setdefault((purchase.id, purchase.version), purchase) == purchase
        self.figures["forked"] += not same
        if purchase.state is PurchaseState.PAID:
            self.answered_paid.add(purchase.id)

    def collect_results(self) -> tuple[Counter[str], set[str]]:
        return self.figures + self.faulty_client.figures, self.answered_paid


def put_drops(race: ShopRace) -> None:
    """Put open drops and their buckets."""
    client = client_of(race.account)
    stock = Stock(client, race.stock_table, race.commerce_table)
    for drop_id, sizes in race.drops:
        drop = an_open_drop(id=drop_id, stock=sum(sizes), bucket_count=len(sizes), hold_seconds=HOLD_SECONDS)
        put_drop_record(client, drop, race.commerce_table)
        stock.create_buckets(drop_id, sizes, NOW)


def shares_of(units: int, seed: str) -> tuple[int, ...]:
    """Draw quantities of 1 to 5 that add up to ``units``."""
    random, shares = Random(seed), []
    while units:
        shares.append(min(units, random.choice(QUANTITIES)))
        units -= shares[-1]
    return tuple(shares)
