"""Ledger, provider and orders agree to the minor unit in every script (Invariants 4b, 4c, 5b and 7a).

Hypothesis writes scripts of payments, webhooks, refunds and expiries. ``LIVEDROP_SCHEDULES`` is their number.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from chalicelib.capture import fail_attempt, refund_events
from chalicelib.payments import ProviderRefund
from chalicelib.purchase import Purchase, RefundRequest
from chalicelib.purchase.context import CheckoutContext
from chalicelib.refunds import provider_refund, record_provider_refund, refund
from chalicelib.refunds.allocation import RefundAllocation
from tests.simulation.schedule_search import ScheduleSearch
from tests.simulation.simulator import FAULT_CLASSES
from tests.simulation.worlds.money import TOKENS, MoneyScript, MoneyWorld
from tests.simulation.worlds.provider import NewProvider, SimulatedSandbox
from tests.simulation.worlds.stripe import SimulatedStripe

SCRIPT_COUNT = int(os.environ.get("LIVEDROP_SCHEDULES", "240"))
PARTS = 2


def _flat(parts: list[list[tuple[Any, ...]]]) -> list[tuple[Any, ...]]:
    return [step for part in parts for step in part]


_index = st.integers(0, 5)
_token = st.sampled_from(TOKENS).map(lambda token: [("pays", token)])
_challenge = st.sampled_from(
    ["authenticates", "fails to authenticate", "authenticates", "fails to authenticate", "cancels"]
)
_buyer = st.one_of(
    _token,
    _token,
    _challenge.map(lambda step: [("pays", "requires_action"), (step,)]),
    st.integers(1, 3).map(lambda quantity: [("changes", quantity)]),
    st.just([("cancels",)]),
)
_steps = st.lists(_buyer, min_size=1, max_size=4).map(_flat)
_operator = st.one_of(
    st.tuples(st.just("refunds an amount"), _index, st.integers(1, 3_000)).map(lambda step: [step]),
    st.tuples(st.just("refunds units"), _index, st.integers(1, 2), st.booleans()).map(lambda step: [step]),
    _index.map(lambda index: [("cancels an order", index)]),
    st.sampled_from(["cancels a held order", "releases from hold"]).map(lambda action: [(action, 0)]),
    st.sampled_from(["puts on hold", "releases from hold", "cancels a held order", "releases from hold"]).map(
        lambda action: [(action, 0)]
    ),
)
_console = (
    st.tuples(st.just("sends an event"), _index),
    st.tuples(st.just("refunds in the console"), _index, st.integers(0, 3_000)),
)
_bank = (
    st.tuples(st.just("disputes"), _index, st.integers(0, 3_000)),
    st.tuples(st.just("fails a refund"), _index),
    st.tuples(st.just("captures in the console"), _index),
    st.tuples(st.just("takes other payments"), _index),
)


Scripts = st.SearchStrategy[MoneyScript]


def scripts_with(new_provider: NewProvider, *provider_steps: st.SearchStrategy[tuple[Any, ...]]) -> Scripts:
    """Draw scripts for a provider, with these steps of its own."""
    return st.builds(
        MoneyScript,
        seed=st.integers(0, 2**32),
        faults=st.sampled_from(sorted(FAULT_CLASSES, reverse=True)),
        channel=st.sampled_from(["own", "market", "own", "own"]),
        buyers=st.tuples(_steps, _steps),
        operator=st.lists(_operator, min_size=2, max_size=6).map(_flat),
        provider=st.lists(st.one_of(*provider_steps), min_size=1, max_size=6),
        new_provider=st.just(new_provider),
    )


SANDBOX_SCRIPTS = scripts_with(SimulatedSandbox, *_console)
STRIPE_SCRIPTS = scripts_with(SimulatedStripe, *_console, *_bank)

EXPECTED_EVENTS = [
    "pays",
    "sends an event",
    "refunds in the console",
    "events processed",
    "paid",
    "refunded in part",
    "processes died",
]
EXPECTED_EVENTS_LONG_FORM = [
    *(
        "changes",
        "cancels",
        "authenticates",
        "fails to authenticate",
        "refunds an amount",
        "refunds units",
        "cancels an order",
    ),
    *(
        "puts on hold",
        "releases from hold",
        "cancels a held order",
        "cancelled",
        "open",
        "paid with the code",
        "refunded whole",
        "refunds that failed later",
    ),
    "refused after declines",
]
"""Events that only the long form must meet. In short forms hypothesis draws few kinds of scripts."""


def run_scripts(
    scripts: Scripts, examples: int, seed_: int, check_script: Callable[[MoneyScript], None], *, shrinks: bool = True
) -> None:
    """Run scripts that hypothesis draws from a seed. It reduces a failing script to the simplest that fails."""
    quiet = settings(
        max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, *([Phase.shrink] if shrinks else [])],
    )  # fmt: skip
    seed(seed_)(quiet(given(scripts)(check_script)))()


@pytest.mark.parametrize("part", range(PARTS))
def test_ledger_provider_and_orders_agree_in_every_script(search: ScheduleSearch, part: int) -> None:
    events_seen: Counter[str] = Counter()

    def check_script(script: MoneyScript) -> None:
        events_seen.update(MoneyWorld(script).run())
        events_seen["schedules"] += 1

    def run_schedule(_: int) -> Counter[str]:
        run_scripts(SANDBOX_SCRIPTS, SCRIPT_COUNT // PARTS, part, check_script)
        return events_seen - Counter(schedules=1)

    search.expect_invariants_hold(
        "money",
        range(1),
        run_schedule,
        expected_events=EXPECTED_EVENTS + EXPECTED_EVENTS_LONG_FORM * (SCRIPT_COUNT >= 2_000),
    )


def _record_every_time(context: CheckoutContext, purchase_id: str, made: ProviderRefund, now: int) -> bool:
    """Record the refund of each event, also when it is already recorded."""
    another = replace(made, provider_refund_id=f"{made.provider_refund_id}-{now}", refund_id=None)
    return record_provider_refund(context, purchase_id, another, now)


def _never_void(context: CheckoutContext, provider_id: str, attempt: int, now: int) -> None:
    """Leave authorisations that will not be captured."""


def _refund_one_minor_unit_more(
    purchase: Purchase, request: RefundRequest, allocation: RefundAllocation, now: int, **done: object
) -> Purchase:
    """Record every refund with one minor unit more than its lines and shipping have."""
    recorded = _real_with_refund(purchase, request, allocation, now, **done)
    *others, added = recorded.refunds
    too_much = added.model_copy(update={"amount": added.amount + 1})
    return recorded.model_copy(update={"refunds": (*others, too_much)})


_real_with_refund = refund.with_refund


@pytest.mark.parametrize(
    ("modules", "name", "wrong"),
    [
        ((refund_events,), "record_provider_refund", _record_every_time),
        ((fail_attempt,), "void_authorisation", _never_void),
        ((refund, provider_refund), "with_refund", _refund_one_minor_unit_more),
    ],
    ids=[
        "refunds recorded at each event",
        "authorisations that are not voided",
        "refunds of one minor unit too much",
    ],
)
def test_the_search_catches_wrong_money(
    search: ScheduleSearch,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    modules: tuple[object, ...],
    name: str,
    wrong: object,
) -> None:
    for module in modules:
        monkeypatch.setattr(module, name, wrong)

    def check_script(script: MoneyScript) -> None:
        MoneyWorld(script).run()

    def run_schedule(seed_: int) -> Counter[str]:
        run_scripts(SANDBOX_SCRIPTS, 5, seed_, check_script, shrinks=False)
        return Counter()

    search.expect_control_caught(request.node.callspec.id, 120, run_schedule)
