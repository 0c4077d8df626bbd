"""A process reads each thing once a second, however many ask."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from chalicelib.cache import SingleFlightCache


class Source:
    """Counts how often it is read."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self) -> str | None:
        self.reads += 1
        return f"value {self.reads}"


def test_a_value_is_read_anew_after_one_second() -> None:
    cache, source = SingleFlightCache[str](10), Source()
    assert [cache.get("a", now, source.read) for now in (0, 999, 1_000)] == ["value 1", "value 1", "value 2"]


def test_a_clock_that_went_back_makes_no_value_last_longer() -> None:
    cache, source = SingleFlightCache[str](10), Source()
    assert [cache.get("a", now, source.read) for now in (5_000, 4_001, 4_000)] == ["value 1", "value 1", "value 2"]


def test_what_does_not_exist_is_looked_for_every_time() -> None:
    cache = SingleFlightCache[str](10)
    assert cache.get("a", 0, lambda: None) is None
    assert cache.get("a", 1, lambda: "made since") == "made since"


def test_the_least_recently_used_goes_first() -> None:
    cache, source = SingleFlightCache[str](2), Source()
    for key in ("a", "b", "a", "c"):
        cache.get(key, 0, source.read)
    assert source.reads == 3
    assert cache.get("a", 0, source.read) == "value 1"
    assert cache.get("b", 0, source.read) == "value 4"


def test_many_askers_share_one_reading() -> None:
    cache, source = SingleFlightCache[str](10), Source()
    reading, go_on = Event(), Event()
    answers: list[str | None] = []

    def slowly() -> str | None:
        reading.set()
        go_on.wait(10)
        return source.read()

    askers = [Thread(target=lambda: answers.append(cache.get("a", 0, slowly))) for _ in range(4)]
    askers[0].start()
    assert reading.wait(10)
    for asker in askers[1:]:
        asker.start()
    go_on.set()
    for asker in askers:
        asker.join(10)
    assert (answers, source.reads) == (["value 1"] * 4, 1)


def test_a_failure_is_told_and_not_remembered() -> None:
    cache, source = SingleFlightCache[str](10), Source()

    def fails() -> str | None:
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        cache.get("a", 0, fails)
    assert cache.get("a", 0, source.read) == "value 1"


def test_a_reading_that_was_under_way_when_things_changed_is_not_remembered() -> None:
    cache, source = SingleFlightCache[str](10), Source()

    def changed_meanwhile() -> str | None:
        cache.invalidate("a")
        return "old"

    assert cache.get("a", 0, changed_meanwhile) == "old"
    assert cache.get("a", 0, source.read) == "value 1"
