"""Actions of buyers, operators, finance and the platform: one request, one delivery, or the passing of time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalicelib import capture
from chalicelib.checkout import cancel_purchase, complete_purchase, create_purchase, find_purchase, update_purchase
from chalicelib.discounts import PutDiscountRequest
from chalicelib.finance import parse_day
from chalicelib.ids import derive_purchase_id
from chalicelib.instants import MINUTE, rfc3339
from chalicelib.purchase import CheckoutResult, Purchase
from chalicelib.refunds import refund_order
from chalicelib.shows import PutDropRequest, PutShowRequest, parse_cue
from tests.builders.purchases import NOW, PLATFORM, a_complete_request, a_purchase_request, a_refund_request
from tests.crashes.connection import DyingConnection
from tests.crashes.crash_world import ID_KEY, Action, CrashableProcess, CrashWorld, business_date, run_action

SHOW = "tonight"
DROPS: Mapping[str, int] = {"mug": 3, "lamp": 60, "pen": 26}
"""Units of each drop: in one bucket, in three, and in two of which one is small."""


def open_shop(world: CrashWorld) -> None:
    """Put a show with its drops, which have been open for an hour."""
    shows = world.new_process().shows
    shows.put_show(SHOW, a_crash_show_request(), "ann", NOW - 60 * MINUTE)
    for drop, stock in DROPS.items():
        shows.put_drop(drop, a_crash_drop_request(drop, stock), "ann", NOW - 60 * MINUTE)
    world.deliver()


def a_crash_show_request(**changes: Any) -> PutShowRequest:
    return PutShowRequest.from_body({"title": "Tonight", "currency": "GBP", "starts_at": rfc3339(NOW)} | changes)


def a_crash_drop_request(drop: str, stock: int, price: int = 1_275, **changes: Any) -> PutDropRequest:
    body = {"show_id": SHOW, "sku": f"sku-{drop}", "title": drop, "stock": stock}
    body |= {"unit_price": {"amount": price, "currency": "GBP"}, "opens_at": rfc3339(NOW - 60 * MINUTE)}
    return PutDropRequest.from_body(body | changes)


# Buyers.


def purchase_id_of(buyer: str) -> str:
    return derive_purchase_id(ID_KEY, "web", buyer)


def create_checkout(buyer: str, *lines: tuple[str, int], **changes: Any) -> Action:
    return lambda world, process: create_purchase(
        process.context, a_purchase_request(*lines, key=buyer, **changes), world.now
    )


def update_checkout(buyer: str, *lines: tuple[str, int], **changes: Any) -> Action:
    change = a_purchase_request(*lines, key=f"{buyer}-update", **changes)
    return lambda world, process: update_purchase(process.context, purchase_id_of(buyer), change, world.now)


def complete_checkout(buyer: str, token: str = "ok", key: str = "pay") -> Action:
    def action(world: CrashWorld, process: CrashableProcess) -> None:
        request = a_complete_request(world.provider.token(token, f"{buyer}-{key}"), f"{buyer}-{key}")
        complete_purchase(process.context, purchase_id_of(buyer), request, world.now)

    return action


def cancel_checkout(buyer: str) -> Action:
    return lambda world, process: cancel_purchase(
        process.context, purchase_id_of(buyer), PLATFORM, f"{buyer}-cancel", "", world.now
    )


def deliver_capture(buyer: str, attempt: int = 1) -> Action:
    body = f'{{"purchase_id": "{purchase_id_of(buyer)}", "attempt": {attempt}}}'
    return lambda world, process: process.on_message("captures", [body], world.now)


def place_order(buyer: str, *lines: tuple[str, int], token: str = "ok") -> tuple[Action, ...]:
    """Place an order. Its capture message is not relayed yet."""
    return create_checkout(buyer, *lines), complete_checkout(buyer, token)


def pay_order(buyer: str, *lines: tuple[str, int], token: str = "ok") -> tuple[Action, ...]:
    return *place_order(buyer, *lines, token=token), deliver_all


# Operators, finance, the platform.


def refund_units(buyer: str, *parts: tuple[int, int], key: str = "refund", restock: bool = False) -> Action:
    """Refund parts, each a pair of line number and quantity."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        lines = read_purchase(process, buyer).lines
        request = a_refund_request(
            *((lines[number].id, quantity) for number, quantity in parts), key=key, restock=restock
        )
        refund_order(process.context, purchase_id_of(buyer), request, world.now)

    return action


def cancel_order(buyer: str) -> Action:
    return lambda world, process: capture.cancel_order(
        process.context, purchase_id_of(buyer), "cancel", "", "ann", world.now
    )


def read_purchase(process: CrashableProcess, buyer: str) -> Purchase:
    answer = find_purchase(process.context, purchase_id_of(buyer), NOW)
    assert isinstance(answer, CheckoutResult)
    return answer.purchase


def put_show(**changes: Any) -> Action:
    return lambda world, process: process.shows.put_show(SHOW, a_crash_show_request(**changes), "ann", world.now)


def put_drop(drop: str, stock: int, price: int = 1_275, **changes: Any) -> Action:
    request = a_crash_drop_request(drop, stock, price, **changes)
    return lambda world, process: process.shows.put_drop(drop, request, "ann", world.now)


def put_discount(code: str = "TEN", **changes: Any) -> Action:
    """Put a discount of ten percent."""
    request = PutDiscountRequest.from_body({"title": code, "percent_bps": 1_000} | changes)

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        show = None if request.show_id is None else process.shows.show(request.show_id)
        process.context.discounts.put(code, request, show, "ann", world.now)

    return action


def change_stock(drop: str, quantity: int, key: str = "more") -> Action:
    return lambda world, process: process.shows.adjust_stock(drop, quantity, key, "ann", world.now)


def a_cue_event(kind: str, subject: str, number: int = 1, **data: Any) -> dict[str, Any]:
    """Make a cue as the encoder sends it at NOW."""
    event = {"specversion": "1.0", "id": f"cue-{number}", "source": "/encoder", "type": f"dev.livedrop.{kind}"}
    return event | {"subject": subject, "time": rfc3339(NOW)} | ({"data": data} if data else {})


def deliver_cues(*events: Any) -> Action:
    """Deliver a batch of the cue stream."""
    return lambda world, process: process.on_cues(list(events), world.now)


def post_cue(event: dict[str, Any]) -> Action:
    """Post one cue by HTTP."""
    return lambda world, process: process.shows.apply_cue(parse_cue(event), world.now)


def request_export(*, close: bool = False) -> Action:
    def action(world: CrashWorld, process: CrashableProcess) -> None:
        day = parse_day(business_date(NOW))
        process.exports.request_export(day, None, "export", "fin", world.now, close=close)

    return action


def deliver_all(world: CrashWorld, process: CrashableProcess) -> None:
    world.deliver()


def advance_clock(milliseconds: int) -> Action:
    return lambda world, process: world.advance_clock(milliseconds)


def run_night(world: CrashWorld, process: CrashableProcess) -> None:
    world.run_night()


def advance_to_three(world: CrashWorld, process: CrashableProcess) -> None:
    """Advance to three in the morning, before any job closes the day."""
    world.advance_clock(8 * 60 * MINUTE)


def relay_purchases(world: CrashWorld, process: CrashableProcess) -> None:
    """Deliver the stream of purchases from its beginning."""
    process.on_purchase(undelivered_purchase_records(world))


def undelivered_purchase_records(world: CrashWorld) -> list[Any]:
    """Copy the undelivered stream records of purchases. They stay until the platform delivers them."""
    return list(world.fake_aws.streams["commerce"])


def refresh_summaries(world: CrashWorld, process: CrashableProcess) -> None:
    process.on_stock(list(world.fake_aws.streams["stock"]), world.now)


def handle_queue(queue: str) -> Action:
    """Handle all messages of a queue as one batch. They stay until the platform delivers them."""
    return lambda world, process: process.on_message(queue, list(world.fake_aws.queues[queue]), world.now)


def leave_in_queues(*queues: str) -> Action:
    """Relay the streams, and leave the messages of ``queues`` undelivered."""

    def action(world: CrashWorld, process: CrashableProcess) -> None:
        process.on_purchase(world.fake_aws.streams["commerce"])
        world.fake_aws.streams["commerce"].clear()
        if "captures" not in queues:
            for body in world.fake_aws.queues.pop("captures", []):
                process.on_message("captures", [body], world.now)
            process.on_purchase(world.fake_aws.streams["commerce"])
            world.fake_aws.streams["commerce"].clear()

    return action


def lose_messages(world: CrashWorld, process: CrashableProcess) -> None:
    world.lose_messages()


def repair_drop(drop: str) -> Action:
    return lambda world, process: process.repair_drop(drop, world.now)


def crash_before(action: Action, operation: str, nth: int = 1) -> Action:
    """Run an action whose process dies right before its ``nth`` call of an operation."""

    def run_half(world: CrashWorld, process: CrashableProcess) -> None:
        connection = DyingConnection(operation=operation, nth=nth)
        assert not run_action(world, action, world.new_process(connection))
        assert connection.dead

    return run_half


def close_day(world: CrashWorld, process: CrashableProcess) -> None:
    process.close_day(world.now)


def recover_orders(world: CrashWorld, process: CrashableProcess) -> None:
    process.recover_orders(world.now)
