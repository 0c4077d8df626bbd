"""A double of Stripe: state, time, money, events and faults, for the unmodified SDK.

Each rule names its source in brackets. D is Stripe's documentation, S the official Python SDK 16.1.0, and O an answer
seen in public projects. G is a guess, which a switch of :class:`Behaviour` turns around.
Words like E12 number the double's rules: I idempotency, E errors, P payment intents, R refunds, D disputes, B balance,
W webhooks, L search and lists, T rates, X parameters.
"""

from tests.doubles.stripe.account import API_KEY, Account
from tests.doubles.stripe.behaviour import Behaviour
from tests.doubles.stripe.clock import ManualClock
from tests.doubles.stripe.in_process import InProcessClient

__all__ = ["API_KEY", "Account", "Behaviour", "InProcessClient", "ManualClock"]
