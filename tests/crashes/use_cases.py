"""Every use case that writes. Each has a name, setup actions, and last the action whose process dies."""

from __future__ import annotations

from itertools import count

from chalicelib.instants import MINUTE, rfc3339
from chalicelib.stock import Pool, hold_id
from chalicelib.stock.layout import home_of
from tests.builders.purchases import NEW_YORK, NOW
from tests.crashes.actions import (
    SHOW,
    a_crash_show_request,
    a_cue_event,
    advance_clock,
    advance_to_three,
    cancel_checkout,
    cancel_order,
    change_stock,
    close_day,
    complete_checkout,
    crash_before,
    create_checkout,
    deliver_all,
    deliver_capture,
    deliver_cues,
    handle_queue,
    leave_in_queues,
    lose_messages,
    pay_order,
    place_order,
    post_cue,
    purchase_id_of,
    put_drop,
    put_show,
    recover_orders,
    refresh_summaries,
    refund_units,
    relay_purchases,
    repair_drop,
    request_export,
    run_night,
    update_checkout,
)
from tests.crashes.crash_world import Action
from tests.crashes.discount_use_cases import DISCOUNT_CASES
from tests.crashes.payment_use_cases import PAYMENT_CASES
from tests.crashes.use_case import ADA, BOB, CYD, UseCase, use_case


def buyer_with_home(drop: str, homes: int, home: int, quantity: int = 1, *, first: int = 0) -> str:
    """Find a buyer whose first hold of a drop has its home in this bucket."""
    names = (f"buyer-{number}" for number in count(first))
    pool = Pool(drop, homes)
    return next(name for name in names if home_of(hold_id(purchase_id_of(name), drop, 1, quantity), pool) == home)


USE_CASES: list[UseCase] = [*PAYMENT_CASES, *DISCOUNT_CASES]


def add_use_case(name: str, *actions: Action) -> None:
    USE_CASES.append(use_case(name, *actions))


FIRST = buyer_with_home("pen", 2, 0, 12)
HALF = buyer_with_home("pen", 2, 0, 11)
OTHER_HALF = buyer_with_home("pen", 2, 1, 13)
OVERFLOW = buyer_with_home("pen", 2, 0, first=100)

add_use_case("take one line", create_checkout(ADA, ("mug", 1)))
add_use_case("take two lines", create_checkout(ADA, ("mug", 1), ("lamp", 2)))
add_use_case("take fewer than asked", create_checkout(ADA, ("mug", 5)))
add_use_case("take the last units", create_checkout(ADA, ("mug", 3)))
add_use_case(
    "take away from home", create_checkout(FIRST, ("pen", 12)), deliver_all, create_checkout(OVERFLOW, ("pen", 1))
)
add_use_case(
    "take an expired hold",
    create_checkout(BOB, ("mug", 3)),
    deliver_all,
    advance_clock(11 * MINUTE),
    create_checkout(ADA, ("mug", 2)),
)
add_use_case(
    "take consolidated units",
    *(create_checkout(HALF, ("pen", 11)), create_checkout(OTHER_HALF, ("pen", 13))),
    *(deliver_all, advance_clock(2_000), create_checkout(ADA, ("pen", 2))),
)
add_use_case("create a cart", create_checkout(ADA, ("mug", 1), as_cart=True))
add_use_case(
    "cart to checkout",
    create_checkout(ADA, ("mug", 1), as_cart=True, destination=None),
    create_checkout("ada-checkout", cart_id=purchase_id_of(ADA)),
)
add_use_case("update: grow", create_checkout(ADA, ("lamp", 1)), update_checkout(ADA, ("lamp", 3)))
add_use_case("update: shrink", create_checkout(ADA, ("lamp", 3)), update_checkout(ADA, ("lamp", 1)))
add_use_case(
    "update: another line", create_checkout(ADA, ("lamp", 3), ("mug", 1)), update_checkout(ADA, ("pen", 2), ("mug", 1))
)
add_use_case("update: destination", create_checkout(ADA, ("lamp", 3)), update_checkout(ADA, destination=NEW_YORK))
add_use_case("cancel", create_checkout(ADA, ("mug", 1), ("lamp", 2)), cancel_checkout(ADA))
add_use_case("cancel after a decline", *pay_order(ADA, ("mug", 1), token="declined"), cancel_checkout(ADA))

add_use_case("complete", create_checkout(ADA, ("mug", 1)), complete_checkout(ADA))
add_use_case("complete two lines", create_checkout(ADA, ("mug", 1), ("lamp", 2)), complete_checkout(ADA))
add_use_case(
    "complete on an expired hold", create_checkout(ADA, ("mug", 1)), advance_clock(7 * MINUTE), complete_checkout(ADA)
)
add_use_case(
    "complete with units held again",
    create_checkout(ADA, ("mug", 2)),
    advance_clock(7 * MINUTE),
    create_checkout(BOB, ("mug", 2)),
    cancel_checkout(BOB),
    advance_clock(2_000),
    complete_checkout(ADA),
)
add_use_case(
    "complete after a decline", *pay_order(ADA, ("mug", 1), token="declined"), complete_checkout(ADA, "ok", "again")
)
add_use_case(
    "complete at a new price",
    create_checkout(ADA, ("mug", 1)),
    advance_clock(30 * MINUTE),
    put_drop("mug", 3, 1_500),
    complete_checkout(ADA),
)

for token in (
    "ok", "declined", "timeout", "timeout_before", "capture_timeout", "captured_late", "capture_refused",
):  # fmt: skip
    add_use_case(f"capture: {token}", *place_order(ADA, ("mug", 1), token=token), deliver_capture(ADA))
add_use_case("capture two lines", *place_order(ADA, ("mug", 1), ("lamp", 2)), deliver_capture(ADA))
add_use_case(
    "capture two lines: declined", *place_order(ADA, ("mug", 1), ("lamp", 2), token="declined"), deliver_capture(ADA)
)
add_use_case(
    "capture a second attempt",
    *pay_order(ADA, ("mug", 1), token="declined"),
    complete_checkout(ADA, "ok", "again"),
    deliver_capture(ADA, 2),
)

add_use_case("refund", *pay_order(ADA, ("lamp", 3)), refund_units(ADA, (0, 2)))
add_use_case(
    "refund with restock", *pay_order(ADA, ("lamp", 3), ("mug", 1)), refund_units(ADA, (0, 2), (1, 1), restock=True)
)
add_use_case(
    "refund once more",
    *pay_order(ADA, ("lamp", 3)),
    refund_units(ADA, (0, 1), restock=True),
    refund_units(ADA, (0, 1), key="second", restock=True),
)
add_use_case("refund: timeout", *pay_order(ADA, ("lamp", 3), token="refund_timeout"), refund_units(ADA, (0, 1)))
add_use_case("cancel an order", *pay_order(ADA, ("lamp", 3), ("mug", 1)), cancel_order(ADA))

add_use_case(
    "put a new show", lambda world, process: process.shows.put_show("gala", a_crash_show_request(), "ann", world.now)
)
add_use_case("change a show", put_show(title="Later tonight"))
add_use_case("put a new drop", put_drop("bag", 60))
add_use_case("change a drop", put_drop("mug", 3, 990, title="A mug"))
add_use_case("add stock", change_stock("mug", 2))
add_use_case("add stock to three buckets", change_stock("lamp", 50))
add_use_case("add stock again", change_stock("mug", 2), change_stock("mug", 3, "even-more"))
add_use_case("take stock away", change_stock("mug", -2))
add_use_case("take stock away from three buckets", change_stock("lamp", -50))
add_use_case(
    "take away more stock than is free",
    create_checkout(ADA, ("mug", 1)),
    *pay_order(BOB, ("mug", 1)),
    change_stock("mug", -3),
)
add_use_case(
    "take away stock of an expired hold",
    create_checkout(ADA, ("mug", 2)),
    deliver_all,
    advance_clock(11 * MINUTE),
    change_stock("mug", -3),
)

for cue in (
    a_cue_event("drop.open", "mug"),
    a_cue_event("drop.close", "mug"),
    a_cue_event("drop.extend", "mug", closes_at=rfc3339(NOW + 10 * MINUTE)),
    a_cue_event("drop.suspend", "mug"),
    a_cue_event("drop.stock_added", "lamp", quantity=50),
    a_cue_event("show.started", SHOW),
):
    add_use_case(f"cue: {cue['type'].removeprefix('dev.livedrop.')}", deliver_cues(cue))
add_use_case(
    "cue: drop.resume",
    deliver_cues(a_cue_event("drop.suspend", "mug")),
    deliver_cues(a_cue_event("drop.resume", "mug", 2)),
)
add_use_case("cue: by HTTP", post_cue(a_cue_event("drop.stock_added", "mug", quantity=2)))
add_use_case(
    "cue: refused and unreadable",
    deliver_cues(a_cue_event("drop.open", "ghost"), "no cue", a_cue_event("drop.close", "mug", 2)),
)

add_use_case("relay placed", *place_order(ADA, ("mug", 1)), relay_purchases)
add_use_case("relay placed and paid", *place_order(ADA, ("mug", 1)), deliver_capture(ADA), relay_purchases)
add_use_case(
    "ledger: paid", *place_order(ADA, ("mug", 1), ("lamp", 2)), leave_in_queues("ledger"), handle_queue("ledger")
)
add_use_case(
    "ledger: refunded and cancelled",
    *pay_order(ADA, ("lamp", 3)),
    refund_units(ADA, (0, 1)),
    cancel_order(ADA),
    leave_in_queues("ledger"),
    handle_queue("ledger"),
)
add_use_case("live summary", create_checkout(ADA, ("mug", 1)), create_checkout(BOB, ("lamp", 1)), refresh_summaries)

add_use_case("request an export", *pay_order(ADA, ("mug", 1)), request_export())
add_use_case("interim export", *pay_order(ADA, ("mug", 1)), request_export(), handle_queue("exports"))
add_use_case("close of day", *pay_order(ADA, ("mug", 1)), *pay_order(BOB, ("lamp", 2)), advance_to_three, close_day)
add_use_case(
    "close of day on request",
    *pay_order(ADA, ("mug", 1)),
    advance_to_three,
    request_export(close=True),
    handle_queue("exports"),
)
add_use_case(
    "close of day with late entries",
    *pay_order(ADA, ("mug", 1)),
    *place_order(BOB, ("lamp", 2)),
    leave_in_queues("ledger"),
    lose_messages,
    advance_to_three,
    close_day,
)
add_use_case(
    "close of a day after another",
    *pay_order(ADA, ("lamp", 3)),
    run_night,
    refund_units(ADA, (0, 1), restock=True),
    deliver_all,
    advance_clock(24 * 60 * MINUTE),
    close_day,
)
add_use_case(
    "recover lost orders",
    *place_order(ADA, ("mug", 1)),
    *place_order(BOB, ("lamp", 1)),
    deliver_capture(BOB),
    lose_messages,
    advance_clock(2 * MINUTE),
    recover_orders,
)
add_use_case(
    "repair a drop without faults",
    *pay_order(ADA, ("mug", 1)),
    create_checkout(BOB, ("mug", 1)),
    deliver_all,
    advance_clock(2 * MINUTE),
    repair_drop("mug"),
)
add_use_case(
    "repair a drop: an orphaned hold, and an order without committed units",
    crash_before(create_checkout(CYD, ("lamp", 2)), "put_item"),
    create_checkout(ADA, ("lamp", 1)),
    crash_before(complete_checkout(ADA), "update_item"),
    *place_order(BOB, ("lamp", 3)),
    lose_messages,
    advance_clock(2 * MINUTE),
    repair_drop("lamp"),
)
add_use_case(
    "repair a drop: a plan, a shrink and a cancellation that stopped halfway",
    *(create_checkout(ADA, ("lamp", 3)), crash_before(update_checkout(ADA, ("lamp", 1)), "update_item")),
    *(create_checkout(BOB, ("lamp", 2)), crash_before(cancel_checkout(BOB), "update_item")),
    crash_before(change_stock("lamp", 50), "update_item", 2),
    advance_clock(2 * MINUTE),
    repair_drop("lamp"),
)
