"""Use cases with discounts: budgets of uses and of money, limits per buyer, and every way in which an attempt ends."""

from __future__ import annotations

from chalicelib.checkout import Destination
from chalicelib.instants import MINUTE
from tests.crashes.acts import (
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
from tests.crashes.payment_acts import gives_up_order, holds_order, proves, refunds_amount, releases_order
from tests.crashes.world import Action

ADA, BOB = "ada", "bob"
_CARD = "declined_4242"
TEN = ("TEN",)
DUBLIN = {"street_address": "1 Dame Street", "address_locality": "Dublin", "address_country": "IE"}
POUNDS_OFF = {"amount": 500, "currency": "GBP"}
USES = put_discount(budget_uses=2)
BOTH = put_discount(budget_uses=30, max_amount=POUNDS_OFF, budget_amount={"amount": 9_000, "currency": "GBP"})
LIMITED = put_discount(budget_uses=2, limit_per_buyer=1)


def taken(buyer: str = ADA, drop: str = "mug") -> Action:
    return create_checkout(buyer, (drop, 1), discount_codes=TEN)


def taken_for_nothing(buyer: str = ADA) -> tuple[Action, ...]:
    """Everything off, and shipping free: nothing is left to pay."""
    all_off = put_discount(percent_bps=10_000, budget_uses=2)
    return all_off, create_checkout(buyer, ("mug", 1), discount_codes=TEN, destination=Destination(**DUBLIN))


def placed(token: str = "ok") -> tuple[Action, ...]:
    return USES, taken(), complete_checkout(ADA, token)


ASKED = (*placed("requires_action"), deliver_capture(ADA))

DISCOUNT_CASES: tuple[tuple[str, tuple[Action, ...]], ...] = (
    ("put a discount", (put_discount(),)),
    ("put a discount with two budgets", (BOTH,)),
    ("put an automatic offer", (put_discount(automatic=True, show_id=SHOW, budget_uses=5),)),
    ("change a discount", (USES, put_discount(budget_uses=2, percent_bps=2_000, title="A fifth"))),
    ("discount: take", (USES, taken())),
    ("discount: another code", (USES, put_discount("FIVE"), taken(), update_checkout(ADA, discount_codes=("FIVE",)))),
    ("discount: complete", (USES, taken(), complete_checkout(ADA))),
    ("discount: complete with two budgets", (BOTH, taken(drop="lamp"), complete_checkout(ADA))),
    ("discount: complete with a limit per buyer", (LIMITED, taken(), complete_checkout(ADA))),
    (
        "discount: complete over the limit per buyer",
        (LIMITED, taken(BOB), complete_checkout(BOB), deliver_all, taken(), complete_checkout(ADA)),
    ),
    (
        "discount: complete once it is used up",
        (
            put_discount(budget_uses=1),
            *(taken(), taken(BOB)),
            *(complete_checkout(BOB), deliver_all, complete_checkout(ADA)),
        ),
    ),
    (
        "discount: complete once the money is spent",
        (
            put_discount(max_amount=POUNDS_OFF, budget_amount=POUNDS_OFF),
            *(taken(BOB), create_checkout(ADA, ("lamp", 3), discount_codes=TEN)),
            *(complete_checkout(BOB), deliver_all, complete_checkout(ADA)),
        ),
    ),
    (
        "discount: complete after it has ended",
        (put_discount(ends_at="2026-11-27T19:01:00Z"), taken(), advance_clock(MINUTE), complete_checkout(ADA)),
    ),
    *(
        (f"discount: capture: {token}", (*placed(token), deliver_capture(ADA)))
        for token in ("ok", "declined", "timeout", "capture_timeout", "captured_late", "capture_refused")
    ),
    ("discount: capture with two budgets", (BOTH, taken(), complete_checkout(ADA, "declined"), deliver_capture(ADA))),
    ("discount: complete after a decline", (*placed("declined"), deliver_all, complete_checkout(ADA, "ok", "again"))),
    (
        "discount: capture a second attempt",
        (
            *placed("declined"),
            deliver_all,
            advance_clock(3_000),
            complete_checkout(ADA, "ok", "again"),
            deliver_capture(ADA, 2),
        ),
    ),
    (
        "discount: a use returned and had by another",
        (
            put_discount(budget_uses=1),
            *(taken(), taken(BOB), complete_checkout(ADA, "declined")),
            *(deliver_all, advance_clock(3_000), complete_checkout(BOB)),
        ),
    ),
    ("discount: 3-D Secure: asked", ASKED),
    ("discount: 3-D Secure: proved", (*ASKED, proves(ADA), deliver_capture(ADA))),
    ("discount: 3-D Secure: refused", (*ASKED, proves(ADA, proved=False), deliver_capture(ADA))),
    ("discount: 3-D Secure: never answered", (*ASKED, advance_clock(11 * MINUTE), deliver_capture(ADA))),
    ("discount: 3-D Secure: message lost", (*ASKED, lose_messages, advance_clock(12 * MINUTE), recover_orders)),
    (
        "discount: repair what was placed",
        (*placed(), lose_messages, advance_clock(2 * MINUTE), recover_orders),
    ),
    (
        "discount: refund with restock",
        (
            USES,
            create_checkout(ADA, ("lamp", 3), discount_codes=TEN),
            complete_checkout(ADA),
            deliver_all,
            refund_units(ADA, (0, 2), restock=True),
        ),
    ),
    (
        "discount: refund an amount, then cancel",
        (
            *(USES, create_checkout(ADA, ("lamp", 3), discount_codes=TEN), complete_checkout(ADA)),
            *(deliver_all, refunds_amount(ADA, 700), cancel_order(ADA)),
        ),
    ),
    ("discount: hold an order", (*placed(), holds_order(ADA))),
    ("discount: capture a released order", (*placed(), holds_order(ADA), releases_order(ADA), deliver_capture(ADA))),
    ("discount: give a held order up", (*placed(), holds_order(ADA), gives_up_order(ADA))),
    (
        "discount: declined, one too many by other purchases",
        (
            *(USES, taken(), taken(BOB), create_checkout("cyd", ("lamp", 1))),
            *(complete_checkout(ADA, _CARD), complete_checkout(BOB, _CARD), complete_checkout("cyd", _CARD)),
            *(deliver_capture(BOB), deliver_capture("cyd"), deliver_capture(ADA)),
        ),
    ),
    ("nothing to pay: capture", (*taken_for_nothing(), complete_checkout(ADA), deliver_capture(ADA))),
    (
        "nothing to pay: repair",
        (*taken_for_nothing(), complete_checkout(ADA), lose_messages, advance_clock(2 * MINUTE), recover_orders),
    ),
    (
        "nothing to pay: cancel the order",
        (*taken_for_nothing(), complete_checkout(ADA), deliver_all, cancel_order(ADA)),
    ),
    (
        "nothing to pay: give a held order up",
        (*taken_for_nothing(), complete_checkout(ADA), holds_order(ADA), gives_up_order(ADA)),
    ),
)
"""Each a name, and acts of which the last is the one that dies."""
