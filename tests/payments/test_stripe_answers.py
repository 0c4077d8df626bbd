"""Every answer of Stripe to every call is sorted: done, declined, refused for good, wait, or unknown.

The double's table has each documented answer with its meaning. The tests walk all of its rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import pytest
import stripe

from chalicelib.instants import HOUR
from chalicelib.payments import (
    Authorised,
    Captured,
    CaptureFailed,
    Declined,
    OutcomeUnknownError,
    ProviderBusyError,
    ProviderRefund,
    RefundFailed,
)
from chalicelib.payments.stripe.errors import Call, Sort, sort_error
from chalicelib.payments.stripe.gateway import StripeGateway
from tests.doubles.stripe import Account, Behaviour, faults
from tests.doubles.stripe.answers import ANSWERS
from tests.payments.stripe_requests import (
    NOW,
    a_captured_payment,
    a_request,
    authorise,
    capture,
    captured_at,
    gateway_of,
    statuses,
)

CREATE, CAPTURE = "payment_intents.create", "payment_intents.capture"
CANCEL, REFUND, SEARCH = "payment_intents.cancel", "refunds.create", "payment_intents.search"
STATES_DECIDE: Final = {"unexpected_state", "hold_expired", "already_captured", "charge_already_captured"}
"""Answers whose meaning is the state of the intent in them. Tests below make each of these states."""
NEVER_CALLED: Final = {"refund_not_cancelable"}
"""Answers to calls that the product does not make."""
SORTED_OTHERWISE: Final = {
    # the amount is wrong, not the card: it says nothing about the buyer
    **dict.fromkeys(("amount_too_small", "amount_too_large", "invalid_charge_amount"), "refused"),
    # looked up, and no earlier call of the shop holds the money
    **dict.fromkeys(("used_payment_method", "used_token"), "declined"),
}


def rows_of(operation: str) -> list[str]:
    named = {operation, "any", *(() if operation.endswith(("list", "retrieve", "search")) else ("any POST",))}
    return [name for name, row in ANSWERS.items() if named & set(row.calls) and name not in STATES_DECIDE]


def sort_of(call: Callable[[], Any]) -> str:
    try:
        result = call()
    except ProviderBusyError:
        return "wait"
    except OutcomeUnknownError:
        return "unknown"
    match result:
        case Declined(refused=False):
            return "declined"
        case Declined() | CaptureFailed() | RefundFailed():
            return "refused"
    return "done"


def test_the_walks_reach_every_row_of_the_table() -> None:
    walked = {name for operation in (CREATE, CAPTURE, CANCEL, REFUND, SEARCH) for name in rows_of(operation)}
    assert walked | STATES_DECIDE | NEVER_CALLED == set(ANSWERS)


@pytest.mark.parametrize("row", rows_of(CREATE))
def test_every_answer_to_a_creation_is_sorted(account: Account, gateway: StripeGateway, row: str) -> None:
    account.fail_next(CREATE, faults.refused(row))
    expected = SORTED_OTHERWISE.get(row, ANSWERS[row].meaning)
    assert sort_of(lambda: gateway.authorise(a_request(), now=NOW)) == expected
    assert captured_at(account) == 0


@pytest.mark.parametrize("row", rows_of(CAPTURE))
def test_every_answer_to_a_capture_is_sorted(account: Account, gateway: StripeGateway, row: str) -> None:
    provider_id = authorise(gateway)
    account.fail_next(CAPTURE, faults.refused(row))
    assert sort_of(lambda: capture(gateway, provider_id)) == ANSWERS[row].meaning
    assert statuses(account) == ["requires_capture"]


@pytest.mark.parametrize("row", [*rows_of(CAPTURE), "already_captured", "charge_already_captured"])
def test_a_capture_that_had_its_effect_is_never_lost(account: Account, gateway: StripeGateway, row: str) -> None:
    if ANSWERS[row].meaning not in {"unknown", "done"}:
        return
    provider_id = authorise(gateway)
    account.fail_next(CAPTURE, faults.refused(row, after_effect=True))
    captured = capture(gateway, provider_id)
    assert isinstance(captured, Captured)
    assert captured.amount == 1_000


@pytest.mark.parametrize("row", rows_of(CANCEL))
def test_a_cancellation_is_believed_by_the_state_alone(account: Account, gateway: StripeGateway, row: str) -> None:
    provider_id = authorise(gateway)
    account.fail_next(CANCEL, faults.refused(row))
    expected = "wait" if ANSWERS[row].meaning == "wait" else "unknown"
    if ANSWERS[row].meaning == "refused":
        expected = "unknown"
    assert sort_of(lambda: gateway.void(provider_id, attempt=1, now=NOW)) == expected
    assert gateway.void(provider_id, attempt=1, now=NOW + 1)
    assert statuses(account) == ["canceled"]


@pytest.mark.parametrize("row", rows_of(REFUND))
def test_every_answer_to_a_refund_is_sorted(account: Account, gateway: StripeGateway, row: str) -> None:
    provider_id = a_captured_payment(gateway)
    account.fail_next(REFUND, faults.refused(row))
    refund = lambda: gateway.refund(provider_id, refund_id="r1", amount=400, now=NOW)  # noqa: E731
    looked_up = row == "key_mismatch"  # Stripe's list has no such refund, so the next key makes it
    assert sort_of(refund) == ("done" if looked_up else ANSWERS[row].meaning)
    assert len(account.records("refund")) == int(looked_up)


@pytest.mark.parametrize("row", rows_of(SEARCH))
def test_a_refused_search_is_no_search_that_found_nothing(account: Account, gateway: StripeGateway, row: str) -> None:
    if ANSWERS[row].meaning != "refused":
        return
    provider_id = authorise(gateway)
    for now in (NOW, NOW + 24 * HOUR):
        account.fail_next(SEARCH, faults.refused(row))
        found = gateway.find("p1", 1, now=now, since=NOW, began_at=NOW)
        assert found == Authorised(provider_id, already_existed=True)
    account.fail_next(SEARCH, faults.refused(row))
    with pytest.raises(OutcomeUnknownError):
        gateway.find("p1", 1, now=NOW + 24 * HOUR, since=NOW)


READS: Final[dict[str, Callable[[StripeGateway], Any]]] = {
    "payment_intents.retrieve": lambda gateway: gateway.purchase_of("pi_1"),
    "payment_intents.list": lambda gateway: gateway.find("p1", 1, now=NOW, began_at=NOW),
    "refunds.retrieve": lambda gateway: gateway.find_refund("re_1", now=NOW),
    "refunds.list": lambda gateway: list(gateway.refunds_of("pi_1", now=NOW)),
    "disputes.retrieve": lambda gateway: gateway.find_dispute("dp_1", now=NOW),
    "balance_transactions.list": lambda gateway: list(gateway.movements(NOW, NOW + 1_000)),
}


@pytest.mark.parametrize("operation", READS)
def test_a_read_finds_nothing_only_if_stripe_says_so(account: Account, gateway: StripeGateway, operation: str) -> None:
    for row in rows_of(operation):
        account.fail_next(operation, faults.refused(row))
        if ANSWERS[row].code == "resource_missing":
            assert READS[operation](gateway) in (None, []), row
            continue
        expected = "wait" if ANSWERS[row].meaning == "wait" else "unknown"
        assert sort_of(lambda: READS[operation](gateway)) == expected, row


@pytest.mark.parametrize("fault", [faults.closed, faults.timeout, faults.garbage])
@pytest.mark.parametrize("after_effect", [False, True])
def test_a_call_without_answer_is_unknown_and_its_repeat_settles_it(
    account: Account, gateway: StripeGateway, fault: faults.Maker, after_effect: bool
) -> None:
    account.fail_next(CREATE, fault(after_effect=after_effect))
    with pytest.raises(OutcomeUnknownError):
        gateway.authorise(a_request(), now=NOW)
    provider_id = authorise(gateway)
    account.fail_next(CAPTURE, fault(after_effect=after_effect))
    read_at_once = after_effect and fault is faults.garbage
    assert sort_of(lambda: capture(gateway, provider_id)) == ("done" if read_at_once else "unknown")
    assert isinstance(capture(gateway, provider_id), Captured)
    account.fail_next(REFUND, fault(after_effect=after_effect))
    with pytest.raises(OutcomeUnknownError):
        gateway.refund(provider_id, refund_id="r1", amount=400, now=NOW)
    assert isinstance(gateway.refund(provider_id, refund_id="r1", amount=400, now=NOW), ProviderRefund)
    assert (len(account.records("payment_intent")), captured_at(account)) == (1, 1_000)
    assert [one["amount"] for one in account.records("refund")] == [400]


@pytest.mark.parametrize("call", list(Call))
@pytest.mark.parametrize("status", [400, 402, 404, 410, 418, 422])
def test_an_error_of_a_kind_that_stripe_has_not_made_yet_is_sorted(call: Call, status: int) -> None:
    body = {"error": {"type": "invalid_request_error", "code": "made_up_tomorrow"}}
    error = stripe.APIError("new", http_status=status, json_body=body, code="made_up_tomorrow")
    expected = Sort.DECLINED if call is Call.CREATE_INTENT and status == 402 else Sort.REFUSED
    answer = sort_error(call, error)
    assert answer.sort is (Sort.UNKNOWN if call is Call.CANCEL else expected)
    assert answer.code == "made_up_tomorrow"


@pytest.mark.parametrize("status", [None, 200, 302, 424, 500, 503, 599])
def test_an_error_without_a_definite_answer_is_unknown(status: int | None) -> None:
    assert sort_error(Call.CAPTURE, stripe.APIError("?", http_status=status)).sort is Sort.UNKNOWN


def test_a_rate_limit_costs_seconds_and_has_no_effect() -> None:
    account = Account(Behaviour.kind(limits=True))
    gateway = gateway_of(account)
    answers = [sort_of(lambda: gateway.authorise(a_request(purchase_id=f"q{n}"), now=NOW)) for n in range(40)]  # noqa: B023
    assert set(answers) == {"done", "wait"}
    assert len(account.records("payment_intent")) == answers.count("done")
    account.advance(2)
    refused = answers.index("wait")
    assert sort_of(lambda: gateway.authorise(a_request(purchase_id=f"q{refused}"), now=NOW)) == "done"
    account.fail_next(CREATE, faults.refused("lock_timeout"))
    with pytest.raises(ProviderBusyError) as busy:
        gateway.authorise(a_request(purchase_id="locked"), now=NOW)
    assert busy.value.retry_in_seconds <= 5


def test_a_used_token_is_declined_only_if_nothing_of_ours_holds_the_money(account: Account) -> None:
    """Also at the first key: Stripe may forget it after an answer of 500."""
    gateway = gateway_of(account)
    account.fail_next(CREATE, faults.server_error(after_effect=True))
    token = "ctoken_visa_1"
    with pytest.raises(OutcomeUnknownError):
        gateway.authorise(a_request(token), now=NOW)
    (intent,) = account.records("payment_intent")
    for tries in (0, 1):
        repeated = gateway.authorise(a_request(token, tries=tries), now=NOW)
        assert repeated == Authorised(intent["id"], already_existed=True)
    assert gateway.authorise(a_request(token, purchase_id="p2"), now=NOW) == Declined(None, "invalid_token")
    assert len(account.records("payment_intent")) == 1


@pytest.mark.parametrize("row", ["generic_decline", "account_invalid"])
def test_a_refused_second_key_is_believed_only_if_the_first_holds_no_money(account: Account, row: str) -> None:
    gateway = gateway_of(account)
    account.fail_next(CREATE, faults.closed(after_effect=True))
    with pytest.raises(OutcomeUnknownError):
        gateway.authorise(a_request(), now=NOW)
    (intent,) = account.records("payment_intent")
    account.fail_next(CREATE, faults.refused(row))
    second_key = gateway.authorise(a_request(tries=1), now=NOW)
    assert second_key == Authorised(intent["id"], already_existed=True)


@pytest.mark.parametrize("message", ["2023", "2026"])
def test_a_payment_method_that_was_used_before_is_declined_whatever_the_text(message: Any) -> None:
    account = Account(Behaviour.kind(used_payment_method_message=message))
    gateway, token = gateway_of(account), "pm_card_visa_1"
    authorise(gateway, a_request(token))
    for number in range(40):
        declined = gateway.authorise(a_request(token, purchase_id=f"q{number}"), now=NOW)
        assert declined == Declined(None, "invalid_token")


def test_a_token_that_has_expired_or_was_made_for_another_amount_is_declined(account: Account) -> None:
    gateway = gateway_of(account)
    expired, other = account.make_confirmation_token(), account.make_confirmation_token(amount=999)
    assert gateway.authorise(a_request(other), now=NOW) == Declined(None, "invalid_token")
    account.advance(16 * 60)
    late = gateway.authorise(a_request(expired, purchase_id="p2"), now=NOW)
    assert late == Declined(None, "invalid_token")


def test_other_parameters_under_the_key_of_an_attempt_find_the_first(account: Account) -> None:
    gateway = gateway_of(account)
    provider_id = authorise(gateway)
    moved = replace(a_request(), return_url="https://shop.example/new")
    assert gateway.authorise(moved, now=NOW) == Authorised(provider_id, already_existed=True)
    assert len(account.records("payment_intent")) == 1
