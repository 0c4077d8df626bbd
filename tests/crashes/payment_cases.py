"""Use cases of payments: buyers who are asked, what the provider tells, orders held back, money without units."""

from __future__ import annotations

from chalicelib.instants import MINUTE
from tests.crashes.acts import (
    cancels_order,
    captures,
    completes,
    delivered,
    later,
    loses_everything,
    paid,
    placed,
    refunds,
    repairs,
    takes,
)
from tests.crashes.cases import ADA, BOB, use_case
from tests.crashes.payment_acts import (
    acts_on_event,
    gives_up_order,
    hears,
    holds_order,
    proves,
    reconciles,
    refunded_in_console,
    refunds_amount,
    releases_order,
)

ASKED = (*placed(ADA, ("mug", 1), token="requires_action"), captures(ADA))
CARD = "declined_4242"
HELD = (*placed(ADA, ("mug", 1), ("lamp", 2)), holds_order(ADA))

PAYMENT_CASES = (
    use_case("3-D Secure: asked", *ASKED),
    use_case("3-D Secure: proved", *ASKED, proves(ADA), captures(ADA)),
    use_case(
        "3-D Secure: two lines proved",
        *placed(ADA, ("mug", 1), ("lamp", 2), token="requires_action"),
        captures(ADA),
        proves(ADA),
        captures(ADA),
    ),
    use_case("3-D Secure: refused", *ASKED, proves(ADA, proved=False), captures(ADA)),
    use_case("3-D Secure: proved too late", *ASKED, later(11 * MINUTE), proves(ADA), captures(ADA)),
    use_case("3-D Secure: units lapsed and taken", *ASKED, later(11 * MINUTE), takes(BOB, ("mug", 3)), captures(ADA)),
    use_case("3-D Secure: never answered", *ASKED, later(11 * MINUTE), captures(ADA)),
    use_case(
        "3-D Secure: another attempt",
        *ASKED,
        later(11 * MINUTE),
        delivered,
        completes(ADA, "ok", "again"),
        captures(ADA, 2),
    ),
    use_case("3-D Secure: message lost", *ASKED, loses_everything, later(12 * MINUTE), repairs),
    use_case("event: kept", *ASKED, proves(ADA), hears(ADA)),
    use_case("event: moves on", *ASKED, proves(ADA), hears(ADA), acts_on_event(ADA)),
    use_case("event: a success too late", *ASKED, proves(ADA), later(11 * MINUTE), hears(ADA), acts_on_event(ADA)),
    use_case("event: while it is placed", *placed(ADA, ("mug", 1)), captures(ADA), hears(ADA), acts_on_event(ADA)),
    use_case(
        "event: refunded in the console", *paid(ADA, ("lamp", 3)), refunded_in_console(ADA, 700), acts_on_event(ADA)
    ),
    use_case(
        "reconcile: a refund nobody told of",
        *paid(ADA, ("lamp", 3)),
        refunded_in_console(ADA, 700),
        loses_everything,
        reconciles,
    ),
    use_case("reconcile: proved and not told", *ASKED, proves(ADA), loses_everything, later(11 * MINUTE), reconciles),
    use_case("hold an order", *HELD),
    use_case("hold an order, then its message", *HELD, captures(ADA)),
    use_case("release an order", *HELD, captures(ADA), releases_order(ADA)),
    use_case("capture a released order", *HELD, captures(ADA), releases_order(ADA), captures(ADA)),
    use_case("give a held order up", *HELD, captures(ADA), gives_up_order(ADA)),
    use_case("refund an amount", *paid(ADA, ("lamp", 3)), refunds_amount(ADA, 700)),
    use_case(
        "refund an amount, then units",
        *paid(ADA, ("lamp", 3)),
        refunds_amount(ADA, 700),
        refunds(ADA, (0, 2), restock=True),
    ),
    use_case("refund an amount, then cancel", *paid(ADA, ("lamp", 3)), refunds_amount(ADA, 700), cancels_order(ADA)),
    use_case(
        "declined: its drop steps up",
        *(*paid(BOB, ("lamp", 1), token=CARD), *placed(ADA, ("lamp", 1), token=CARD), captures(ADA)),
    ),
    use_case(
        "declined: one too many by other purchases",
        *(*placed(BOB, ("mug", 1), token=CARD), *placed("cyd", ("lamp", 1), token=CARD)),
        *(*placed(ADA, ("mug", 1), token=CARD), captures(BOB), captures("cyd"), captures(ADA)),
    ),
    use_case(
        "declined: others, and the drop steps up",
        *(*paid(BOB, ("lamp", 1), token=CARD), *paid("cyd", ("lamp", 1), token=CARD)),
        *(*placed(ADA, ("lamp", 1)), captures(ADA)),
    ),
)
