from __future__ import annotations

import pytest

from chalicelib.instants import business_day, clock, parse_rfc3339, rfc3339


def test_an_instant_equals_itself_after_a_round_trip() -> None:
    assert rfc3339(1_795_806_000_250) == "2026-11-27T19:00:00.250Z"
    assert parse_rfc3339("2026-11-27T19:00:00.250Z") == 1_795_806_000_250
    assert parse_rfc3339("2026-11-27T20:00:00.2509+01:00") == 1_795_806_000_250


@pytest.mark.parametrize("text", ["2026-11-27T19:00:00", "2026-11-27", "soon", "", "2026-13-27T19:00:00Z"])
def test_a_malformed_date_time_or_one_without_an_offset_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_rfc3339(text)


def test_a_business_day_is_the_day_in_the_shops_time_zone() -> None:
    late_evening = parse_rfc3339("2026-07-01T23:30:00Z")
    assert business_day(late_evening, "Europe/London").isoformat() == "2026-07-02"
    assert business_day(late_evening, "America/New_York").isoformat() == "2026-07-01"


def test_the_clock_runs_in_milliseconds() -> None:
    assert 1_600_000_000_000 < clock() < 4_000_000_000_000
