"""The limits of declines and their wait, the rule of card testing, and the texts that configure both."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.instants import HOUR, MINUTE
from chalicelib.risk import DeclineLimits, FraudRules, StepUpRule, TooManyDeclines, VelocityKind, velocity_key
from chalicelib.risk.fraud_rules import exceeded_limit

NOW = 1_800_000_000_000
LIMITS = DeclineLimits(instrument=3, email=5, address=10, window=HOUR)
KEY = b"k" * 32


def test_declines_below_the_limit_do_not_block() -> None:
    assert exceeded_limit(LIMITS, {}, NOW) is None
    assert exceeded_limit(LIMITS, {"i#x": [NOW, NOW], "e#y": [NOW] * 4, "a#z": [NOW] * 9}, NOW) is None


@pytest.mark.parametrize(("key", "times"), [("i#x", 3), ("e#y", 5), ("a#z", 10)])
def test_each_kind_has_its_own_limit(key: str, times: int) -> None:
    found = exceeded_limit(LIMITS, {key: [NOW] * times}, NOW)
    assert found == TooManyDeclines(VelocityKind(key[0]), HOUR)


def test_decline_counts_until_its_window_ends() -> None:
    declines = {"i#x": [NOW - HOUR + 1, NOW - 2, NOW - 1]}
    assert exceeded_limit(LIMITS, declines, NOW) == TooManyDeclines(VelocityKind.INSTRUMENT, 1)
    assert exceeded_limit(LIMITS, declines, NOW + 1) is None


def test_longest_of_several_waits_is_returned() -> None:
    declines = {"i#x": [NOW - 50 * MINUTE] * 3, "e#y": [NOW - 20 * MINUTE] * 5}
    assert exceeded_limit(LIMITS, declines, NOW) == TooManyDeclines(VelocityKind.EMAIL, 40 * MINUTE)


def test_limit_of_zero_never_blocks() -> None:
    assert exceeded_limit(DeclineLimits(email=1), {"i#x": [NOW] * 99, "a#z": [NOW] * 99}, NOW) is None


@given(st.lists(st.integers(0, 2 * HOUR), max_size=12), st.integers(1, 5))
def test_buyer_may_try_again_at_the_given_instant_and_not_before(ages: list[int], limit: int) -> None:
    limits, declines = DeclineLimits(email=limit), {"e#y": [NOW - age for age in ages]}
    found = exceeded_limit(limits, declines, NOW)
    assert (found is not None) == (sum(age < HOUR for age in ages) >= limit)
    if found is not None:
        assert exceeded_limit(limits, declines, NOW + found.retry_after) is None
        assert exceeded_limit(limits, declines, NOW + found.retry_after - 1) == TooManyDeclines(VelocityKind.EMAIL, 1)


def test_velocity_key_hides_its_text_and_differs_by_kind_and_key() -> None:
    velocity_keys = {velocity_key(key, kind, "ada@example.com") for key in (KEY, b"other") for kind in VelocityKind}
    assert len(velocity_keys) == 6
    assert {len(velocity) for velocity in velocity_keys} == {13}
    assert not any("ada" in velocity for velocity in velocity_keys)
    with pytest.raises(ValueError, match="key"):
        velocity_key(b"", VelocityKind.EMAIL, "ada@example.com")


RULE = StepUpRule(declines=30, percent=40)


@pytest.mark.parametrize(
    ("declines", "declined", "sold", "triggered"),
    [
        (29, 29, 0, False),
        (30, 30, 0, True),
        (30, 30, 45, True),
        (30, 30, 46, False),
        (30, 30, -5, True),
        (30, 60, 90, True),
        (30, 60, 91, False),
    ],
)
def test_many_declines_with_a_high_share_trigger_the_step_up(
    declines: int, declined: int, sold: int, triggered: bool
) -> None:
    assert RULE.is_triggered(declines, declined, sold) is triggered


def test_step_up_rule_of_zero_declines_is_never_triggered() -> None:
    assert not StepUpRule(declines=0, percent=1).is_triggered(1_000, 1_000, 0)


def test_rules_are_read_from_their_texts() -> None:
    rules = FraudRules.parse(
        "instrument=3, email=5,address=0,minutes=60", "declines=30,percent=40,within_minutes=5,minutes=9"
    )
    assert rules.limits == DeclineLimits(3, 5, 0, HOUR)
    assert rules.step_up == StepUpRule(30, 40, 5 * MINUTE, 9 * MINUTE)
    assert FraudRules.parse("", " ") == FraudRules()


LIMIT, STEP_UP = "instrument=3,email=5,address=10,minutes=60", "declines=30,percent=40,within_minutes=5,minutes=30"


@pytest.mark.parametrize(
    ("limits", "step_up", "message"),
    [
        ("instrument=3", "", "decline limits: email is missing"),
        (LIMIT.replace("3", "-3"), "", "decline limits: instrument must be a whole number from 0"),
        (LIMIT.replace("5", "5.5"), "", "decline limits: email must be"),
        (LIMIT.replace("=10", ""), "", "decline limits: address must be"),
        (LIMIT.replace("60", "0"), "", "decline limits: minutes must be a whole number from 1"),
        (LIMIT.replace("60", "1000000"), "", "decline limits: minutes must be"),
        (LIMIT.replace("60", "\u0663"), "", "decline limits: minutes must be"),
        (LIMIT + ",hours=1", "", "decline limits: 'hours' must be one of"),
        (LIMIT + ",email=6", "", "decline limits: 'email' must be one of .*, once"),
        ("5", "", "decline limits: '5' must be one of"),
        ("", STEP_UP.replace("40", "0"), "step-up: percent must be a whole number from 1"),
        ("", STEP_UP.replace("40", "101"), "step-up: percent must be 100 at most"),
        ("", STEP_UP.replace("within_minutes=5,", ""), "step-up: within_minutes is missing"),
    ],
)
def test_wrong_setting_is_refused_by_name(limits: str, step_up: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        FraudRules.parse(limits, step_up)
