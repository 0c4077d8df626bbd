"""Use cases of discounts: budgets of uses and of money, limits per buyer, and every end of an attempt."""

from __future__ import annotations

from chalicelib.instants import MINUTE
from chalicelib.purchase import Destination
from tests.crashes.actions import (
    SHOW,
    advance_clock,
    cancel_order,
    complete_checkout,
    create_checkout,
    deliver_all,
    deliver_capture,
    lose_messages,
    put_discount,
    recover_orders,
    refund_units,
    update_checkout,
)
from tests.crashes.crash_world import Action
from tests.crashes.payment_actions import (
    answer_challenge,
    put_on_hold,
    refund_amount,
    release_from_hold,
)
from tests.crashes.use_case import ADA, BOB, CYD, use_case

_CARD = "declined_4242"
TEN = ("TEN",)
DUBLIN_ADDRESS = {"street_address": "1 Dame Street", "address_locality": "Dublin", "address_country": "IE"}
POUNDS_OFF = {"amount": 500, "currency": "GBP"}
TWO_USES = put_discount(budget_uses=2)
TWO_BUDGETS = put_discount(budget_uses=30, max_amount=POUNDS_OFF, budget_amount={"amount": 9_000, "currency": "GBP"})
LIMITED = put_discount(budget_uses=2, limit_per_buyer=1)


def create_with_code(buyer: str = ADA, drop: str = "mug") -> Action:
    return create_checkout(buyer, (drop, 1), discount_codes=TEN)


def create_free_checkout(buyer: str = ADA) -> tuple[Action, ...]:
    """Create a checkout with a total of zero: all off, and free shipping."""
    all_off = put_discount(percent_bps=10_000, budget_uses=2)
    return all_off, create_checkout(buyer, ("mug", 1), discount_codes=TEN, destination=Destination(**DUBLIN_ADDRESS))


def place_discounted_order(token: str = "ok") -> tuple[Action, ...]:
    return TWO_USES, create_with_code(), complete_checkout(ADA, token)


AWAITING_AUTHENTICATION = (*place_discounted_order("requires_action"), deliver_capture(ADA))

_NAMED_ACTIONS: tuple[tuple[str, tuple[Action, ...]], ...] = (
    ("put a discount", (put_discount(),)),
    ("put a discount with two budgets", (TWO_BUDGETS,)),
    ("put an automatic offer", (put_discount(automatic=True, show_id=SHOW, budget_uses=5),)),
    ("change a discount", (TWO_USES, put_discount(budget_uses=2, percent_bps=2_000, title="A fifth"))),
    ("discount: take", (TWO_USES, create_with_code())),
    (
        "discount: another code",
        (TWO_USES, put_discount("FIVE"), create_with_code(), update_checkout(ADA, discount_codes=("FIVE",))),
    ),
    ("discount: complete", (TWO_USES, create_with_code(), complete_checkout(ADA))),
    ("discount: complete with two budgets", (TWO_BUDGETS, create_with_code(drop="lamp"), complete_checkout(ADA))),
    ("discount: complete with a limit per buyer", (LIMITED, create_with_code(), complete_checkout(ADA))),
    (
        "discount: complete over the limit per buyer",
        (
            LIMITED,
            create_with_code(BOB),
            complete_checkout(BOB),
            deliver_all,
            create_with_code(),
            complete_checkout(ADA),
        ),
    ),
    (
        "discount: complete once it is used up",
        (
            put_discount(budget_uses=1),
            *(create_with_code(), create_with_code(BOB)),
            *(complete_checkout(BOB), deliver_all, complete_checkout(ADA)),
        ),
    ),
    (
        "discount: complete once the money is spent",
        (
            put_discount(max_amount=POUNDS_OFF, budget_amount=POUNDS_OFF),
            *(create_with_code(BOB), create_checkout(ADA, ("lamp", 3), discount_codes=TEN)),
            *(complete_checkout(BOB), deliver_all, complete_checkout(ADA)),
        ),
    ),
    (
        "discount: complete after it has ended",
        (
            put_discount(ends_at="2026-11-27T19:01:00Z"),
            create_with_code(),
            advance_clock(MINUTE),
            complete_checkout(ADA),
        ),
    ),
    *(
        (f"discount: capture: {token}", (*place_discounted_order(token), deliver_capture(ADA)))
        for token in ("ok", "declined", "timeout", "capture_timeout", "captured_late", "capture_refused")
    ),
    (
        "discount: capture with two budgets",
        (TWO_BUDGETS, create_with_code(), complete_checkout(ADA, "declined"), deliver_capture(ADA)),
    ),
    (
        "discount: complete after a decline",
        (*place_discounted_order("declined"), deliver_all, complete_checkout(ADA, "ok", "again")),
    ),
    (
        "discount: capture a second attempt",
        (
            *place_discounted_order("declined"),
            deliver_all,
            advance_clock(3_000),
            complete_checkout(ADA, "ok", "again"),
            deliver_capture(ADA, 2),
        ),
    ),
    (
        "discount: a use returned and taken by another buyer",
        (
            put_discount(budget_uses=1),
            *(create_with_code(), create_with_code(BOB), complete_checkout(ADA, "declined")),
            *(deliver_all, advance_clock(3_000), complete_checkout(BOB)),
        ),
    ),
    ("discount: 3-D Secure: requested", AWAITING_AUTHENTICATION),
    ("discount: 3-D Secure: authenticated", (*AWAITING_AUTHENTICATION, answer_challenge(ADA), deliver_capture(ADA))),
    (
        "discount: 3-D Secure: refused",
        (*AWAITING_AUTHENTICATION, answer_challenge(ADA, succeeded=False), deliver_capture(ADA)),
    ),
    (
        "discount: 3-D Secure: never answered",
        (*AWAITING_AUTHENTICATION, advance_clock(11 * MINUTE), deliver_capture(ADA)),
    ),
    (
        "discount: 3-D Secure: message lost",
        (*AWAITING_AUTHENTICATION, lose_messages, advance_clock(12 * MINUTE), recover_orders),
    ),
    (
        "discount: recover a placed order",
        (*place_discounted_order(), lose_messages, advance_clock(2 * MINUTE), recover_orders),
    ),
    (
        "discount: refund with restock",
        (
            TWO_USES,
            create_checkout(ADA, ("lamp", 3), discount_codes=TEN),
            complete_checkout(ADA),
            deliver_all,
            refund_units(ADA, (0, 2), restock=True),
        ),
    ),
    (
        "discount: refund an amount, then cancel",
        (
            *(TWO_USES, create_checkout(ADA, ("lamp", 3), discount_codes=TEN), complete_checkout(ADA)),
            *(deliver_all, refund_amount(ADA, 700), cancel_order(ADA)),
        ),
    ),
    ("discount: put an order on hold", (*place_discounted_order(), put_on_hold(ADA))),
    (
        "discount: capture a released order",
        (*place_discounted_order(), put_on_hold(ADA), release_from_hold(ADA), deliver_capture(ADA)),
    ),
    ("discount: cancel an order on hold", (*place_discounted_order(), put_on_hold(ADA), cancel_order(ADA))),
    (
        "discount: declined, one too many by other purchases",
        (
            *(TWO_USES, create_with_code(), create_with_code(BOB), create_checkout(CYD, ("lamp", 1))),
            *(complete_checkout(ADA, _CARD), complete_checkout(BOB, _CARD), complete_checkout(CYD, _CARD)),
            *(deliver_capture(BOB), deliver_capture(CYD), deliver_capture(ADA)),
        ),
    ),
    ("nothing to pay: capture", (*create_free_checkout(), complete_checkout(ADA), deliver_capture(ADA))),
    (
        "nothing to pay: recover",
        (*create_free_checkout(), complete_checkout(ADA), lose_messages, advance_clock(2 * MINUTE), recover_orders),
    ),
    (
        "nothing to pay: cancel the order",
        (*create_free_checkout(), complete_checkout(ADA), deliver_all, cancel_order(ADA)),
    ),
    (
        "nothing to pay: cancel an order on hold",
        (*create_free_checkout(), complete_checkout(ADA), put_on_hold(ADA), cancel_order(ADA)),
    ),
)

DISCOUNT_CASES = tuple(use_case(name, *actions) for name, actions in _NAMED_ACTIONS)
