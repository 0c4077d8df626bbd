"""A shop with a show on air: real rooms over the in-process emulator."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from chalicelib.capture import process_attempt
from chalicelib.checkout import complete_purchase, create_purchase
from chalicelib.discounts import PutDiscountRequest
from chalicelib.instants import MINUTE, Instant, rfc3339
from chalicelib.payments import SandboxGateway
from chalicelib.purchase import CheckoutContext, CheckoutResult, Purchase
from chalicelib.risk import NO_LIMITS, FraudRules
from chalicelib.shows import PutDropRequest, PutShowRequest, Shows
from chalicelib.stock import Stock
from tests.builders.context import a_checkout_context
from tests.builders.purchases import NOW, a_complete_request, a_purchase_request
from tests.conftest import Tables

SHOW = "tonight"
SHOP_CURRENCY = "GBP"


@dataclass(frozen=True)
class ShopFixture:
    """The rooms of a shop, and one call for each step that a test needs done before its subject."""

    tables: Tables
    stock: Stock
    shows: Shows
    context: CheckoutContext
    gateway: SandboxGateway

    def put_drop(self, drop_id: str, *, stock: int = 3, now: Instant = NOW - MINUTE, **changes: Any) -> None:
        """Put a drop that is open from ``now`` on."""
        fields: dict[str, Any] = {
            "show_id": SHOW,
            "sku": f"sku-{drop_id}",
            "title": f"The {drop_id}",
            "unit_price": {"amount": 1_275, "currency": "GBP"},
            "stock": stock,
            "opens_at": rfc3339(now),
        }
        self.shows.put_drop(drop_id, PutDropRequest.model_validate({**fields, **changes}), "test", now)

    def put_discount(self, code: str = "ten", *, now: Instant = NOW - MINUTE, **changes: Any) -> None:
        """Put a code for a tenth off; ``None`` leaves a field out."""
        fields = {"title": f"The {code}", "percent_bps": 1_000} | changes
        discount = PutDiscountRequest.from_body({name: value for name, value in fields.items() if value is not None})
        self.context.discounts.put(code, discount, self.shows.show(SHOW), "test", now)

    def budget_counts(self, code: str = "ten", now: Instant = NOW) -> list[tuple[int, int, int]]:
        """Return available, held and committed uses of each budget, from the buckets."""
        found = self.context.discounts.get_with_budgets(code, now)
        assert found is not None
        return [(budget.available, budget.reserved, budget.used) for budget in found[1]]

    def unit_counts(self, drop_id: str, now: Instant = NOW) -> tuple[int, int, int]:
        """Return units available, held and sold, from the buckets. Fails when a bucket has a mismatch."""
        drop = self.shows.drop(drop_id)
        assert drop is not None
        audit = self.stock.audit(drop.pool, drop.stock, now=now)
        assert not audit.mismatches
        return audit.available, audit.held, audit.sold

    def open_purchase(
        self, *lines: tuple[str, int], key: str = "key-1", now: Instant = NOW, **changes: Any
    ) -> Purchase:
        """Create a purchase with held units, buyer and destination."""
        answer = create_purchase(self.context, a_purchase_request(*lines, key=key, **changes), now)
        assert isinstance(answer, CheckoutResult)
        return answer.purchase

    def place(self, *lines: tuple[str, int], token: str = "ok", key: str = "key-1", now: Instant = NOW) -> Purchase:
        """Create and complete a purchase; it waits for the capture worker."""
        purchase = self.open_purchase(*lines, key=key, now=now)
        answer = complete_purchase(self.context, purchase.id, a_complete_request(token, f"pay-{key}"), now)
        assert isinstance(answer, CheckoutResult)
        return answer.purchase

    def pay(self, *lines: tuple[str, int], key: str = "key-1", now: Instant = NOW) -> Purchase:
        """Create, complete and capture a purchase."""
        purchase = self.place(*lines, key=key, now=now)
        process_attempt(self.context, purchase.id, purchase.attempt, now)
        return self.read(purchase.id)

    def read(self, purchase_id: str) -> Purchase:
        purchase = self.context.purchases.read(purchase_id)
        assert purchase is not None
        return purchase


def a_shop(tables: Tables, *, fraud_rules: FraudRules = NO_LIMITS, **changes: Any) -> ShopFixture:
    """Return the real rooms over these tables, with a show on air. ``changes`` are fields of the checkout context."""
    gateway = SandboxGateway(tables.dynamodb, tables.sandbox)
    context = a_checkout_context(
        tables.dynamodb, tables.stock, tables.commerce, gateway, fraud_rules=fraud_rules, **changes
    )
    show = {"title": "Tonight", "currency": "GBP", "starts_at": rfc3339(NOW - 10 * MINUTE)}
    context.shows.put_show(SHOW, PutShowRequest.model_validate(show), "test", NOW - 10 * MINUTE)
    return ShopFixture(tables, context.stock, context.shows, context, gateway)


def once(
    monkeypatch: pytest.MonkeyPatch, room: type, verb: str, *, before: Callable[[], Any] = int, after: Any = int
) -> None:
    """Run a rival right before, or right after, the next call of a method."""
    real = getattr(room, verb)

    def raced(*arguments: Any, **named: Any) -> Any:
        monkeypatch.setattr(room, verb, real)
        before()
        answer = real(*arguments, **named)
        after()
        return answer

    monkeypatch.setattr(room, verb, raced)


@pytest.fixture
def shop(tables: Tables) -> ShopFixture:
    return a_shop(tables)
