"""A race for a discount budget: more buyers than uses complete at the same moment in several processes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import Any, Final
from unittest.mock import patch

from chalicelib.capture import process_attempt
from chalicelib.checkout import complete_purchase, create_purchase, update_purchase
from chalicelib.discounts import Budget, budget_pool
from chalicelib.instants import SECOND, Instant
from chalicelib.payments import SandboxGateway
from chalicelib.purchase import Buyer, CheckoutContext, CheckoutResult, PurchaseState
from chalicelib.stock import HoldRef, Pool, Stock, Taken, TakeResult
from tests.builders.context import a_checkout_context
from tests.builders.purchases import NOW, a_complete_request, a_purchase_request
from tests.conftest import EmulatorAccount
from tests.races.race_clock import RaceClock
from tests.races.stock_race import client_of

CODE: Final = "RUSH"
MAX_TRIES: Final = 30
PAUSE: Final = 1_100
"""Milliseconds until a buyer repeats a busy request. They are added to ``now``; the test does not sleep."""
LATER: Final[Instant] = NOW + 60 * SECOND


@dataclass(frozen=True, slots=True)
class DiscountRace:
    """``declined`` buyers pay with a card that is declined, and do not try again.

    ``reads_then_writes`` is the control: it reads how many uses are left, then writes one fewer.
    """

    account: EmulatorAccount
    stock_table: str
    commerce_table: str
    sandbox_table: str
    drop_id: str
    buyers: int
    declined: int = 0
    reads_then_writes: bool = False


class DiscountRaceProcess:
    """A process with its own client and context, and its share of the buyers."""

    def __init__(self, race: DiscountRace, part: int, parts: int) -> None:
        client: Any = client_of(race.account)
        gateway = SandboxGateway(client, race.sandbox_table)
        self.context = a_checkout_context(client, race.stock_table, race.commerce_table, gateway)
        self.race, self.client = race, client
        self.numbers = range(part, race.buyers, parts)
        self.figures: Counter[str] = Counter()

    def create(self, number: int) -> str:
        """Create a purchase with the code, whose units are held."""
        fields: dict[str, Any] = {
            "key": f"rush-{number}",
            "discount_codes": (CODE,),
            "buyer": Buyer(email=f"b{number}@example.com"),
        }
        answer = create_purchase(self.context, a_purchase_request((self.race.drop_id, 1), **fields), NOW)
        assert isinstance(answer, CheckoutResult)
        return answer.purchase.id

    def complete(self, number: int, purchase_id: str, key: str, now: Instant) -> CheckoutResult:
        """Complete a purchase, and repeat the request while the answer is busy."""
        token = "declined" if number < self.race.declined else "ok"
        for tries in range(MAX_TRIES):
            answer = complete_purchase(
                self.context, purchase_id, a_complete_request(token, f"{key}-{number}"), now + tries * PAUSE
            )
            assert isinstance(answer, CheckoutResult)
            if "busy" not in {message.code for message in answer.messages}:
                return answer
            self.figures["busy"] += 1
        raise AssertionError("still busy after all tries")

    def capture(self, purchase_id: str, now: Instant) -> None:
        purchase = self.context.purchases.read(purchase_id)
        if purchase is not None and purchase.state is PurchaseState.PLACED:
            process_attempt(self.context, purchase_id, purchase.attempt, now)

    def retry_with_code(self, number: int, purchase_id: str, now: Instant) -> None:
        """Request the code again after a new total, and agree to the total that results."""
        purchase = self.context.purchases.read(purchase_id)
        if purchase is None or purchase.state is not PurchaseState.OPEN or number < self.race.declined:
            return
        update_purchase(self.context, purchase_id, a_purchase_request(key=f"ask-{number}", discount_codes=(CODE,)), now)
        if self.complete(number, purchase_id, "again", now).purchase.state is PurchaseState.OPEN:
            self.complete(number, purchase_id, "agreed", now)
        self.capture(purchase_id, now)


def run_rush(race: DiscountRace, clock: RaceClock, part: int, parts: int) -> tuple[Counter[str], list[str]]:
    """Let one process's share of the buyers complete at once, and capture their attempts."""
    process = DiscountRaceProcess(race, part, parts)
    purchase_ids = {number: process.create(number) for number in process.numbers}
    barrier = Barrier(len(purchase_ids))

    def step(number: int) -> None:
        barrier.wait(timeout=60)
        process.complete(number, purchase_ids[number], "pay", NOW)
        process.capture(purchase_ids[number], NOW)

    take = (
        read_then_write(Stock.take, process.client, race.stock_table, len(purchase_ids))
        if race.reads_then_writes
        else Stock.take
    )
    with patch.object(Stock, "take", take):
        _all_at_once(step, process.numbers)
    return process.figures, list(purchase_ids.values())


def run_retries(race: DiscountRace, clock: RaceClock, part: int, parts: int) -> Counter[str]:
    """Let the buyers without a use request the code again at once, after uses were returned."""
    process = DiscountRaceProcess(race, part, parts)
    purchase_ids = {number: process.create(number) for number in process.numbers}
    _all_at_once(lambda number: process.retry_with_code(number, purchase_ids[number], LATER), process.numbers)
    return process.figures


def _all_at_once(step: Callable[[int], None], numbers: Sequence[int]) -> None:
    with ThreadPoolExecutor(len(numbers)) as pool:
        list(pool.map(step, numbers))


def read_then_write(real: Callable[..., TakeResult], client: Any, table: str, buyers: int) -> Callable[..., TakeResult]:
    """Return the control's take: read what is left of a budget, then write one fewer without a condition."""
    all_have_read = Barrier(buyers)

    def take(self: Stock, pool: Pool, hold_id: str, quantity: int, expires_at: int, *summary: Any, now: Instant) -> Any:
        if budget_pool(pool.pool_id) is None:
            return real(self, pool, hold_id, quantity, expires_at, *summary, now=now)
        key = {"pk": {"S": f"{pool.pool_id}#0"}}
        left = int(client.get_item(TableName=table, Key=key, ConsistentRead=True)["Item"]["a"]["N"])
        all_have_read.wait(timeout=60)
        assert left >= quantity
        client.update_item(
            TableName=table,
            Key=key,
            UpdateExpression="SET a = :left, h.#hold = :hold",
            ExpressionAttributeNames={"#hold": hold_id},
            ExpressionAttributeValues={
                ":left": {"N": str(left - quantity)},
                ":hold": {"M": {"q": {"N": str(quantity)}, "u": {"N": str(expires_at)}}},
            },
        )
        return Taken(HoldRef(hold_id, 0, quantity, expires_at))

    return take


def discounts_used(context: CheckoutContext, purchase_ids: Sequence[str]) -> list[int]:
    """Return the amount that the code took off each paid order, read from the orders."""
    found = context.purchases.read_all(purchase_ids).values()
    return [one.amount for purchase in found if purchase.state is PurchaseState.PAID for one in purchase.discounts]


def budget_of(context: CheckoutContext) -> Budget:
    active = context.discounts.find(CODE, NOW)
    assert active is not None
    return active.discount.budgets[0]
