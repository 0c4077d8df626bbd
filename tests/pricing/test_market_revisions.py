"""The shop's own table of markets: its revisions, refused tables, and the effect of a change on open purchases."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib import checkout
from chalicelib.capture import process_attempt
from chalicelib.checkout import create_purchase
from chalicelib.errors import BadInput
from chalicelib.instants import SECOND
from chalicelib.pricing import DEFAULT_MARKETS, Market, MarketRevisions, Markets, ShippingOption
from chalicelib.purchase import CheckoutResult, Purchase, PurchaseState
from chalicelib.refunds import cancel_paid_order
from tests.builders.purchases import NOW, a_complete_request, a_purchase_request
from tests.builders.shop import ShopFixture, a_shop
from tests.checkout.actions import message_codes
from tests.conftest import Tables

LATER = NOW + 2 * SECOND
GB, US = DEFAULT_MARKETS.markets


def with_gb(**changes: Any) -> Markets:
    return Markets(markets=(GB.model_copy(update=changes), US), elsewhere=DEFAULT_MARKETS.elsewhere)


def options(free_from: int | None = None, **prices: int) -> tuple[ShippingOption, ...]:
    free = {} if free_from is None else {"GBP": free_from}
    return tuple(ShippingOption(id=id_, title=id_, price={"GBP": p}, free_from=free) for id_, p in prices.items())


@pytest.fixture
def table(tables: Tables) -> MarketRevisions:
    return MarketRevisions(tables.dynamodb, tables.commerce, DEFAULT_MARKETS)


@pytest.fixture
def shop(tables: Tables, table: MarketRevisions) -> ShopFixture:
    shop = a_shop(tables, markets_at=table.current)
    shop.put_drop("mug", stock=9)
    return shop


def complete_purchase(shop: ShopFixture, purchase: Purchase, key: str = "pay-1", now: int = LATER) -> CheckoutResult:
    answer = checkout.complete_purchase(shop.context, purchase.id, a_complete_request("ok", key), now)
    assert isinstance(answer, CheckoutResult)
    return answer


# Revisions.


def test_product_has_a_table_of_its_own_until_an_operator_puts_one(table: MarketRevisions) -> None:
    assert table.current(NOW) is DEFAULT_MARKETS
    assert [(one.number, one.put_by) for one in table.newest(9)] == [(0, None)]


def test_revision_is_read_whole_with_author_and_time(tables: Tables, table: MarketRevisions) -> None:
    changed = with_gb(standard_rate_bps=2_100, shipping=options(5_000, post=300))
    assert table.put(changed, "ann", NOW)[1]
    assert table.put(DEFAULT_MARKETS, "bob", NOW + 1)[1]
    other_process = MarketRevisions(tables.dynamodb, tables.commerce, with_gb(tax_included=False))
    assert other_process.current(LATER) == DEFAULT_MARKETS
    revisions = [(one.number, one.put_by, one.put_at, one.markets) for one in other_process.newest(9)]
    assert revisions == [(2, "bob", NOW + 1, DEFAULT_MARKETS), (1, "ann", NOW, changed)]


def test_same_table_again_adds_no_revision(table: MarketRevisions) -> None:
    table.put(with_gb(standard_rate_bps=2_100), "ann", NOW)
    revision, new = table.put(with_gb(standard_rate_bps=2_100), "bob", LATER)
    assert (revision.number, revision.put_by, new) == (1, "ann", False)


def test_change_is_visible_at_once_and_to_other_processes_after_a_second(
    tables: Tables, table: MarketRevisions
) -> None:
    other = MarketRevisions(tables.dynamodb, tables.commerce, DEFAULT_MARKETS)
    assert (table.current(NOW), other.current(NOW)) == (DEFAULT_MARKETS, DEFAULT_MARKETS)
    changed = with_gb(standard_rate_bps=2_100)
    table.put(changed, "ann", NOW)
    assert table.current(NOW) == changed
    assert other.current(NOW + 999) == DEFAULT_MARKETS
    assert other.current(NOW + SECOND) == changed


def test_two_puts_at_once_become_two_revisions(
    tables: Tables, table: MarketRevisions, monkeypatch: pytest.MonkeyPatch
) -> None:
    rival = MarketRevisions(tables.dynamodb, tables.commerce, DEFAULT_MARKETS)
    add = MarketRevisions._add

    def add_after_rival(self: MarketRevisions, revision: Any) -> bool:
        monkeypatch.setattr(MarketRevisions, "_add", add)
        rival.put(with_gb(standard_rate_bps=1), "bob", NOW)
        return add(self, revision)

    monkeypatch.setattr(MarketRevisions, "_add", add_after_rival)
    revision, _ = table.put(with_gb(standard_rate_bps=2), "ann", NOW)
    assert revision.number == 2
    assert [(one.number, one.put_by) for one in table.newest(9)] == [(2, "ann"), (1, "bob")]


ROW = DEFAULT_MARKETS.elsewhere
BAD = {
    "$.markets[1].id": Markets(markets=(GB, US.model_copy(update={"id": "GB"})), elsewhere=ROW),
    "$.elsewhere.id": Markets(markets=(GB,), elsewhere=ROW.model_copy(update={"id": "GB"})),
    "$.markets[1].countries[0]": Markets(markets=(GB, US.model_copy(update={"countries": ("GB",)})), elsewhere=ROW),
    "$.markets[0].countries[1]": with_gb(countries=("GB", "GB")),
    "$.markets[0].countries": with_gb(countries=()),
    "$.markets[0].shipping": with_gb(shipping=()),
    "$.markets[0].shipping[1].id": with_gb(shipping=(*options(post=1), *options(post=2))),
    "$.markets[0].shipping[0].free_from.EUR": with_gb(
        shipping=(ShippingOption(id="post", title="Post", price={"GBP": 1}, free_from={"EUR": 1}),)
    ),
    "$.elsewhere.countries": Markets(markets=(GB,), elsewhere=ROW.model_copy(update={"countries": ("FR",)})),
}


@pytest.mark.parametrize("field", BAD)
def test_table_that_contradicts_itself_is_refused_and_changes_nothing(table: MarketRevisions, field: str) -> None:
    with pytest.raises(BadInput) as refusal:
        table.put(BAD[field], "ann", NOW)
    assert refusal.value.field == field
    assert table.newest(9)[0].number == 0


def test_table_that_is_too_large_is_refused(table: MarketRevisions) -> None:
    many = tuple(GB.model_copy(update={"id": f"M{n}", "countries": ()}) for n in range(300))
    with pytest.raises(BadInput) as refusal:
        table.put(Markets(markets=many, elsewhere=ROW), "ann", NOW)
    assert refusal.value.code == "table_too_large"


def test_country_without_a_shipping_option_is_undeliverable(shop: ShopFixture, table: MarketRevisions) -> None:
    table.put(Markets(markets=(GB, US), elsewhere=ROW.model_copy(update={"shipping": ()})), "ann", NOW)
    paris = a_purchase_request().destination
    assert paris is not None
    answer = create_purchase(
        shop.context,
        a_purchase_request(("mug", 1), destination=paris.model_copy(update={"address_country": "FR"})),
        LATER,
    )
    assert message_codes(answer) == ["address_undeliverable"]
    assert answer.messages[0].content == "The shop has no delivery price in GBP to this country."


# The effect of a change on open purchases.

CHANGES: dict[str, Markets] = {
    "rate": with_gb(standard_rate_bps=2_100),
    "category": with_gb(categories={"mugs": 500}),
    "mode": with_gb(tax_included=False),
    "shipping": with_gb(shipping=options(standard=396)),
    "threshold": with_gb(shipping=options(1_275, standard=395)),
    "option removed, at the same price": with_gb(shipping=options(post=395)),
    "no option left in this currency": with_gb(
        shipping=(ShippingOption(id="standard", title="Standard", price={"EUR": 395}),)
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_completion_after_a_change_shows_the_new_totals_and_places_nothing(
    shop: ShopFixture, table: MarketRevisions, change: str
) -> None:
    shop.put_drop("mug", stock=9, tax_category="mugs")
    purchase = shop.open_purchase(("mug", 1))
    assert purchase.totals.total == 1_275 + 395
    table.put(CHANGES[change], "ann", NOW)
    answer = complete_purchase(shop, purchase)
    assert message_codes(answer)[0] == "totals_changed"
    assert answer.purchase.state is PurchaseState.OPEN
    assert shop.unit_counts("mug", LATER) == (8, 1, 0)
    shown = shop.read(purchase.id)
    assert (shown.totals, shown.shipping_option) == (answer.purchase.totals, answer.purchase.shipping_option)
    assert (shown.totals, shown.shipping_option) != (purchase.totals, purchase.shipping_option)
    agreed = complete_purchase(shop, shown, "pay-2")
    if change == "no option left in this currency":
        assert (agreed.purchase.state, message_codes(agreed)) == (PurchaseState.OPEN, ["address_undeliverable"])
    else:
        assert agreed.purchase.state is PurchaseState.PLACED
        assert agreed.purchase.totals == shown.totals


def test_completion_after_an_unrelated_change_places_the_order(shop: ShopFixture, table: MarketRevisions) -> None:
    purchase = shop.open_purchase(("mug", 1))
    table.put(with_gb(categories={"books": 100}, shipping=options(1_276, standard=395)), "ann", NOW)
    answer = complete_purchase(shop, purchase)
    assert (answer.purchase.state, answer.purchase.totals) == (PurchaseState.PLACED, purchase.totals)


def test_placed_order_keeps_its_rates_and_total(shop: ShopFixture, table: MarketRevisions) -> None:
    purchase = complete_purchase(shop, shop.open_purchase(("mug", 1))).purchase
    table.put(with_gb(standard_rate_bps=9_000, tax_included=False, shipping=options(post=9_999)), "ann", LATER)
    process_attempt(shop.context, purchase.id, 1, LATER + SECOND)
    paid = shop.read(purchase.id)
    assert (paid.state, paid.totals, paid.lines) == (PurchaseState.PAID, purchase.totals, purchase.lines)
    captured = shop.tables.dynamodb.scan(TableName=shop.tables.sandbox)["Items"][0]["captured"]
    assert (captured, paid.totals.total, paid.lines[0].tax_rate_bps) == ({"N": "1670"}, 1_670, 2_000)
    _, refund = cancel_paid_order(shop.context, paid.id, "cancel", "", "ann", LATER + SECOND)
    assert (refund.amount, refund.shipping) == (1_670, 395)


def test_purchase_of_a_removed_market_moves_to_elsewhere(shop: ShopFixture, table: MarketRevisions) -> None:
    purchase = shop.open_purchase(("mug", 1))
    table.put(Markets(markets=(), elsewhere=ROW), "ann", NOW)
    answer = complete_purchase(shop, purchase)
    assert message_codes(answer)[0] == "totals_changed"
    assert (answer.purchase.market, answer.purchase.totals.shipping) == ("ROW", 1_495)


def test_markets_are_read_from_their_document() -> None:
    body = {
        "markets": [
            {
                "id": "EU",
                "countries": ["FR", "DE"],
                "tax_included": True,
                "standard_rate_bps": 2_000,
                "shipping": [{"id": "post", "title": "Post", "price": {"EUR": 500}}],
            }
        ],
        "elsewhere": {"id": "ROW", "tax_included": False, "standard_rate_bps": 0, "shipping": []},
    }
    markets = Markets.model_validate(body)
    markets.check()
    found: list[Market | None] = [markets.of_country(country) for country in ("FR", "DE", "GB", "F1")]
    assert [one.id if one else None for one in found] == ["EU", "EU", "ROW", None]
