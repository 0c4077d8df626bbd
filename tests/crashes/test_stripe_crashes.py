"""Each intent is applied once, and all invariants hold, after a fault at any call, with Stripe as the provider.

The product's gateway and the unmodified SDK run over the double. Each HTTP call can fail as any call can, and by Stripe
itself: a stored 500 with and without effect, a 502, a rate limit. By default faults occur at HTTP calls only, because
``test_crashes`` has the others, and at most about twenty points of a use case run. ``LIVEDROP_CRASHES=all`` runs all
points at all calls.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict

import pytest

from tests.crashes.connection import faults_of
from tests.crashes.crash_report import PROPERTY
from tests.crashes.crash_runner import CrashEnumeration
from tests.crashes.crash_world import CrashWorld
from tests.crashes.payment_use_cases import PAYMENT_CASES
from tests.crashes.stripe_provider import StripeProvider
from tests.crashes.stripe_use_cases import STRIPE_CASES
from tests.crashes.test_crashes import LONG_FORM, ONLY_CALL, sequential_reads_without_logs
from tests.crashes.use_case import UseCase
from tests.crashes.use_cases import USE_CASES
from tests.fakes.aws import in_memory_aws

__all__ = ["sequential_reads_without_logs"]

ASKS = "stripe: "
"""The beginning of the name of an HTTP call to Stripe."""
_ASKING_BEGINNINGS = ("cancel an order", "capture", "discount: ", "ledger: ", "nothing to pay", "recover", "refund")
ASKING_CASES = [
    case
    for case in USE_CASES
    if case in PAYMENT_CASES or (case.name.startswith(_ASKING_BEGINNINGS) and " complete" not in case.name)
]
"""The use cases around payments. Those of shows, stock and cues ask no provider."""
CASES = [*STRIPE_CASES, *ASKING_CASES]
COUNTED_CASES = frozenset({"declined: its drop steps up"})
"""Cases whose faults occur at every call in the short form, too: Stripe's search lags behind what they have counted."""
MAX_POINTS = 18
"""About how many crash points of a use case the short form runs."""
SAMPLES = (1, 2, 4, 7, 11, 13, 17, 1_000)
"""Every n-th point, where n shares no divisor with the numbers of faults of a call: so all kinds of faults occur."""


def stripe_worlds_of(case: UseCase) -> Callable[[], CrashWorld]:
    """Set a use case up once over a new account, and return a function that copies its world."""
    return case.set_up(CrashWorld(in_memory_aws(), StripeProvider)).fork


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_intent_is_applied_once_after_any_fault_of_stripe(
    case: UseCase, record_property: Callable[[str, object], None]
) -> None:
    enumeration = CrashEnumeration(case, stripe_worlds_of(case))
    calls, _ = enumeration.run_without_faults()
    if ONLY_CALL is not None and len(calls) < ONLY_CALL:
        pytest.skip(f"{case.name} makes {len(calls)} calls")
    at_every_call = LONG_FORM or case.name in COUNTED_CASES
    enumeration.only_calls_of = "" if at_every_call else ASKS
    points = sum(len(faults_of(call)) for call in calls if call.startswith(enumeration.only_calls_of))
    enumeration.sample_every = 1 if at_every_call or ONLY_CALL else next(n for n in SAMPLES if points <= n * MAX_POINTS)
    enumeration.only_call = ONLY_CALL
    stats = enumeration.explore()
    record_property(PROPERTY, asdict(stats) | {"case": f"stripe: {case.name}"})
    assert stats.violations == []
    if ONLY_CALL is None:
        assert stats.points >= points // enumeration.sample_every
