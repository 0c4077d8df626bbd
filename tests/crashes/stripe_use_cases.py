"""Use cases that Stripe alone has: life after capture, replayed answers, keys, outages, and other software."""

from __future__ import annotations

from chalicelib.instants import DAY, HOUR, MINUTE
from chalicelib.purchase import Destination
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
    run_night,
)
from tests.crashes.discount_use_cases import DUBLIN_ADDRESS
from tests.crashes.payment_actions import (
    answer_challenge,
    process_events,
    put_on_hold,
    reconcile_payments,
    refund_amount,
    release_from_hold,
)
from tests.crashes.payment_use_cases import AWAITING_AUTHENTICATION
from tests.crashes.stripe_actions import (
    answered_by_conflict,
    capture_in_console,
    delay_search,
    disconnect_provider,
    fail_last_refund,
    lose_answer,
    lose_dispute,
    open_dispute,
    open_show_in_ariary,
    pass_two_minutes,
    pay_elsewhere,
    receive_events,
    reconnect_provider,
    refund_at_provider,
    refunds_end_at_once,
    refunds_take,
    restore_key,
    revoke_key,
    win_dispute,
)
from tests.crashes.use_case import ADA, use_case

DUBLIN = Destination(**DUBLIN_ADDRESS)
EVENTS = (pass_two_minutes, receive_events, process_events)
"""The provider's events arrive, and the worker processes them. The last of these actions dies."""
REFUND = "stripe: POST refunds.create"
PAID = pay_order(ADA, ("lamp", 3))
REFUNDED = (*PAID, refund_amount(ADA, 700))
MARKET_ORDER = (
    create_checkout(ADA, ("lamp", 3), attribution={"channel": "market"}),
    complete_checkout(ADA),
    deliver_capture(ADA),
)
"""An order on hold whose money is reserved."""
SECOND_ATTEMPT = (
    *(*AWAITING_AUTHENTICATION, advance_clock(11 * MINUTE), answer_challenge(ADA), deliver_all),
    *(complete_checkout(ADA, "ok", "again"), deliver_capture(ADA, 2)),
)
"""The buyer authenticates too late. The hold of the first attempt is released, and the second one pays."""

STRIPE_CASES = (
    use_case("refund: pending, then done", *REFUNDED, advance_clock(2 * HOUR), reconcile_payments),
    use_case("refund: pending, then failed", *REFUNDED, fail_last_refund, *EVENTS),
    use_case("refund: done, then failed", *REFUNDED, advance_clock(DAY), fail_last_refund, *EVENTS),
    use_case("refund: failed, its event stored", *REFUNDED, fail_last_refund, pass_two_minutes, receive_events),
    use_case("refund: failed, no event", *REFUNDED, fail_last_refund, lose_messages, reconcile_payments),
    use_case(
        "refund: failed, then asked for again",
        *(*REFUNDED, fail_last_refund, *EVENTS, deliver_all, refund_amount(ADA, 700, "again")),
    ),
    use_case(
        "refund with restock: failed, then the rest",
        *(*PAID, refund_units(ADA, (0, 1), restock=True), fail_last_refund, *EVENTS, deliver_all),
        refund_units(ADA, (0, 2), key="rest", restock=True),
    ),
    use_case("cancel an order: its refund fails", *PAID, cancel_order(ADA), fail_last_refund, *EVENTS),
    use_case(
        "refund: the second is done first",
        *(*PAID, refunds_take(DAY), refund_amount(ADA, 700), refunds_take(MINUTE), refund_amount(ADA, 500, "again")),
        *(advance_clock(HOUR), recover_orders, deliver_all, advance_clock(DAY), recover_orders),
    ),
    use_case(
        "refund: answer lost, failed, then repeated",
        *(*PAID, refunds_end_at_once, lose_answer(refund_amount(ADA, 700), REFUND), fail_last_refund),
        *(lose_messages, answered_by_conflict(refund_amount(ADA, 700), "refund_refused")),
    ),
    use_case(
        "refund: answer lost, then repeated after a day",
        *(*PAID, lose_answer(refund_amount(ADA, 700), REFUND), lose_messages, advance_clock(25 * HOUR)),
        refund_amount(ADA, 700),
    ),
    use_case("refund in the console", *PAID, refund_at_provider(ADA, 700), *EVENTS),
    use_case("refund in the console: failed", *PAID, refund_at_provider(ADA, 700), fail_last_refund, *EVENTS),
    use_case("dispute: opened", *PAID, open_dispute(ADA), *EVENTS),
    use_case("dispute: an inquiry", *PAID, open_dispute(ADA, inquiry=True), *EVENTS),
    use_case("dispute: won", *PAID, open_dispute(ADA), deliver_all, win_dispute, *EVENTS),
    use_case("dispute: lost", *PAID, open_dispute(ADA), deliver_all, lose_dispute, *EVENTS),
    use_case("dispute: a part is lost", *PAID, open_dispute(ADA, 500), deliver_all, lose_dispute, *EVENTS),
    use_case("dispute: no event", *PAID, open_dispute(ADA), lose_dispute, lose_messages, run_night, reconcile_payments),
    use_case("event: of a released hold", *SECOND_ATTEMPT, *EVENTS),
    use_case("event: of other software's payments", *PAID, pay_elsewhere, *EVENTS),
    use_case("reconcile: beside other software", *PAID, pay_elsewhere, advance_clock(HOUR), reconcile_payments),
    use_case("held with money reserved: released", *MARKET_ORDER, release_from_hold(ADA), deliver_capture(ADA)),
    use_case("held with money reserved: cancelled", *MARKET_ORDER, cancel_order(ADA)),
    use_case("held with money reserved: captured in the console", *MARKET_ORDER, capture_in_console(ADA), *EVENTS),
    use_case("held with money reserved: a part captured", *MARKET_ORDER, capture_in_console(ADA, 100), *EVENTS),
    use_case(
        "held with money reserved: a part captured, then cancelled",
        *(*MARKET_ORDER, capture_in_console(ADA, 100), *EVENTS, cancel_order(ADA)),
    ),
    use_case(
        "held with money reserved: captured and refunded in the console",
        *(*MARKET_ORDER, capture_in_console(ADA), refund_at_provider(ADA), *EVENTS),
    ),
    use_case(
        "held with money reserved: expired, then released",
        *(*MARKET_ORDER, advance_clock(5 * DAY), release_from_hold(ADA), deliver_capture(ADA)),
    ),
    use_case(
        "held with money reserved: expired, no event",
        *(*MARKET_ORDER, advance_clock(5 * DAY), lose_messages, advance_clock(2 * DAY), deliver_capture(ADA)),
    ),
    use_case(
        "captured and refunded in the console before the order is paid",
        *place_order(ADA, ("mug", 1), token="captured_late"),
        *(deliver_capture(ADA), refund_at_provider(ADA, 400), lose_messages, pass_two_minutes, deliver_capture(ADA)),
    ),
    use_case(
        "key revoked, then restored",
        *(*place_order(ADA, ("mug", 1)), revoke_key, deliver_capture(ADA), restore_key, pass_two_minutes),
        deliver_capture(ADA),
    ),
    use_case(
        "placed: the provider is unreachable until the deadline",
        *(*place_order(ADA, ("mug", 1)), disconnect_provider, deliver_capture(ADA), advance_clock(16 * MINUTE)),
        *(deliver_capture(ADA), reconnect_provider, deliver_capture(ADA)),
    ),
    use_case(
        "placed: past its deadline, its money reserved",
        *(*place_order(ADA, ("mug", 1), token="timeout"), deliver_capture(ADA), lose_messages),
        *(advance_clock(20 * MINUTE), deliver_capture(ADA)),
    ),
    use_case(
        "placed: 500 without effect, and the search lags",
        *(*place_order(ADA, ("mug", 1), token="timeout_before"), delay_search(60), deliver_capture(ADA)),
        *(pass_two_minutes, deliver_capture(ADA)),
    ),
    use_case(
        "put on hold: 500 after the effect, and the search lags",
        *(*place_order(ADA, ("mug", 1), token="timeout"), delay_search(60), deliver_capture(ADA)),
        *(put_on_hold(ADA), pass_two_minutes, cancel_order(ADA)),
    ),
    use_case(
        "in ariary: capture",
        *(open_show_in_ariary, create_checkout(ADA, ("vanilla", 2), destination=DUBLIN), complete_checkout(ADA)),
        deliver_capture(ADA),
    ),
    use_case(
        "in ariary: refund",
        *(open_show_in_ariary, create_checkout(ADA, ("vanilla", 2), destination=DUBLIN), complete_checkout(ADA)),
        *(deliver_all, refund_units(ADA, (0, 1))),
    ),
    use_case("capture: a card that works again", *place_order(ADA, ("mug", 1), token="ok_4242"), deliver_capture(ADA)),
    *(
        use_case(f"capture: {token}", *place_order(ADA, ("mug", 1), token=token), deliver_capture(ADA))
        for token in ("CaptureProcessing", "CaptureFailsLater", "SoftDecline", "Review")
    ),
)
