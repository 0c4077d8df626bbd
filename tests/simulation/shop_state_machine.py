"""A shop against its model, under requests that are doubled, late, out of order, or cut at any call and repeated.

Requests arrive one at a time, and time passes between them. After each, the buckets equal the model to the unit.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from chalicelib.capture import cancel_order, process_attempt
from chalicelib.checkout import cancel_purchase, complete_purchase, create_purchase, find_purchase, update_purchase
from chalicelib.instants import SECOND
from chalicelib.purchase import Buyer, CheckoutResult, PurchaseState
from tests.builders.purchases import PLATFORM, a_complete_request, a_purchase_request
from tests.independent_counts import CLOCK_SKEW_SECONDS
from tests.simulation.shop_model import (
    BUYERS,
    HOLD_SECONDS,
    KEPT_KEYS,
    LIMIT,
    NAMES,
    POOL,
    SIZES,
    ModelPurchase,
    ShopWithModel,
)

CUT_CALLS = st.none() | st.tuples(st.integers(1, 12), st.booleans())


class ShopStateMachine(ShopWithModel):
    """Every request of buyers and operators, and the passing of time."""

    @rule(name=st.sampled_from(NAMES), quantity=st.integers(1, 3), cut=CUT_CALLS, late=st.booleans())
    def create(self, name: str, quantity: int, cut: tuple[int, bool] | None, late: bool) -> None:
        if name not in self.used_keys:
            self.used_keys.add(name)
            self.deliver_or_defer(partial(self.check_create, name, quantity, cut), late)

    def check_create(self, name: str, quantity: int, cut: tuple[int, bool] | None) -> None:
        buyer, free, largest_free = BUYERS[NAMES.index(name) % 2], self.free(), self.largest_bucket()
        refreshed = self.refreshed_since_change
        request = a_purchase_request((POOL.pool_id, quantity), key=name, buyer=Buyer(email=f"{buyer}@example.com"))
        answer = self.send(
            "create",
            lambda context: create_purchase(context, request, self.now),
            cut if largest_free >= quantity else None,
        )
        if name in self.models:
            self.assert_unchanged(name, answer)
        elif isinstance(answer, CheckoutResult):
            (line,) = answer.purchase.lines
            assert 1 <= line.quantity <= min(quantity, free)
            assert [hold.expires_at for hold in line.holds] == [self.seconds + HOLD_SECONDS]
            self.models[name] = ModelPurchase(buyer, answer.purchase.id)
            self.update_model(name, answer.purchase)
            self.steps["created while units were surely free" if refreshed and free else "created"] += 1
        else:
            assert not (refreshed and free), "refused although units are free"
            self.steps["create refused"] += 1

    @rule(name=st.sampled_from(NAMES), quantity=st.integers(1, 2), token=st.sampled_from(["ok", "declined"]))
    def buy(self, name: str, quantity: int, token: str) -> None:
        """Create, complete and capture in one step, as an express purchase does."""
        if name in self.used_keys:
            return
        self.used_keys.add(name)
        self.deliver_or_defer(partial(self.check_create, name, quantity, None), late=False)
        if name in self.models:
            self.deliver_or_defer(
                partial(self.check_complete, name, f"c{len(self.sent_requests)}", token, None), late=False
            )
            self.deliver_or_defer(partial(self.check_capture, name, 1, None), late=False)

    @precondition(lambda self: self.models)
    @rule(data=st.data(), quantity=st.integers(1, 3), late=st.booleans())
    def update(self, data: st.DataObject, quantity: int, late: bool) -> None:
        name, key = self.draw_name(data), f"u{len(self.sent_requests)}"
        if self.models[name].updates < KEPT_KEYS:
            self.models[name].updates += 1
            self.deliver_or_defer(partial(self.check_update, name, key, quantity), late)

    def check_update(self, name: str, key: str, quantity: int) -> None:
        model, free = self.models[name], self.free()
        request = a_purchase_request((POOL.pool_id, quantity), key=key, buyer=None, destination=None)
        answer = self.send("update", lambda context: update_purchase(context, model.id, request, self.now))
        if key in self.used_keys or model.state is not PurchaseState.OPEN:
            return self.assert_unchanged(name, answer)
        self.used_keys.add(key)
        have, (line,) = model.quantity, answer.purchase.lines
        if quantity <= have:
            assert line.quantity == quantity
        else:
            assert have <= line.quantity <= have + min(quantity - have, free)
        self.update_model(name, answer.purchase)
        self.steps["updated"] += 1
        return None

    @precondition(lambda self: self.models)
    @rule(data=st.data(), token=st.sampled_from(["ok", "ok", "declined"]), cut=CUT_CALLS, late=st.booleans())
    def complete(self, data: st.DataObject, token: str, cut: tuple[int, bool] | None, late: bool) -> None:
        name, key = self.draw_name(data), f"c{len(self.sent_requests)}"
        self.deliver_or_defer(partial(self.check_complete, name, key, token, cut), late)

    def check_complete(self, name: str, key: str, token: str, cut: tuple[int, bool] | None) -> None:
        model, others = self.models[name], [o for other, o in self.models.items() if other != name]
        own_units = sum(units for units, expires_at in model.holds if expires_at + CLOCK_SKEW_SECONDS >= self.seconds)
        has_live_holds = bool(model.holds) and all(expires_at > self.seconds for _, expires_at in model.holds)
        request = a_complete_request(token, key)
        cut = cut if has_live_holds and model.state is PurchaseState.OPEN else None
        free, wanted = self.free(), model.quantity
        answer = self.send("complete", lambda context: complete_purchase(context, model.id, request, self.now), cut)
        if key in self.used_keys or model.state is not PurchaseState.OPEN:
            return self.assert_unchanged(name, answer)
        if answer.purchase.state is not PurchaseState.PLACED:
            contended = any(other.attempted and other.buyer == model.buyer for other in others) or wanted > LIMIT
            assert contended or not has_live_holds, "not placed, although its units are held"
            self.steps["not placed"] += 1
            return None
        assert wanted <= free + own_units, "placed without units"
        self.used_keys.add(key)
        model.state, model.attempt, model.token, model.attempted = (
            PurchaseState.PLACED,
            answer.purchase.attempt,
            token,
            True,
        )
        model.holds, model.sold = [], wanted
        self.steps["placed"] += 1
        return self.check_capture(name, model.attempt, None) if cut else None

    @precondition(lambda self: self.models)
    @rule(data=st.data(), attempt=st.integers(1, 3), cut=CUT_CALLS, late=st.booleans())
    def capture(self, data: st.DataObject, attempt: int, cut: tuple[int, bool] | None, late: bool) -> None:
        self.deliver_or_defer(partial(self.check_capture, self.draw_name(data), attempt, cut), late)

    def check_capture(self, name: str, attempt: int, cut: tuple[int, bool] | None) -> None:
        model = self.models[name]
        self.send("capture", lambda context: process_attempt(context, model.id, attempt, self.now), cut)
        if model.state is not PurchaseState.PLACED or attempt != model.attempt:
            return self.assert_unchanged(name, find_purchase(self.context, model.id, self.now))
        purchase = cast("CheckoutResult", find_purchase(self.context, model.id, self.now)).purchase
        model.state = PurchaseState.PAID if model.token == "ok" else PurchaseState.OPEN
        assert purchase.state is model.state
        if model.state is PurchaseState.OPEN:
            model.sold = 0
            self.update_model(name, purchase)
        self.steps[f"captured: {model.token}"] += 1
        return None

    @precondition(lambda self: self.models)
    @rule(data=st.data(), cut=CUT_CALLS, late=st.booleans())
    def cancel(self, data: st.DataObject, cut: tuple[int, bool] | None, late: bool) -> None:
        name, key = self.draw_name(data), f"x{len(self.sent_requests)}"
        self.deliver_or_defer(partial(self.check_cancel, name, key, cut), late)

    def check_cancel(self, name: str, key: str, cut: tuple[int, bool] | None) -> None:
        """Cancel an open purchase, or a paid order with its units restocked."""
        model = self.models[name]
        if model.state is PurchaseState.PAID and (model.sold or key in self.used_keys):
            self.send("cancel order", lambda context: cancel_order(context, model.id, key, "", "ann", self.now), cut)
            model.sold = 0
            self.used_keys.add(key)
            self.steps["order cancelled"] += 1
            return
        self.send("cancel", lambda context: cancel_purchase(context, model.id, PLATFORM, key, "", self.now), cut)
        if model.state is PurchaseState.OPEN:
            model.state, model.holds = PurchaseState.CANCELLED, []
            self.steps["cancelled"] += 1

    @rule(quantity=st.sampled_from([-3, -1, 1, 2]), cut=CUT_CALLS, late=st.booleans())
    def change_stock(self, quantity: int, cut: tuple[int, bool] | None, late: bool) -> None:
        if not -3 <= self.size - sum(SIZES) + quantity <= 3:
            return
        self.deliver_or_defer(partial(self.check_stock_change, f"s{len(self.sent_requests)}", quantity, cut), late)

    def check_stock_change(self, key: str, quantity: int, cut: tuple[int, bool] | None) -> None:
        free = self.free()
        drop = POOL.pool_id
        answer = self.send(
            "stock", lambda context: context.shows.adjust_stock(drop, quantity, key, "ann", self.now), cut
        )
        if key not in self.used_keys:
            self.used_keys.add(key)
            assert answer.moved == max(quantity, -free)
            self.size += answer.moved
            self.steps["stock changed"] += 1

    # Everything else.

    @precondition(lambda self: self.sent_requests)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """Deliver any request that was sent, for the first time or again."""
        data.draw(st.sampled_from(self.sent_requests))()
        self.steps["delivered again or late"] += 1

    @rule(seconds=st.sampled_from([1, 3, 20, HOLD_SECONDS + 1, HOLD_SECONDS + 3, 62, 130, 400]))
    def advance_clock(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self.refreshed_since_change = False

    @rule()
    def refresh(self) -> None:
        """Refresh the live summary. It is true now, and no buyer is refused a free unit."""
        summary = self.context.stock.refresh(POOL, self.now)
        assert (summary.available, summary.held, summary.sold) == (self.free(), self.held(), self.sold())
        self.refreshed_since_change = True
