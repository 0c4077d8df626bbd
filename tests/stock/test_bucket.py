"""The evaluation of a bucket for a take."""

from __future__ import annotations

from chalicelib.stock.bucket import (
    AlreadyHeld,
    Bucket,
    BucketEntry,
    Evaluation,
    Fenced,
    Forwarded,
    HasRoom,
    Insufficient,
    Tombstoned,
    evaluate,
)

NOW = 1_000


def evaluate_take(quantity: int = 1, available: int = 0, **holds: BucketEntry) -> Evaluation:
    size = available + sum(entry.quantity for entry in holds.values())
    return evaluate(Bucket(0, size, available, holds), "mine", quantity, NOW)


def test_enough_available_units_are_room() -> None:
    assert evaluate_take(2, available=2) == HasRoom({})


def test_too_few_units_are_insufficient_with_the_obtainable_quantity() -> None:
    assert evaluate_take(3, available=1, other=BucketEntry(1, expires_at=NOW - 3)) == Insufficient(2)


def test_a_hold_is_reclaimed_only_two_seconds_after_it_expired() -> None:
    assert evaluate_take(other=BucketEntry(1, expires_at=NOW - 2)) == Insufficient(0)
    assert evaluate_take(other=BucketEntry(1, expires_at=NOW - 3)) == HasRoom(
        {"other": BucketEntry(1, expires_at=NOW - 3)}
    )


def test_the_oldest_expired_holds_are_reclaimed_first_and_no_more_than_needed() -> None:
    old, older = BucketEntry(1, expires_at=NOW - 10), BucketEntry(1, expires_at=NOW - 20)
    assert evaluate_take(old=old, older=older) == HasRoom({"older": older})


def test_units_reverted_to_a_hold_expire_like_any_other() -> None:
    again = BucketEntry(1, expires_at=NOW - 3, order="order-abc001")
    assert evaluate_take(other=again) == HasRoom({"other": again})


def test_committed_units_pointers_fences_and_tombstones_are_not_reclaimed() -> None:
    assert evaluate_take(
        sold=BucketEntry(1, order="order-abc001"),
        pointer=BucketEntry(0, points_to=1, version=1),
        fence=BucketEntry(0, expires_at=NOW - 100),
        tombstone=BucketEntry(0),
    ) == Insufficient(0)


def test_an_existing_hold_is_found_even_in_an_empty_bucket() -> None:
    assert evaluate_take(mine=BucketEntry(1, expires_at=NOW + 5)) == AlreadyHeld(BucketEntry(1, expires_at=NOW + 5))
    assert evaluate_take(mine=BucketEntry(1, order="order-abc001")) == AlreadyHeld(BucketEntry(1, order="order-abc001"))


def test_a_pointer_forwards_even_when_home_has_units_again() -> None:
    assert evaluate_take(available=1, mine=BucketEntry(0, points_to=2, version=7)) == Forwarded(
        BucketEntry(0, points_to=2, version=7)
    )


def test_a_pointer_whose_bucket_is_fenced_gives_way() -> None:
    pointer = BucketEntry(0, points_to=2, version=7)
    bucket = Bucket(0, 1, 1, {"mine": pointer})
    assert evaluate(bucket, "mine", 1, NOW, fenced_pointer=pointer) == HasRoom({}, replacing=pointer)
    assert evaluate(bucket, "mine", 1, NOW, fenced_pointer=BucketEntry(0, points_to=2, version=6)) == Forwarded(pointer)


def test_a_fence_closes_the_bucket_until_it_expires() -> None:
    assert evaluate_take(available=1, mine=BucketEntry(0, expires_at=NOW - 2)) == Fenced()
    assert evaluate_take(available=1, mine=BucketEntry(0, expires_at=NOW - 3)) == HasRoom(
        {}, replacing=BucketEntry(0, expires_at=NOW - 3)
    )


def test_a_tombstone_is_final() -> None:
    assert evaluate_take(available=1, mine=BucketEntry(0)) == Tombstoned()
    assert evaluate_take(available=1, mine=BucketEntry(0, order="order-abc001")) == Tombstoned()


def test_the_largest_holds_are_reclaimed_where_one_write_cannot_reclaim_enough_small_ones() -> None:
    small = {f"s{n}": BucketEntry(1, expires_at=NOW - 50) for n in range(80)}
    bucket = Bucket(0, 89, 0, {"big": BucketEntry(9, expires_at=NOW - 3), **small})
    assert evaluate(bucket, "mine", 80, NOW) == HasRoom(
        {"big": BucketEntry(9, expires_at=NOW - 3)} | {name: small[name] for name in sorted(small)[:71]}
    )
