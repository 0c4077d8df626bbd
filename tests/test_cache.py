"""A process reads each value once a second, however many threads ask for it."""

from __future__ import annotations

from threading import Event, Thread

import pytest

from chalicelib.cache import SingleFlightCache


class Source:
    """A source that counts its reads."""

    def __init__(self) -> None:
        self.reads = 0

    def read(self) -> str | None:
        self.reads += 1
        return f"value {self.reads}"


def test_a_value_is_read_again_after_one_second() -> None:
    cache, source = SingleFlightCache[str](10), Source()
    assert [cache.get("a", now, source.read) for now in (0, 999, 1_000)] == ["value 1", "value 1", "value 2"]


def test_a_clock_that_went_back_makes_no_value_live_longer() -> None:
    cache, source = SingleFlightCache[str](10), Source()
    assert [cache.get("a", now, source.read) for now in (5_000, 4_001, 4_000)] == ["value 1", "value 1", "value 2"]


def test_a_missing_value_is_read_every_time() -> None:
    cache = SingleFlightCache[str](10)
    assert cache.get("a", 0, lambda: None) is None
    assert cache.get("a", 1, lambda: "created since") == "created since"


def test_the_least_recently_used_value_is_evicted_first() -> None:
    cache, source = SingleFlightCache[str](2), Source()
    for key in ("a", "b", "a", "c"):
        cache.get(key, 0, source.read)
    assert source.reads == 3
    assert cache.get("a", 0, source.read) == "value 1"
    assert cache.get("b", 0, source.read) == "value 4"


def test_concurrent_readers_share_one_read() -> None:
    cache, source = SingleFlightCache[str](10), Source()
    read_started, read_may_end = Event(), Event()
    answers: list[str | None] = []

    def slowly() -> str | None:
        read_started.set()
        read_may_end.wait(10)
        return source.read()

    readers = [Thread(target=lambda: answers.append(cache.get("a", 0, slowly))) for _ in range(4)]
    readers[0].start()
    assert read_started.wait(10)
    for reader in readers[1:]:
        reader.start()
    read_may_end.set()
    for reader in readers:
        reader.join(10)
    assert (answers, source.reads) == (["value 1"] * 4, 1)


def test_a_failed_read_raises_and_is_not_cached() -> None:
    cache, source = SingleFlightCache[str](10), Source()

    def fails() -> str | None:
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        cache.get("a", 0, fails)
    assert cache.get("a", 0, source.read) == "value 1"


def test_a_read_in_flight_during_an_invalidation_is_not_cached() -> None:
    cache, source = SingleFlightCache[str](10), Source()

    def changed_meanwhile() -> str | None:
        cache.invalidate("a")
        return "old"

    assert cache.get("a", 0, changed_meanwhile) == "old"
    assert cache.get("a", 0, source.read) == "value 1"
