"""Many orders at once, paid through Stripe's default limits: in their order, as fast as the formula says, none lost.

``LIVEDROP_ORDERS`` is the number of orders, for example 2000.
"""

from __future__ import annotations

import os

import pytest

from chalicelib.payments import Pace
from chalicelib.purchase import PurchaseState
from tests.capture.paced_run import WORKERS, PacedRun
from tests.doubles.stripe import faults
from tests.doubles.stripe.rates import ENDPOINT, LIVE

pytestmark = pytest.mark.usefixtures("without_logs")

ORDERS = int(os.environ.get("LIVEDROP_ORDERS", "200"))
RATE, ACCOUNT_RATE = 20, 80
"""The defaults of ``ProviderRate`` and ``ProviderAccountRate``."""
CREATE, CAPTURE = "payment_intents.create", "payment_intents.capture"
ANSWERS_SECONDS = 2.5
"""The longest time of both answers to one order, which the formula adds to its place in line."""


def test_paced_orders_are_paid_in_turn_below_every_limit(capsys: pytest.CaptureFixture[str]) -> None:
    run = PacedRun(ORDERS, pace=Pace(RATE, ACCOUNT_RATE))
    run.run()
    waits, formula = run.seconds_to_paid(), ORDERS / RATE
    rows = {
        "orders": ORDERS,
        "paid": len(run.captured),
        "dead letters": len(run.queue.dead_letters),
        "429 answers": run.refused_by_limits,
        "creations in one second (limit 25)": run.greatest_rate(CREATE),
        "captures in one second (limit 25)": run.greatest_rate(CAPTURE),
        "calls in one second (limit 100)": run.greatest_rate(),
        "greatest displacement (places)": run.greatest_displacement(),
        "rank correlation": round(run.rank_correlation(), 4),
        "half paid after (s)": waits[len(waits) // 2],
        "formula for half (s)": formula / 2,
        "all paid after (s)": waits[-1],
        "formula for all (s)": formula,
    }
    with capsys.disabled():
        print("\npaced run")
        for name, value in rows.items():
            print(f"  {name:<36}{value:>10}")
    assert run.states() == {PurchaseState.PAID}
    assert (len(run.captured), run.queue.dead_letters, run.refused_by_limits) == (ORDERS, [], 0)
    assert max(run.greatest_rate(CREATE), run.greatest_rate(CAPTURE)) < ENDPOINT
    assert run.greatest_rate() < LIVE
    assert run.greatest_displacement() <= WORKERS * 5
    assert formula - 1 <= waits[-1] <= formula * 1.1 + ANSWERS_SECONDS + 5
    run.account.check_balance()


def test_failures_of_the_provider_lose_no_order() -> None:
    """Every thirtieth call fails: some failures are stored under their key, some took their effect before."""
    run = PacedRun(60, pace=Pace(RATE, ACCOUNT_RATE))
    kinds = (faults.server_error(stored=True), faults.server_error(after_effect=True, stored=True), faults.closed())
    run.account.choose_faults(lambda request, number: kinds[number // 30 % 3] if number % 30 == 0 else None)
    run.run()
    assert run.states() == {PurchaseState.PAID}
    assert run.queue.dead_letters == []
    received = [one["amount_received"] for one in run.account.records("payment_intent") if one["amount_received"]]
    assert len(received) == 60, "each order is paid once"
    assert run.refused_by_limits == 0


def test_without_pacing_the_limits_refuse_calls_and_still_no_order_is_lost() -> None:
    """The control: the double refuses such a run, so the paced run above shows something."""
    run = PacedRun(100, pace=None)
    run.run()
    assert run.refused_by_limits > 0
    assert (run.states(), run.queue.dead_letters) == ({PurchaseState.PAID}, [])
