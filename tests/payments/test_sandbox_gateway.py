"""The sandbox provider fulfils the protocol of a gateway."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from chalicelib.payments import (
    AuthorisationRequest,
    Authorised,
    Captured,
    CaptureFailed,
    Declined,
    OutcomeUnknownError,
    ProviderRefund,
    RefundFailed,
    SandboxGateway,
)
from chalicelib.payments.sandbox.gateway import behaviour_of
from tests.conftest import EmulatorAccount, Tables

NOW = 1_795_000_000_000
PAYMENT = "sbx_p1#1"


def a_request(token: str = "ok", *, attempt: int = 1, amount: int = 1_000) -> AuthorisationRequest:
    return AuthorisationRequest("p1", attempt, amount, "GBP", token, {"purchase": "p1"}, NOW)


def a_refund(refund_id: str, amount: int) -> ProviderRefund:
    return ProviderRefund(f"{PAYMENT}-{refund_id}", amount, refund_id, payment_id=PAYMENT)


@pytest.fixture
def gateway(tables: Tables) -> SandboxGateway:
    return SandboxGateway(tables.dynamodb, tables.sandbox)


def authorise(gateway: SandboxGateway, token: str = "ok") -> str:
    answer = gateway.authorise(a_request(token), now=NOW)
    assert isinstance(answer, Authorised)
    return answer.provider_id


def capture(gateway: SandboxGateway, token: str = "ok") -> str:
    provider_id = authorise(gateway, token)
    assert gateway.capture(provider_id, attempt=1, amount=1_000, currency="GBP", now=NOW) == Captured(
        PAYMENT, "sbx_ch_p1#1", 1_000
    )
    return provider_id


def test_a_repeated_authorisation_finds_the_first(gateway: SandboxGateway) -> None:
    assert gateway.authorise(a_request(), now=NOW) == Authorised(PAYMENT)
    assert gateway.authorise(a_request(), now=NOW) == Authorised(PAYMENT, already_existed=True)
    assert gateway.find("p1", 1, now=NOW) == Authorised(PAYMENT, already_existed=True)


def test_an_attempt_cannot_change_its_amount(gateway: SandboxGateway) -> None:
    authorise(gateway)
    with pytest.raises(ValueError, match="another amount"):
        gateway.authorise(a_request(amount=1_001), now=NOW)


@pytest.mark.parametrize(
    ("token", "code"),
    [
        ("declined", "card_declined"),
        ("insufficient_funds", "insufficient_funds"),
        ("nonsense", "invalid_token"),
        ("", "invalid_token"),
    ],
)
def test_a_declined_token_is_declined_again_with_its_code(gateway: SandboxGateway, token: str, code: str) -> None:
    declined = Declined(PAYMENT, code)
    assert gateway.authorise(a_request(token), now=NOW) == declined
    assert gateway.authorise(a_request(token), now=NOW) == declined
    assert gateway.find("p1", 1, now=NOW) == declined
    assert gateway.capture(PAYMENT, attempt=1, amount=1_000, currency="GBP", now=NOW) == CaptureFailed(
        PAYMENT, "not_authorised"
    )


@pytest.mark.parametrize(
    ("token", "behaviour"),
    [
        ("ok_123", "ok"),
        ("timeout_7", "timeout"),
        ("timeout_before", "timeout_before"),
        ("timeout_before_7", "timeout_before"),
        ("okay", "invalid_token"),
        ("OK", "invalid_token"),
    ],
)
def test_a_token_may_carry_a_suffix(token: str, behaviour: str) -> None:
    assert behaviour_of(token) == behaviour


def test_an_authorisation_whose_answer_was_lost_is_found_by_a_repeat(gateway: SandboxGateway) -> None:
    with pytest.raises(OutcomeUnknownError):
        gateway.authorise(a_request("timeout"), now=NOW)
    assert gateway.find("p1", 1, now=NOW) == Authorised(PAYMENT, already_existed=True)
    assert gateway.authorise(a_request("timeout"), now=NOW) == Authorised(PAYMENT, already_existed=True)


def test_a_lost_request_has_no_effect_and_its_repeat_authorises(gateway: SandboxGateway) -> None:
    with pytest.raises(OutcomeUnknownError):
        gateway.authorise(a_request("timeout_before"), now=NOW)
    assert gateway.find("p1", 1, now=NOW) is None
    assert gateway.authorise(a_request("timeout_before"), now=NOW) == Authorised(PAYMENT)
    assert gateway.find("p1", 1, now=NOW) == Authorised(PAYMENT, already_existed=True)


def test_a_repeated_capture_returns_the_first(gateway: SandboxGateway) -> None:
    provider_id = capture(gateway)
    again = gateway.capture(provider_id, attempt=1, amount=400, currency="GBP", now=NOW + 1)
    assert again == Captured(PAYMENT, "sbx_ch_p1#1", 1_000)
    assert gateway.find("p1", 1, now=NOW) == again


def test_a_lost_capture_had_no_effect_and_a_late_one_did(gateway: SandboxGateway) -> None:
    lost = authorise(gateway, "capture_timeout")
    with pytest.raises(OutcomeUnknownError):
        gateway.capture(lost, attempt=1, amount=1_000, currency="GBP", now=NOW)
    assert gateway.find("p1", 1, now=NOW) == Authorised(PAYMENT, already_existed=True)
    assert gateway.capture(lost, attempt=1, amount=1_000, currency="GBP", now=NOW) == Captured(
        PAYMENT, "sbx_ch_p1#1", 1_000
    )

    gateway.authorise(a_request("captured_late", attempt=2), now=NOW)
    with pytest.raises(OutcomeUnknownError):
        gateway.capture("sbx_p1#2", attempt=2, amount=1_000, currency="GBP", now=NOW)
    late = Captured("sbx_p1#2", "sbx_ch_p1#2", 1_000)
    assert gateway.find("p1", 2, now=NOW) == late
    assert gateway.capture("sbx_p1#2", attempt=2, amount=1_000, currency="GBP", now=NOW) == late


def test_a_capture_above_the_authorised_amount_fails(gateway: SandboxGateway) -> None:
    provider_id = authorise(gateway)
    refused = gateway.capture(provider_id, attempt=1, amount=1_001, currency="GBP", now=NOW)
    assert refused == CaptureFailed(PAYMENT, "amount_too_large")
    assert gateway.find("p1", 1, now=NOW) == Authorised(PAYMENT, already_existed=True)


def test_another_attempts_authorisation_is_neither_captured_nor_voided(gateway: SandboxGateway) -> None:
    provider_id = authorise(gateway)
    refused = gateway.capture(provider_id, attempt=2, amount=1_000, currency="GBP", now=NOW)
    assert refused == CaptureFailed(PAYMENT, "wrong_attempt")
    with pytest.raises(ValueError, match="not of attempt 2"):
        gateway.void(provider_id, attempt=2, now=NOW)
    assert gateway.find("p1", 1, now=NOW) == Authorised(PAYMENT, already_existed=True)


def test_an_expired_authorisation_cannot_be_captured(gateway: SandboxGateway) -> None:
    provider_id = authorise(gateway, "capture_refused")
    refused = CaptureFailed(PAYMENT, "authorisation_expired")
    assert gateway.capture(provider_id, attempt=1, amount=1_000, currency="GBP", now=NOW) == refused
    assert gateway.find("p1", 1, now=NOW) == Declined(PAYMENT, "voided")


def test_a_voided_authorisation_stays_voided(gateway: SandboxGateway) -> None:
    provider_id = authorise(gateway)
    assert gateway.void(provider_id, attempt=1, now=NOW) is True
    assert gateway.void(provider_id, attempt=1, now=NOW) is True
    assert gateway.capture(provider_id, attempt=1, amount=1_000, currency="GBP", now=NOW) == CaptureFailed(
        PAYMENT, "voided"
    )
    assert gateway.authorise(a_request(), now=NOW) == Declined(PAYMENT, "voided")


def test_captured_money_cannot_be_voided(gateway: SandboxGateway) -> None:
    provider_id = capture(gateway)
    assert gateway.void(provider_id, attempt=1, now=NOW) is False
    assert gateway.find("p1", 1, now=NOW) == Captured(PAYMENT, "sbx_ch_p1#1", 1_000)


def test_a_late_authorisation_after_a_void_is_declined(gateway: SandboxGateway) -> None:
    assert gateway.void(PAYMENT, attempt=1, now=NOW) is True
    assert gateway.authorise(a_request(), now=NOW) == Declined(PAYMENT, "voided")


def test_refunds_never_exceed_what_was_captured(gateway: SandboxGateway) -> None:
    provider_id = capture(gateway)
    assert gateway.refund(provider_id, refund_id="rf_1", amount=600, now=NOW) == a_refund("rf_1", 600)
    refused = gateway.refund(provider_id, refund_id="rf_2", amount=401, now=NOW)
    assert refused == RefundFailed("amount_too_large")
    assert gateway.refund(provider_id, refund_id="rf_2", amount=400, now=NOW) == a_refund("rf_2", 400)


def test_a_repeated_refund_moves_nothing(gateway: SandboxGateway) -> None:
    provider_id = capture(gateway)
    for _ in range(3):
        assert gateway.refund(provider_id, refund_id="rf_1", amount=600, now=NOW) == a_refund("rf_1", 600)
    assert gateway.refund(provider_id, refund_id="rf_2", amount=400, now=NOW) == a_refund("rf_2", 400)


def test_a_refund_id_cannot_be_used_for_another_amount(gateway: SandboxGateway) -> None:
    provider_id = capture(gateway)
    gateway.refund(provider_id, refund_id="rf_1", amount=100, now=NOW)
    with pytest.raises(ValueError, match="another amount"):
        gateway.refund(provider_id, refund_id="rf_1", amount=101, now=NOW)


@pytest.mark.parametrize("amount", [0, -1])
def test_a_refund_below_one_minor_unit_is_refused(gateway: SandboxGateway, amount: int) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        gateway.refund(capture(gateway), refund_id="rf_1", amount=amount, now=NOW)


def test_money_that_was_not_captured_cannot_be_refunded(gateway: SandboxGateway) -> None:
    refused = RefundFailed("amount_too_large")
    assert gateway.refund(authorise(gateway), refund_id="rf_1", amount=1, now=NOW) == refused
    assert gateway.refund("sbx_unknown#1", refund_id="rf_1", amount=1, now=NOW) == refused


def test_a_refund_whose_answer_was_lost_is_found_by_a_repeat(gateway: SandboxGateway) -> None:
    provider_id = capture(gateway, "refund_timeout")
    with pytest.raises(OutcomeUnknownError):
        gateway.refund(provider_id, refund_id="rf_1", amount=1_000, now=NOW)
    assert gateway.refund(provider_id, refund_id="rf_1", amount=1_000, now=NOW) == a_refund("rf_1", 1_000)


def test_an_unreachable_provider_has_an_unknown_outcome(tables: Tables) -> None:
    gateway = SandboxGateway(tables.dynamodb, "no-such-table")
    with pytest.raises(OutcomeUnknownError):
        gateway.authorise(a_request(), now=NOW)
    with pytest.raises(OutcomeUnknownError):
        gateway.find("p1", 1, now=NOW)


@pytest.mark.emulator
def test_sixty_four_captures_at_once_capture_once(emulator: EmulatorAccount) -> None:
    tables = emulator.tables()
    dynamodb = emulator.client("dynamodb")
    gateway = SandboxGateway(dynamodb, tables.sandbox)
    provider_id = authorise(gateway)
    with ThreadPoolExecutor(16) as rivals:
        answers = list(
            rivals.map(
                lambda rival: gateway.capture(
                    provider_id, attempt=1, amount=1_000 - rival, currency="GBP", now=NOW + rival
                ),
                range(64),
            )
        )
    assert len(set(answers)) == 1, "every rival gets the same capture"
    (item,) = dynamodb.scan(TableName=tables.sandbox)["Items"]
    winner = int(item["captured_at"]["N"]) - NOW
    assert (item["captured"], item["left"]) == ({"N": str(1_000 - winner)},) * 2


@pytest.mark.emulator
def test_refunds_at_once_never_exceed_the_captured_amount(emulator: EmulatorAccount) -> None:
    tables = emulator.tables()
    gateway = SandboxGateway(emulator.client("dynamodb"), tables.sandbox)
    provider_id = capture(gateway)

    def refund(rival: int) -> int:
        done = gateway.refund(provider_id, refund_id=f"rf_{rival}", amount=300, now=NOW)
        return 300 if isinstance(done, ProviderRefund) else 0

    with ThreadPoolExecutor(16) as rivals:
        assert sum(rivals.map(refund, range(32))) == 900
