"""A shop against its model, under requests that come doubled, late, out of order, or cut at any call and then repeated.

They come one at a time, and time goes on between them. After each, the buckets are as the model says, to the unit.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from chalicelib.checkout import (
    Buyer,
    CheckoutResult,
    CompleteRequest,
    Destination,
    LineRequest,
    PurchaseRequest,
    PurchaseState,
)
from chalicelib.instants import SECOND
from tests.schedules.shop_model import (
    BUYERS,
    HOLD_SECONDS,
    KEPT_KEYS,
    LAYOUT,
    LIMIT,
    NAMES,
    SIZES,
    WEB,
    Bought,
    Modelled,
)

CUTS = st.none() | st.tuples(st.integers(1, 12), st.booleans())


class Shop(Modelled):
    """Every request that there is, and what else happens."""

    @rule(name=st.sampled_from(NAMES), quantity=st.integers(1, 3), cut=CUTS, late=st.booleans())
    def create(self, name: str, quantity: int, cut: tuple[int, bool] | None, late: bool) -> None:
        if name not in self.used:
            self.used.add(name)
            self.first(partial(self.created, name, quantity, cut), late)

    def created(self, name: str, quantity: int, cut: tuple[int, bool] | None) -> None:
        buyer, free, most = BUYERS[NAMES.index(name) % 2], self.free(), self.largest()
        told = self.told_since_change
        wishes = (LineRequest(LAYOUT.drop_id, quantity),)
        change = PurchaseRequest(
            WEB, name, f"{quantity}", wishes, buyer=Buyer(email=f"{buyer}@example.com"),
            destination=Destination(street_address="1 High Street", address_country="GB"),
        )  # fmt: skip
        answer = self.send(
            "create", lambda checkout: checkout.create(change, self.now), cut if most >= quantity else None
        )
        if name in self.bought:
            self.as_before(name, answer)
        elif isinstance(answer, CheckoutResult):
            (line,) = answer.purchase.lines
            assert 1 <= line.quantity <= min(quantity, free)
            assert [hold.expires_at for hold in line.holds] == [self.seconds + HOLD_SECONDS]
            self.bought[name] = Bought(buyer, answer.purchase.id)
            self.see(name, answer.purchase)
            self.steps["created, as must be" if told and free else "created"] += 1
        else:
            assert not (told and free), "refused although units are free"
            self.steps["create refused"] += 1

    @rule(name=st.sampled_from(NAMES), quantity=st.integers(1, 2), token=st.sampled_from(["ok", "declined"]))
    def buy(self, name: str, quantity: int, token: str) -> None:
        """All at once, as an express purchase is."""
        if name in self.used:
            return
        self.used.add(name)
        self.first(partial(self.created, name, quantity, None), late=False)
        if name in self.bought:
            self.first(partial(self.completed, name, f"c{len(self.sent)}", token, None), late=False)
            self.first(partial(self.captured, name, 1, None), late=False)

    @precondition(lambda self: self.bought)
    @rule(data=st.data(), quantity=st.integers(1, 3), late=st.booleans())
    def update(self, data: st.DataObject, quantity: int, late: bool) -> None:
        name, key = self.drawn(data), f"u{len(self.sent)}"
        if self.bought[name].updates < KEPT_KEYS:
            self.bought[name].updates += 1
            self.first(partial(self.updated, name, key, quantity), late)

    def updated(self, name: str, key: str, quantity: int) -> None:
        one, free = self.bought[name], self.free()
        change = PurchaseRequest(WEB, key, f"{quantity}", (LineRequest(LAYOUT.drop_id, quantity),))
        answer = self.send("update", lambda checkout: checkout.update(one.id, change, self.now))
        if key in self.used or one.state is not PurchaseState.OPEN:
            return self.as_before(name, answer)
        self.used.add(key)
        have, (line,) = one.quantity, answer.purchase.lines
        if quantity <= have:
            assert line.quantity == quantity
        else:
            assert have <= line.quantity <= have + min(quantity - have, free)
        self.see(name, answer.purchase)
        self.steps["updated"] += 1
        return None

    @precondition(lambda self: self.bought)
    @rule(data=st.data(), token=st.sampled_from(["ok", "ok", "declined"]), cut=CUTS, late=st.booleans())
    def complete(self, data: st.DataObject, token: str, cut: tuple[int, bool] | None, late: bool) -> None:
        name, key = self.drawn(data), f"c{len(self.sent)}"
        self.first(partial(self.completed, name, key, token, cut), late)

    def completed(self, name: str, key: str, token: str, cut: tuple[int, bool] | None) -> None:
        one, others = self.bought[name], [o for other, o in self.bought.items() if other != name]
        own = sum(units for units, until in one.holds if until + 2 >= self.seconds)
        living = bool(one.holds) and all(until > self.seconds for _, until in one.holds)
        wish = CompleteRequest(WEB, key, token, "sandbox", "i", "card", token)
        cut = cut if living and one.state is PurchaseState.OPEN else None
        free, wanted = self.free(), one.quantity
        answer = self.send("complete", lambda checkout: checkout.complete(one.id, wish, self.now), cut)
        if key in self.used or one.state is not PurchaseState.OPEN:
            return self.as_before(name, answer)
        if answer.purchase.state is not PurchaseState.PLACED:
            contended = any(other.tried and other.buyer == one.buyer for other in others) or wanted > LIMIT
            assert contended or not living, "not placed, although its units are held"
            self.steps["not placed"] += 1
            return None
        assert wanted <= free + own, "placed without units"
        self.used.add(key)
        one.state, one.attempt, one.token, one.tried = PurchaseState.PLACED, answer.purchase.attempt, token, True
        one.holds, one.sold = [], wanted
        self.steps["placed"] += 1
        return self.captured(name, one.attempt, None) if cut else None

    @precondition(lambda self: self.bought)
    @rule(data=st.data(), attempt=st.integers(1, 3), cut=CUTS, late=st.booleans())
    def capture(self, data: st.DataObject, attempt: int, cut: tuple[int, bool] | None, late: bool) -> None:
        self.first(partial(self.captured, self.drawn(data), attempt, cut), late)

    def captured(self, name: str, attempt: int, cut: tuple[int, bool] | None) -> None:
        one = self.bought[name]
        self.send("capture", lambda checkout: checkout.capture(one.id, attempt, self.now), cut)
        if one.state is not PurchaseState.PLACED or attempt != one.attempt:
            return self.as_before(name, self.checkout.find(one.id, self.now))
        purchase = cast("CheckoutResult", self.checkout.find(one.id, self.now)).purchase
        one.state = PurchaseState.PAID if one.token == "ok" else PurchaseState.OPEN
        assert purchase.state is one.state
        if one.state is PurchaseState.OPEN:
            one.sold = 0
            self.see(name, purchase)
        self.steps[f"captured: {one.token}"] += 1
        return None

    @precondition(lambda self: self.bought)
    @rule(data=st.data(), cut=CUTS, late=st.booleans())
    def give_up(self, data: st.DataObject, cut: tuple[int, bool] | None, late: bool) -> None:
        name, key = self.drawn(data), f"x{len(self.sent)}"
        self.first(partial(self.given_up, name, key, cut), late)

    def given_up(self, name: str, key: str, cut: tuple[int, bool] | None) -> None:
        """Cancels an open purchase; a paid order is cancelled with its units put back."""
        one = self.bought[name]
        if one.state is PurchaseState.PAID and (one.sold or key in self.used):
            self.send("cancel order", lambda checkout: checkout.cancel_order(one.id, key, "", "ann", self.now), cut)
            one.sold = 0
            self.used.add(key)
            self.steps["order cancelled"] += 1
            return
        self.send("cancel", lambda checkout: checkout.cancel(one.id, WEB, key, "", self.now), cut)
        if one.state is PurchaseState.OPEN:
            one.state, one.holds = PurchaseState.CANCELLED, []
            self.steps["cancelled"] += 1

    @rule(quantity=st.sampled_from([-3, -1, 1, 2]), cut=CUTS, late=st.booleans())
    def change_stock(self, quantity: int, cut: tuple[int, bool] | None, late: bool) -> None:
        if not -3 <= self.size - sum(SIZES) + quantity <= 3:
            return
        self.first(partial(self.stock_changed, f"s{len(self.sent)}", quantity, cut), late)

    def stock_changed(self, key: str, quantity: int, cut: tuple[int, bool] | None) -> None:
        free = self.free()
        drop = LAYOUT.drop_id
        answer = self.send(
            "stock", lambda checkout: checkout.shows.change_stock(drop, quantity, key, "ann", self.now), cut
        )
        if key not in self.used:
            self.used.add(key)
            assert answer.moved == max(quantity, -free)
            self.size += answer.moved
            self.steps["stock changed"] += 1

    # What else happens.

    @precondition(lambda self: self.sent)
    @rule(data=st.data())
    def deliver_again(self, data: st.DataObject) -> None:
        """Any request that was ever sent, for the first time or once more."""
        data.draw(st.sampled_from(self.sent))()
        self.steps["delivered again or late"] += 1

    @rule(seconds=st.sampled_from([1, 3, 20, HOLD_SECONDS + 1, HOLD_SECONDS + 3, 62, 130, 400]))
    def time_goes_on(self, seconds: int) -> None:
        self.now += seconds * SECOND
        self.told_since_change = False

    @rule()
    def refresh(self) -> None:
        """The stream's function was here: the live summary is true, and nobody is refused what is free."""
        told = self.checkout.stock.refresh(LAYOUT, self.now)
        assert (told.available, told.held, told.sold) == (self.free(), self.held(), self.sold())
        self.told_since_change = True
