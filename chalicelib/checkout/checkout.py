"""Checkout: the till with its verbs."""

from __future__ import annotations

from chalicelib.checkout import audit as _audit
from chalicelib.checkout import basket as _basket
from chalicelib.checkout import capture as _capture
from chalicelib.checkout import complete as _complete
from chalicelib.checkout import ending as _ending
from chalicelib.checkout import events as _events
from chalicelib.checkout import holding as _holding
from chalicelib.checkout import mend as _mend
from chalicelib.checkout import reconcile as _reconcile
from chalicelib.checkout import refund as _refund
from chalicelib.checkout import repair as _repair
from chalicelib.checkout.till import CheckoutContext


class Checkout(CheckoutContext):
    """Everything that can be done with purchases. Each verb is described where it is written."""

    __slots__ = ()

    create = _basket.create
    update = _basket.update
    find = _basket.find
    cancel = _basket.cancel
    complete = _complete.complete
    process_payment = _capture.process_payment
    refund = _refund.refund
    cancel_order = _refund.cancel_order
    store_event = _events.store_event
    process_event = _events.process_event
    put_on_hold = _holding.put_on_hold
    release_from_hold = _holding.release_from_hold
    cancel_held_order = _ending.cancel_held_order
    reconcile = _reconcile.reconcile
    recover_orders = _repair.recover_orders
    audit = _audit.audit
    repair_drop = _mend.repair_drop
