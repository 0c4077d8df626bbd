"""Every use case that writes. A new one is a line: a name, the acts that went before, and the act that dies."""

from __future__ import annotations

from itertools import count

from chalicelib.instants import MINUTE, rfc3339
from chalicelib.stock import Layout, hold_id
from chalicelib.stock.layout import home_of
from tests.checkout.builders import NEW_YORK, NOW
from tests.crashes.acts import (
    SHOW,
    a_cue,
    a_show,
    cancels,
    cancels_order,
    captures,
    changes_stock,
    closes_day,
    completes,
    cues,
    delivered,
    dies,
    handles,
    key_of,
    later,
    loses_everything,
    mends,
    night,
    paid,
    placed,
    posts_cue,
    puts_drop,
    puts_show,
    refunds,
    relays,
    repairs,
    requests_export,
    summarises,
    takes,
    until_three,
    updates,
    waits,
)
from tests.crashes.cases import ADA, BOB, UseCase, use_case
from tests.crashes.payment_cases import PAYMENT_CASES
from tests.crashes.use_cases_of_discounts import DISCOUNT_CASES
from tests.crashes.world import Action


def at_home(drop: str, homes: int, home: int, quantity: int = 1, *, first: int = 0) -> str:
    """A buyer whose first hold of a drop has its home in this bucket."""
    names = (f"buyer-{number}" for number in count(first))
    layout = Layout(drop, homes)
    return next(name for name in names if home_of(hold_id(key_of(name), drop, 1, quantity), layout) == home)


USE_CASES: list[UseCase] = list(PAYMENT_CASES)


def case(name: str, *acts: Action) -> None:
    """A use case: its last act is the one that dies."""
    USE_CASES.append(use_case(name, *acts))


FIRST = at_home("pen", 2, 0, 12)
HALF = at_home("pen", 2, 0, 11)
OTHER_HALF = at_home("pen", 2, 1, 13)
STRAY = at_home("pen", 2, 0, first=100)

case("take one line", takes(ADA, ("mug", 1)))
case("take two lines", takes(ADA, ("mug", 1), ("lamp", 2)))
case("take fewer than asked", takes(ADA, ("mug", 5)))
case("take the last units", takes(ADA, ("mug", 3)))
case("take away from home", takes(FIRST, ("pen", 12)), delivered, takes(STRAY, ("pen", 1)))
case("take a lapsed hold", takes(BOB, ("mug", 3)), delivered, later(11 * MINUTE), takes(ADA, ("mug", 2)))
case(
    "take crumbs raked together",
    *(takes(HALF, ("pen", 11)), takes(OTHER_HALF, ("pen", 13))),
    *(delivered, later(2_000), takes(ADA, ("pen", 2))),
)
case("make a cart", takes(ADA, ("mug", 1), as_cart=True))
case(
    "cart to checkout",
    takes(ADA, ("mug", 1), as_cart=True, destination=None),
    takes("ada-checkout", cart_id=key_of(ADA)),
)
case("update: grow", takes(ADA, ("lamp", 1)), updates(ADA, ("lamp", 3)))
case("update: shrink", takes(ADA, ("lamp", 3)), updates(ADA, ("lamp", 1)))
case("update: another line", takes(ADA, ("lamp", 3), ("mug", 1)), updates(ADA, ("pen", 2), ("mug", 1)))
case("update: destination", takes(ADA, ("lamp", 3)), updates(ADA, destination=NEW_YORK))
case("cancel", takes(ADA, ("mug", 1), ("lamp", 2)), cancels(ADA))
case("cancel after a decline", *paid(ADA, ("mug", 1), token="declined"), cancels(ADA))

case("complete", takes(ADA, ("mug", 1)), completes(ADA))
case("complete two lines", takes(ADA, ("mug", 1), ("lamp", 2)), completes(ADA))
case("complete on a lapsed hold", takes(ADA, ("mug", 1)), later(7 * MINUTE), completes(ADA))
case(
    "complete with units taken anew",
    takes(ADA, ("mug", 2)),
    later(7 * MINUTE),
    takes(BOB, ("mug", 2)),
    cancels(BOB),
    later(2_000),
    completes(ADA),
)
case("complete after a decline", *paid(ADA, ("mug", 1), token="declined"), completes(ADA, "ok", "again"))
case("complete at a new price", takes(ADA, ("mug", 1)), later(30 * MINUTE), puts_drop("mug", 3, 1_500), completes(ADA))

for token in (
    "ok", "declined", "timeout", "timeout_before", "capture_timeout", "captured_late", "capture_refused",
):  # fmt: skip
    case(f"capture: {token}", *placed(ADA, ("mug", 1), token=token), captures(ADA))
case("capture two lines", *placed(ADA, ("mug", 1), ("lamp", 2)), captures(ADA))
case("capture two lines: declined", *placed(ADA, ("mug", 1), ("lamp", 2), token="declined"), captures(ADA))
case(
    "capture a second attempt",
    *paid(ADA, ("mug", 1), token="declined"),
    completes(ADA, "ok", "again"),
    captures(ADA, 2),
)

case("refund", *paid(ADA, ("lamp", 3)), refunds(ADA, (0, 2)))
case("refund with restock", *paid(ADA, ("lamp", 3), ("mug", 1)), refunds(ADA, (0, 2), (1, 1), restock=True))
case(
    "refund once more",
    *paid(ADA, ("lamp", 3)),
    refunds(ADA, (0, 1), restock=True),
    refunds(ADA, (0, 1), key="second", restock=True),
)
case("refund: timeout", *paid(ADA, ("lamp", 3), token="refund_timeout"), refunds(ADA, (0, 1)))
case("cancel an order", *paid(ADA, ("lamp", 3), ("mug", 1)), cancels_order(ADA))

case("put a new show", lambda world, process: process.shows.put_show("gala", a_show(), "ann", world.now))
case("change a show", puts_show(title="Later tonight"))
case("put a new drop", puts_drop("bag", 60))
case("change a drop", puts_drop("mug", 3, 990, title="A mug"))
case("add stock", changes_stock("mug", 2))
case("add stock to three buckets", changes_stock("lamp", 50))
case("add stock again", changes_stock("mug", 2), changes_stock("mug", 3, "even-more"))
case("take stock away", changes_stock("mug", -2))
case("take stock away from three buckets", changes_stock("lamp", -50))
case("take away more than is free", takes(ADA, ("mug", 1)), *paid(BOB, ("mug", 1)), changes_stock("mug", -3))
case("take away what has lapsed", takes(ADA, ("mug", 2)), delivered, later(11 * MINUTE), changes_stock("mug", -3))

for cue in (
    a_cue("drop.open", "mug"),
    a_cue("drop.close", "mug"),
    a_cue("drop.extend", "mug", closes_at=rfc3339(NOW + 10 * MINUTE)),
    a_cue("drop.suspend", "mug"),
    a_cue("drop.stock_added", "lamp", quantity=50),
    a_cue("show.started", SHOW),
):
    case(f"cue: {cue['type'].removeprefix('dev.livedrop.')}", cues(cue))
case("cue: drop.resume", cues(a_cue("drop.suspend", "mug")), cues(a_cue("drop.resume", "mug", 2)))
case("cue: by HTTP", posts_cue(a_cue("drop.stock_added", "mug", quantity=2)))
case("cue: refused and unreadable", cues(a_cue("drop.open", "ghost"), "no cue", a_cue("drop.close", "mug", 2)))

case("relay placed", *placed(ADA, ("mug", 1)), relays)
case("relay placed and paid", *placed(ADA, ("mug", 1)), captures(ADA), relays)
case("ledger: paid", *placed(ADA, ("mug", 1), ("lamp", 2)), waits("ledger"), handles("ledger"))
case(
    "ledger: refunded and cancelled",
    *paid(ADA, ("lamp", 3)),
    refunds(ADA, (0, 1)),
    cancels_order(ADA),
    waits("ledger"),
    handles("ledger"),
)
case("live summary", takes(ADA, ("mug", 1)), takes(BOB, ("lamp", 1)), summarises)

case("request an export", *paid(ADA, ("mug", 1)), requests_export())
case("interim export", *paid(ADA, ("mug", 1)), requests_export(), handles("exports"))
case("close of day", *paid(ADA, ("mug", 1)), *paid(BOB, ("lamp", 2)), until_three, closes_day)
case(
    "close of day, asked for", *paid(ADA, ("mug", 1)), until_three, requests_export(close=True), handles("exports"),
)  # fmt: skip
case(
    "close of day with late entries",
    *paid(ADA, ("mug", 1)),
    *placed(BOB, ("lamp", 2)),
    waits("ledger"),
    loses_everything,
    until_three,
    closes_day,
)
case(
    "close of a day after another",
    *paid(ADA, ("lamp", 3)),
    night,
    refunds(ADA, (0, 1), restock=True),
    delivered,
    later(24 * 60 * MINUTE),
    closes_day,
)
case(
    "repair",
    *placed(ADA, ("mug", 1)),
    *placed(BOB, ("lamp", 1)),
    captures(BOB),
    loses_everything,
    later(2 * MINUTE),
    repairs,
)
case(
    "repair a drop that is well",
    *paid(ADA, ("mug", 1)),
    takes(BOB, ("mug", 1)),
    delivered,
    later(2 * MINUTE),
    mends("mug"),
)
case(
    "repair a drop: a hold of nobody, and an order that was not sold its units",
    dies(takes("cyd", ("lamp", 2)), "put_item"),
    takes(ADA, ("lamp", 1)),
    dies(completes(ADA), "update_item"),
    *placed(BOB, ("lamp", 3)),
    loses_everything,
    later(2 * MINUTE),
    mends("lamp"),
)
case(
    "repair a drop: a plan, a shrink and a cancellation that stopped halfway",
    *(takes(ADA, ("lamp", 3)), dies(updates(ADA, ("lamp", 1)), "update_item")),
    *(takes(BOB, ("lamp", 2)), dies(cancels(BOB), "update_item")),
    dies(changes_stock("lamp", 50), "update_item", 2),
    later(2 * MINUTE),
    mends("lamp"),
)
for name, acts in DISCOUNT_CASES:
    case(name, *acts)
