"""What a bucket means for a take: pure rules."""

from __future__ import annotations

from chalicelib.stock.bucket import Bucket, Dead, Entry, Fenced, Meaning, Moved, Ours, Room, Short, meaning

NOW = 1_000


def judged(quantity: int = 1, available: int = 0, **holds: Entry) -> Meaning:
    size = available + sum(entry.quantity for entry in holds.values())
    return meaning(Bucket(0, size, available, holds), "mine", quantity, NOW)


def test_enough_available_units_are_room() -> None:
    assert judged(2, available=2) == Room({})


def test_too_few_units_say_how_many_could_be_had() -> None:
    assert judged(3, available=1, other=Entry(1, expires_at=NOW - 3)) == Short(2)


def test_a_hold_is_taken_over_only_when_it_ended_more_than_two_seconds_ago() -> None:
    assert judged(other=Entry(1, expires_at=NOW - 2)) == Short(0)
    assert judged(other=Entry(1, expires_at=NOW - 3)) == Room({"other": Entry(1, expires_at=NOW - 3)})


def test_the_oldest_lapsed_holds_go_first_and_no_more_than_needed() -> None:
    old, older = Entry(1, expires_at=NOW - 10), Entry(1, expires_at=NOW - 20)
    assert judged(old=old, older=older) == Room({"older": older})


def test_a_hold_held_again_for_an_order_lapses_like_any_other() -> None:
    again = Entry(1, expires_at=NOW - 3, order="order-abc001")
    assert judged(other=again) == Room({"other": again})


def test_sold_units_pointers_fences_and_dead_marks_free_nothing() -> None:
    assert judged(
        sold=Entry(1, order="order-abc001"),
        pointer=Entry(0, points_to=1, version=1),
        fence=Entry(0, expires_at=NOW - 100),
        dead=Entry(0),
    ) == Short(0)


def test_our_own_hold_is_met_even_where_nothing_is_left() -> None:
    assert judged(mine=Entry(1, expires_at=NOW + 5)) == Ours(Entry(1, expires_at=NOW + 5))
    assert judged(mine=Entry(1, order="order-abc001")) == Ours(Entry(1, order="order-abc001"))


def test_our_own_pointer_sends_us_on_even_when_home_has_units_again() -> None:
    assert judged(available=1, mine=Entry(0, points_to=2, version=7)) == Moved(Entry(0, points_to=2, version=7))


def test_a_pointer_whose_bucket_is_fenced_gives_way() -> None:
    pointer = Entry(0, points_to=2, version=7)
    bucket = Bucket(0, 1, 1, {"mine": pointer})
    assert meaning(bucket, "mine", 1, NOW, left=pointer) == Room({}, replacing=pointer)
    assert meaning(bucket, "mine", 1, NOW, left=Entry(0, points_to=2, version=6)) == Moved(pointer)


def test_our_own_fence_bars_the_bucket_until_it_has_lapsed() -> None:
    assert judged(available=1, mine=Entry(0, expires_at=NOW - 2)) == Fenced()
    assert judged(available=1, mine=Entry(0, expires_at=NOW - 3)) == Room({}, replacing=Entry(0, expires_at=NOW - 3))


def test_a_dead_hold_stays_dead() -> None:
    assert judged(available=1, mine=Entry(0)) == Dead()
    assert judged(available=1, mine=Entry(0, order="order-abc001")) == Dead()


def test_where_one_write_cannot_take_over_enough_small_holds_it_takes_the_biggest() -> None:
    small = {f"s{n}": Entry(1, expires_at=NOW - 50) for n in range(80)}
    bucket = Bucket(0, 89, 0, {"big": Entry(9, expires_at=NOW - 3), **small})
    assert meaning(bucket, "mine", 80, NOW) == Room(
        {"big": Entry(9, expires_at=NOW - 3)} | {name: small[name] for name in sorted(small)[:71]}
    )
