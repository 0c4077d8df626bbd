"""Use cases with discounts: budgets of uses and of money, limits per buyer, and every way in which an attempt ends."""

from __future__ import annotations

from chalicelib.checkout import Destination
from chalicelib.instants import MINUTE
from tests.crashes.acts import (
    SHOW,
    cancels_order,
    captures,
    completes,
    delivered,
    later,
    loses_everything,
    puts_discount,
    refunds,
    repairs,
    takes,
    updates,
)
from tests.crashes.payment_acts import gives_up_order, holds_order, proves, refunds_amount, releases_order
from tests.crashes.world import Action

ADA, BOB = "ada", "bob"
_CARD = "declined_4242"
TEN = ("TEN",)
DUBLIN = {"street_address": "1 Dame Street", "address_locality": "Dublin", "address_country": "IE"}
POUNDS_OFF = {"amount": 500, "currency": "GBP"}
USES = puts_discount(budget_uses=2)
BOTH = puts_discount(budget_uses=30, max_amount=POUNDS_OFF, budget_amount={"amount": 9_000, "currency": "GBP"})
LIMITED = puts_discount(budget_uses=2, limit_per_buyer=1)


def taken(buyer: str = ADA, drop: str = "mug") -> Action:
    return takes(buyer, (drop, 1), discount_codes=TEN)


def taken_for_nothing(buyer: str = ADA) -> tuple[Action, ...]:
    """Everything off, and shipping free: nothing is left to pay."""
    all_off = puts_discount(percent_bps=10_000, budget_uses=2)
    return all_off, takes(buyer, ("mug", 1), discount_codes=TEN, destination=Destination(**DUBLIN))


def placed(token: str = "ok") -> tuple[Action, ...]:
    return USES, taken(), completes(ADA, token)


ASKED = (*placed("requires_action"), captures(ADA))

DISCOUNT_CASES: tuple[tuple[str, tuple[Action, ...]], ...] = (
    ("put a discount", (puts_discount(),)),
    ("put a discount with two budgets", (BOTH,)),
    ("put an automatic offer", (puts_discount(automatic=True, show_id=SHOW, budget_uses=5),)),
    ("change a discount", (USES, puts_discount(budget_uses=2, percent_bps=2_000, title="A fifth"))),
    ("discount: take", (USES, taken())),
    ("discount: another code", (USES, puts_discount("FIVE"), taken(), updates(ADA, discount_codes=("FIVE",)))),
    ("discount: complete", (USES, taken(), completes(ADA))),
    ("discount: complete with two budgets", (BOTH, taken(drop="lamp"), completes(ADA))),
    ("discount: complete with a limit per buyer", (LIMITED, taken(), completes(ADA))),
    (
        "discount: complete over the limit per buyer",
        (LIMITED, taken(BOB), completes(BOB), delivered, taken(), completes(ADA)),
    ),
    (
        "discount: complete once it is used up",
        (
            puts_discount(budget_uses=1),
            *(taken(), taken(BOB)),
            *(completes(BOB), delivered, completes(ADA)),
        ),
    ),
    (
        "discount: complete once the money is spent",
        (
            puts_discount(max_amount=POUNDS_OFF, budget_amount=POUNDS_OFF),
            *(taken(BOB), takes(ADA, ("lamp", 3), discount_codes=TEN)),
            *(completes(BOB), delivered, completes(ADA)),
        ),
    ),
    (
        "discount: complete after it has ended",
        (puts_discount(ends_at="2026-11-27T19:01:00Z"), taken(), later(MINUTE), completes(ADA)),
    ),
    *(
        (f"discount: capture: {token}", (*placed(token), captures(ADA)))
        for token in ("ok", "declined", "timeout", "capture_timeout", "captured_late", "capture_refused")
    ),
    ("discount: capture with two budgets", (BOTH, taken(), completes(ADA, "declined"), captures(ADA))),
    ("discount: complete after a decline", (*placed("declined"), delivered, completes(ADA, "ok", "again"))),
    (
        "discount: capture a second attempt",
        (*placed("declined"), delivered, later(3_000), completes(ADA, "ok", "again"), captures(ADA, 2)),
    ),
    (
        "discount: a use returned and had by another",
        (
            puts_discount(budget_uses=1),
            *(taken(), taken(BOB), completes(ADA, "declined")),
            *(delivered, later(3_000), completes(BOB)),
        ),
    ),
    ("discount: 3-D Secure: asked", ASKED),
    ("discount: 3-D Secure: proved", (*ASKED, proves(ADA), captures(ADA))),
    ("discount: 3-D Secure: refused", (*ASKED, proves(ADA, proved=False), captures(ADA))),
    ("discount: 3-D Secure: never answered", (*ASKED, later(11 * MINUTE), captures(ADA))),
    ("discount: 3-D Secure: message lost", (*ASKED, loses_everything, later(12 * MINUTE), repairs)),
    (
        "discount: repair what was placed",
        (*placed(), loses_everything, later(2 * MINUTE), repairs),
    ),
    (
        "discount: refund with restock",
        (
            USES,
            takes(ADA, ("lamp", 3), discount_codes=TEN),
            completes(ADA),
            delivered,
            refunds(ADA, (0, 2), restock=True),
        ),
    ),
    (
        "discount: refund an amount, then cancel",
        (
            *(USES, takes(ADA, ("lamp", 3), discount_codes=TEN), completes(ADA)),
            *(delivered, refunds_amount(ADA, 700), cancels_order(ADA)),
        ),
    ),
    ("discount: hold an order", (*placed(), holds_order(ADA))),
    ("discount: capture a released order", (*placed(), holds_order(ADA), releases_order(ADA), captures(ADA))),
    ("discount: give a held order up", (*placed(), holds_order(ADA), gives_up_order(ADA))),
    (
        "discount: declined, one too many by other purchases",
        (
            *(USES, taken(), taken(BOB), takes("cyd", ("lamp", 1))),
            *(completes(ADA, _CARD), completes(BOB, _CARD), completes("cyd", _CARD)),
            *(captures(BOB), captures("cyd"), captures(ADA)),
        ),
    ),
    ("nothing to pay: capture", (*taken_for_nothing(), completes(ADA), captures(ADA))),
    ("nothing to pay: repair", (*taken_for_nothing(), completes(ADA), loses_everything, later(2 * MINUTE), repairs)),
    ("nothing to pay: cancel the order", (*taken_for_nothing(), completes(ADA), delivered, cancels_order(ADA))),
    (
        "nothing to pay: give a held order up",
        (*taken_for_nothing(), completes(ADA), holds_order(ADA), gives_up_order(ADA)),
    ),
)
"""Each a name, and acts of which the last is the one that dies."""
