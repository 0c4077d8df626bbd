"""Search and lists (L1 to L5)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import stripe

from tests.doubles.stripe import Account, Behaviour
from tests.doubles.stripe.calls import capture, create, refusal_of


def _found(client: stripe.StripeClient, query: str) -> list[str]:
    return [one.id for one in client.v1.payment_intents.search({"query": query}).data]


def test_the_search_finds_a_payment_a_minute_later(account: Account, client: stripe.StripeClient) -> None:
    intent = create(client, metadata={"purchase": "p1", "attempt": "1"})
    query = "metadata['purchase']:'p1' AND metadata['attempt']:'1'"
    account.advance(59)
    assert _found(client, query) == []
    account.advance(1)
    assert _found(client, query) == [intent.id]
    assert _found(client, "metadata['purchase']:'p1' AND metadata['attempt']:'2'") == []


def test_the_search_filters_by_the_old_copy_and_returns_the_present_object(
    account: Account, client: stripe.StripeClient
) -> None:
    intent = create(client, metadata={"attempt": "1"})
    account.advance(60)
    client.v1.payment_intents.update(intent.id, {"metadata": {"attempt": "2"}})
    [found] = client.v1.payment_intents.search({"query": "metadata['attempt']:'1'"}).data
    assert found.metadata.to_dict() == {"attempt": "2"}
    assert _found(client, "metadata['attempt']:'2'") == []
    account.advance(60)
    assert _found(client, "metadata['attempt']:'1'") == []
    assert _found(client, "metadata['attempt']:'2'") == [intent.id]


def test_an_outage_delays_the_search_by_up_to_an_hour(account: Account, client: stripe.StripeClient) -> None:
    account.search_outage(3_600)
    intent = create(client, metadata={"purchase": "p1"})
    account.advance(3_599)
    assert _found(client, "metadata['purchase']:'p1'") == []
    account.advance(1)
    assert _found(client, "metadata['purchase']:'p1'") == [intent.id]


def test_an_account_in_india_has_no_search(client: stripe.StripeClient, account: Account) -> None:
    intent = create(client, metadata={"purchase": "p1"})
    account.state.behaviour = replace(account.state.behaviour, search=False)
    assert refusal_of(lambda: _found(client, "metadata['purchase']:'p1'")).code is None
    assert [one.id for one in client.v1.payment_intents.list().data] == [intent.id]


def test_the_search_reads_status_amount_and_time(account: Account, client: stripe.StripeClient) -> None:
    held = create(client, amount=1_000).id
    paid = capture(client).id
    account.advance(60)
    assert _found(client, "status:'succeeded'") == [paid]
    assert _found(client, "-status:'succeeded'") == [held]
    assert _found(client, "amount>1000 AND currency:'gbp'") == [paid]
    assert _found(client, f"created<={account.now // 1_000 - 60}") == [paid, held]
    assert refusal_of(lambda: _found(client, "no query")).param == "query"


def test_a_query_takes_what_a_value_may_hold(account: Account, client: stripe.StripeClient) -> None:
    name = create(client, metadata={"note": "Tom's AND Ann's"}).id
    account.advance(60)
    assert _found(client, r"metadata['note']:'Tom\'s AND Ann\'s'") == [name]


def test_a_list_is_current_newest_first_and_paged() -> None:
    account = Account(Behaviour.kind())
    client = account.client()
    made = []
    for _ in range(12):
        made.append(create(client).id)
        account.advance(10)
    assert [one.id for one in client.v1.payment_intents.list().data] == made[:1:-1]
    page = client.v1.payment_intents.list({"limit": 5, "starting_after": made[4]})
    assert ([one.id for one in page.data], page.has_more) == (made[3::-1], False)
    before = client.v1.payment_intents.list({"limit": 2, "ending_before": made[4]})
    assert [one.id for one in before.data] == [made[6], made[5]]
    assert refusal_of(lambda: client.v1.payment_intents.list({"limit": 101})).param == "limit"
    assert refusal_of(lambda: client.v1.payment_intents.list({"starting_after": "pi_x"})).code == "resource_missing"


@pytest.mark.parametrize(("bound", "places"), [("gt", [2]), ("gte", [2, 1]), ("lt", [0]), ("lte", [1, 0])])
def test_a_window_of_creation_is_in_seconds(account: Account, bound: str, places: list[int]) -> None:
    client = account.client()
    made = []
    for _ in range(3):
        made.append((create(client).id, account.now // 1_000))
        account.advance(10)
    listed = client.v1.payment_intents.list({"created": {bound: made[1][1]}})  # type: ignore[arg-type]
    assert [one.id for one in listed.data] == [made[place][0] for place in places]


def test_a_window_misses_the_change_of_an_older_payment(account: Account, client: stripe.StripeClient) -> None:
    intent = create(client)
    account.advance(100)
    client.v1.payment_intents.capture(intent.id)
    since = account.now // 1_000
    assert client.v1.payment_intents.list({"created": {"gte": since}}).data == []


def test_a_payment_is_not_listed_by_metadata_or_status(client: stripe.StripeClient) -> None:
    for sent in ({"metadata": {"purchase": "p1"}}, {"status": "succeeded"}):
        error = refusal_of(lambda sent=sent: client.v1.payment_intents.list(sent))  # type: ignore[misc]
        assert error.code == "parameter_unknown"


def test_only_expandable_members_are_expanded(account: Account, client: stripe.StripeClient) -> None:
    name = capture(client).id
    account.advance(3)
    plain = client.v1.payment_intents.retrieve(name)
    assert isinstance(plain.latest_charge, str)
    paths = ["data.latest_charge.balance_transaction", "data.payment_method"]
    [listed] = client.v1.payment_intents.list({"expand": paths}).data
    charge = listed.latest_charge
    assert isinstance(charge, stripe.Charge)
    assert isinstance(charge.balance_transaction, stripe.BalanceTransaction)
    assert isinstance(listed.payment_method, stripe.PaymentMethod)
    deep = client.v1.charges.list({"expand": ["data.refunds.data.balance_transaction"]}).data[0]
    assert deep.refunds is not None
    assert deep.refunds.data == []
    for path in ("amount", "latest_charge.amount", "charges", "latest_charge.refunds.data.charge.refunds.x"):
        error = refusal_of(lambda path=path: client.v1.payment_intents.retrieve(name, {"expand": [path]}))  # type: ignore[misc]
        assert (error.http_status, error.param) == (400, "expand")


def test_payments_of_other_software_are_listed_too(account: Account, client: stripe.StripeClient) -> None:
    account.foreign_payment()
    [only] = client.v1.payment_intents.list({"expand": ["data.latest_charge"]}).data
    assert only.metadata.to_dict() == {"attempt": "first", "purchase": "12"}
    assert only.status == "succeeded"
