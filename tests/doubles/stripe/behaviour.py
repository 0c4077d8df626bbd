"""The switches of the double. The defaults are harsh; a test asks for kindness."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal, Self

from tests.doubles.stripe.clock import DAY, MINUTE, SECOND


@dataclass(frozen=True)
class Behaviour:
    """How this Stripe behaves. Durations are in milliseconds, amounts in minor units of the settlement currency."""

    livemode: bool = True
    """A live account may send 100 requests a second; a sandbox 25 (T1, D)."""
    limits: bool = True
    """Whether the rate limiters refuse anything (T1 to T3, D)."""
    settlement_currency: str = "gbp"
    country: str = "gb"

    # Tokens
    one_time_tokens: bool = True
    """Whether a suffixed payment method and a confirmation token work once (X2, X3, D)."""
    declined_payment_method_is_used: bool = True
    """Whether a declined payment method counts as used (E8, G)."""
    used_payment_method_message: Literal["2023", "2026"] = "2026"
    """The wording of E8, which changed over the years (E8, O)."""
    used_token_param: str | None = "confirmation_token"
    """The `param` of the refusal of a used confirmation token; None leaves it out (E9, G)."""
    token_expires: int = 15 * MINUTE
    """The shorter of the two documented lives of a confirmation token (X3, S)."""

    # Payment intents
    hold_expires: int = 7 * DAY
    """How long a buyer-initiated authorisation is good (P3, D)."""
    max_confirms: int = 20
    """How often one intent may be confirmed until Stripe cancels it. The true limit is unpublished (E4, S)."""
    max_updates_an_hour: int = 1_000
    """How often one intent may be updated (P18, D)."""
    capture_answer: Literal["succeeded", "processing", "requires_capture"] = "succeeded"
    """The status in the answer to a capture. The capture itself ends `capture_takes` later (P1, D)."""
    capture_takes: int = 10 * SECOND
    captured_code: Literal["payment_intent_unexpected_state", "charge_already_captured"] = (
        "payment_intent_unexpected_state"
    )
    """The code of a second capture (E14, D)."""
    expired_code: Literal[
        "payment_intent_unexpected_state", "charge_expired_for_capture", "capture_charge_authorization_expired"
    ] = "payment_intent_unexpected_state"
    """The code of the capture of an expired hold (E12, O; E13, D)."""
    failed_proof_type: Literal["invalid_request_error", "card_error"] = "invalid_request_error"
    """The type of `last_payment_error` after a failed authentication (P15, G)."""
    void_sends_refund_created: bool = True
    """Whether a released hold sends `refund.created` (P5, G)."""

    # Refunds
    refund_status: Literal["pending", "succeeded"] = "pending"
    """The status of a refund when it is made (R1, S)."""
    refund_takes: int = MINUTE
    """How long a pending refund takes to its end (R2, D)."""
    refund_failure_takes: int = DAY
    """How long after its success a refund fails, with a card whose refunds fail (R2, D)."""
    refund_success_sends_updated: bool = False
    """Whether the success of a pending refund sends `refund.updated`; often nothing is sent (R7, O)."""
    refunds_need_balance: bool = False
    """Whether a refund waits until the balance covers it (E23, S). Off: Stripe debits the shop's bank."""
    unfunded_refund_fails: int = 14 * DAY
    """How long a refund waits for the balance until it fails (E23, D; the duration is a guess)."""
    over_refund_code: str | None = None
    """The code of a refund of more than is left (E20, O and G)."""

    # Money
    balance_transaction_delay: int = 3 * SECOND
    """How long a captured charge has no balance transaction (P9, O)."""
    fee_bps: int = 150
    fee_fixed: int = 20
    fee_tax_bps: int = 0
    """Tax on Stripe's fee."""
    dispute_fee: int = 2_000
    """The fee for a received dispute, and as much for a countered one (D4, D)."""
    countered_fee_after: int = 14 * DAY
    """How long after the evidence the countered fee comes (D4, O)."""
    dispute_due: int = 14 * DAY
    """How long the shop may send evidence: 7 to 21 days (D8, D)."""
    dispute_decided: int = 60 * DAY
    """How long the bank takes: 60 to 75 days (D8, D)."""
    inquiry_closes: int = 120 * DAY
    """How long an inquiry stays open (D5, D)."""
    available_after: int = 3 * DAY
    """How long a payment's money is pending (B2, S)."""
    automatic_payouts: bool = True
    payout_arrives_after: int = 2 * DAY
    payout_reconciled_after: int = 6 * MINUTE * 60
    """How long until the transactions of a payout are known (B7, D)."""
    negative_payouts: bool = True
    """Whether a negative balance is debited from the bank (B6, D)."""

    # Search and events
    search: bool = True
    """Whether the account has search: those in India have none (L3, D)."""
    search_lag: int = MINUTE
    """How far the search is behind (L1, S)."""
    event_delays: tuple[tuple[int, ...], ...] = (
        (4 * SECOND, 40 * SECOND),
        (1 * SECOND, 90 * SECOND),
        (9 * SECOND, 12 * SECOND),
    )
    """When an event is delivered, after its change. The n-th event takes the n-th entry, round and round (W3, D)."""
    twin_event_every: int = 5
    """Each n-th change has two events with different ids (W3, D); 0: none."""
    webhook_retries: tuple[int, ...] = (
        5 * MINUTE,
        30 * MINUTE,
        120 * MINUTE,
        300 * MINUTE,
        600 * MINUTE,
        720 * MINUTE,
        720 * MINUTE,
        720 * MINUTE,
    )
    """The waits between deliveries that failed: three days in all (W2, D; the single waits are a guess)."""

    @classmethod
    def kind(cls, **changes: Any) -> Self:
        """Return the behaviour without delays, doubles and limits."""
        gentle = cls(
            limits=False,
            refund_status="succeeded",
            balance_transaction_delay=0,
            search_lag=0,
            event_delays=((0,),),
            twin_event_every=0,
            declined_payment_method_is_used=False,
        )
        return replace(gentle, **changes)
