"""Use cases of payments: challenges, provider events, orders on hold, refunds of an amount."""

from __future__ import annotations

from chalicelib.instants import MINUTE
from tests.crashes.actions import (
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
from tests.crashes.payment_actions import (
    answer_challenge,
    process_events,
    put_on_hold,
    reconcile_payments,
    refund_amount,
    refund_in_console,
    release_from_hold,
    store_payment_event,
)
from tests.crashes.use_case import ADA, BOB, CYD, use_case

AWAITING_AUTHENTICATION = (*place_order(ADA, ("mug", 1), token="requires_action"), deliver_capture(ADA))
CARD = "declined_4242"
ON_HOLD = (*place_order(ADA, ("mug", 1), ("lamp", 2)), put_on_hold(ADA))

PAYMENT_CASES = (
    use_case("3-D Secure: requested", *AWAITING_AUTHENTICATION),
    use_case("3-D Secure: authenticated", *AWAITING_AUTHENTICATION, answer_challenge(ADA), deliver_capture(ADA)),
    use_case(
        "3-D Secure: two lines authenticated",
        *place_order(ADA, ("mug", 1), ("lamp", 2), token="requires_action"),
        deliver_capture(ADA),
        answer_challenge(ADA),
        deliver_capture(ADA),
    ),
    use_case(
        "3-D Secure: refused", *AWAITING_AUTHENTICATION, answer_challenge(ADA, succeeded=False), deliver_capture(ADA)
    ),
    use_case(
        "3-D Secure: authenticated too late",
        *AWAITING_AUTHENTICATION,
        advance_clock(11 * MINUTE),
        answer_challenge(ADA),
        deliver_capture(ADA),
    ),
    use_case(
        "3-D Secure: units expired and taken",
        *AWAITING_AUTHENTICATION,
        advance_clock(11 * MINUTE),
        create_checkout(BOB, ("mug", 3)),
        deliver_capture(ADA),
    ),
    use_case("3-D Secure: never answered", *AWAITING_AUTHENTICATION, advance_clock(11 * MINUTE), deliver_capture(ADA)),
    use_case(
        "3-D Secure: another attempt",
        *AWAITING_AUTHENTICATION,
        advance_clock(11 * MINUTE),
        deliver_all,
        complete_checkout(ADA, "ok", "again"),
        deliver_capture(ADA, 2),
    ),
    use_case(
        "3-D Secure: message lost", *AWAITING_AUTHENTICATION, lose_messages, advance_clock(12 * MINUTE), recover_orders
    ),
    use_case("event: stored", *AWAITING_AUTHENTICATION, answer_challenge(ADA), store_payment_event(ADA)),
    use_case(
        "event: continues the attempt",
        *AWAITING_AUTHENTICATION,
        answer_challenge(ADA),
        store_payment_event(ADA),
        process_events,
    ),
    use_case(
        "event: a success too late",
        *AWAITING_AUTHENTICATION,
        answer_challenge(ADA),
        advance_clock(11 * MINUTE),
        store_payment_event(ADA),
        process_events,
    ),
    use_case(
        "event: while the order is placed",
        *place_order(ADA, ("mug", 1)),
        deliver_capture(ADA),
        store_payment_event(ADA),
        process_events,
    ),
    use_case(
        "event: refunded in the console",
        *pay_order(ADA, ("lamp", 3)),
        refund_in_console(ADA, 700),
        process_events,
    ),
    use_case(
        "reconcile: a refund without an event",
        *pay_order(ADA, ("lamp", 3)),
        refund_in_console(ADA, 700),
        lose_messages,
        reconcile_payments,
    ),
    use_case(
        "reconcile: authenticated without an event",
        *AWAITING_AUTHENTICATION,
        answer_challenge(ADA),
        lose_messages,
        advance_clock(11 * MINUTE),
        reconcile_payments,
    ),
    use_case("put an order on hold", *ON_HOLD),
    use_case("put an order on hold, then deliver its message", *ON_HOLD, deliver_capture(ADA)),
    use_case("release an order", *ON_HOLD, deliver_capture(ADA), release_from_hold(ADA)),
    use_case("capture a released order", *ON_HOLD, deliver_capture(ADA), release_from_hold(ADA), deliver_capture(ADA)),
    use_case("cancel an order on hold", *ON_HOLD, deliver_capture(ADA), cancel_order(ADA)),
    use_case("refund an amount", *pay_order(ADA, ("lamp", 3)), refund_amount(ADA, 700)),
    use_case(
        "refund an amount, then units",
        *pay_order(ADA, ("lamp", 3)),
        refund_amount(ADA, 700),
        refund_units(ADA, (0, 2), restock=True),
    ),
    use_case("refund an amount, then cancel", *pay_order(ADA, ("lamp", 3)), refund_amount(ADA, 700), cancel_order(ADA)),
    use_case(
        "declined: its drop steps up",
        *(*pay_order(BOB, ("lamp", 1), token=CARD), *place_order(ADA, ("lamp", 1), token=CARD), deliver_capture(ADA)),
    ),
    use_case(
        "declined: one too many by other purchases",
        *(*place_order(BOB, ("mug", 1), token=CARD), *place_order(CYD, ("lamp", 1), token=CARD)),
        *(
            *place_order(ADA, ("mug", 1), token=CARD),
            deliver_capture(BOB),
            deliver_capture(CYD),
            deliver_capture(ADA),
        ),
    ),
    use_case(
        "declined: others, and the drop steps up",
        *(*pay_order(BOB, ("lamp", 1), token=CARD), *pay_order(CYD, ("lamp", 1), token=CARD)),
        *(*place_order(ADA, ("lamp", 1)), deliver_capture(ADA)),
    ),
)
