"""Use cases of payments: buyers who are asked, what the provider tells, orders held back, money without units."""

from __future__ import annotations

from chalicelib.instants import MINUTE
from tests.crashes.acts import (
    advance_clock,
    cancel_order,
    complete_checkout,
    create_checkout,
    deliver_all,
    deliver_capture,
    lose_messages,
    pay_order,
    place_order,
    recover_orders,
    refund_units,
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

ASKED = (*place_order(ADA, ("mug", 1), token="requires_action"), deliver_capture(ADA))
CARD = "declined_4242"
HELD = (*place_order(ADA, ("mug", 1), ("lamp", 2)), holds_order(ADA))

PAYMENT_CASES = (
    use_case("3-D Secure: asked", *ASKED),
    use_case("3-D Secure: proved", *ASKED, proves(ADA), deliver_capture(ADA)),
    use_case(
        "3-D Secure: two lines proved",
        *place_order(ADA, ("mug", 1), ("lamp", 2), token="requires_action"),
        deliver_capture(ADA),
        proves(ADA),
        deliver_capture(ADA),
    ),
    use_case("3-D Secure: refused", *ASKED, proves(ADA, proved=False), deliver_capture(ADA)),
    use_case("3-D Secure: proved too late", *ASKED, advance_clock(11 * MINUTE), proves(ADA), deliver_capture(ADA)),
    use_case(
        "3-D Secure: units lapsed and taken",
        *ASKED,
        advance_clock(11 * MINUTE),
        create_checkout(BOB, ("mug", 3)),
        deliver_capture(ADA),
    ),
    use_case("3-D Secure: never answered", *ASKED, advance_clock(11 * MINUTE), deliver_capture(ADA)),
    use_case(
        "3-D Secure: another attempt",
        *ASKED,
        advance_clock(11 * MINUTE),
        deliver_all,
        complete_checkout(ADA, "ok", "again"),
        deliver_capture(ADA, 2),
    ),
    use_case("3-D Secure: message lost", *ASKED, lose_messages, advance_clock(12 * MINUTE), recover_orders),
    use_case("event: kept", *ASKED, proves(ADA), hears(ADA)),
    use_case("event: moves on", *ASKED, proves(ADA), hears(ADA), acts_on_event(ADA)),
    use_case(
        "event: a success too late", *ASKED, proves(ADA), advance_clock(11 * MINUTE), hears(ADA), acts_on_event(ADA)
    ),
    use_case(
        "event: while it is placed", *place_order(ADA, ("mug", 1)), deliver_capture(ADA), hears(ADA), acts_on_event(ADA)
    ),
    use_case(
        "event: refunded in the console",
        *pay_order(ADA, ("lamp", 3)),
        refunded_in_console(ADA, 700),
        acts_on_event(ADA),
    ),
    use_case(
        "reconcile: a refund nobody told of",
        *pay_order(ADA, ("lamp", 3)),
        refunded_in_console(ADA, 700),
        lose_messages,
        reconciles,
    ),
    use_case(
        "reconcile: proved and not told", *ASKED, proves(ADA), lose_messages, advance_clock(11 * MINUTE), reconciles
    ),
    use_case("hold an order", *HELD),
    use_case("hold an order, then its message", *HELD, deliver_capture(ADA)),
    use_case("release an order", *HELD, deliver_capture(ADA), releases_order(ADA)),
    use_case("capture a released order", *HELD, deliver_capture(ADA), releases_order(ADA), deliver_capture(ADA)),
    use_case("give a held order up", *HELD, deliver_capture(ADA), gives_up_order(ADA)),
    use_case("refund an amount", *pay_order(ADA, ("lamp", 3)), refunds_amount(ADA, 700)),
    use_case(
        "refund an amount, then units",
        *pay_order(ADA, ("lamp", 3)),
        refunds_amount(ADA, 700),
        refund_units(ADA, (0, 2), restock=True),
    ),
    use_case(
        "refund an amount, then cancel", *pay_order(ADA, ("lamp", 3)), refunds_amount(ADA, 700), cancel_order(ADA)
    ),
    use_case(
        "declined: its drop steps up",
        *(*pay_order(BOB, ("lamp", 1), token=CARD), *place_order(ADA, ("lamp", 1), token=CARD), deliver_capture(ADA)),
    ),
    use_case(
        "declined: one too many by other purchases",
        *(*place_order(BOB, ("mug", 1), token=CARD), *place_order("cyd", ("lamp", 1), token=CARD)),
        *(
            *place_order(ADA, ("mug", 1), token=CARD),
            deliver_capture(BOB),
            deliver_capture("cyd"),
            deliver_capture(ADA),
        ),
    ),
    use_case(
        "declined: others, and the drop steps up",
        *(*pay_order(BOB, ("lamp", 1), token=CARD), *pay_order("cyd", ("lamp", 1), token=CARD)),
        *(*place_order(ADA, ("lamp", 1)), deliver_capture(ADA)),
    ),
)
