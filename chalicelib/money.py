"""Money: integers of ISO 4217 minor units. The parts of a split always add up to the whole."""

from __future__ import annotations

from collections.abc import Sequence


def share(amount: int, basis_points: int) -> int:
    """Return ``amount`` × ``basis_points`` / 10,000, rounded half away from zero."""
    return share_in_steps(amount, basis_points, 1)


def share_in_steps(amount: int, basis_points: int, step: int) -> int:
    """Return ``amount`` × ``basis_points`` / 10,000, rounded half away from zero to a multiple of ``step``."""
    whole = 10_000 * step
    rounded = (2 * abs(amount) * basis_points + whole) // (2 * whole) * step
    return rounded if amount >= 0 else -rounded


def tax_on(amount: int, rate_bps: int, step: int, *, included: bool) -> int:
    """Return the tax contained in an amount where prices include tax, otherwise the tax on top of it.

    Tax on top is charged apart, so it is a multiple of ``step``. Contained tax is only a part of what is charged.
    """
    return tax_within(amount, rate_bps) if included else share_in_steps(amount, rate_bps, step)


def tax_within(gross: int, rate_bps: int) -> int:
    """Return the tax that a tax-inclusive ``gross`` contains at ``rate_bps``, rounded half away from zero."""
    sign = 1 if gross >= 0 else -1
    denominator = 10_000 + rate_bps
    return sign * ((2 * abs(gross) * rate_bps + denominator) // (2 * denominator))


def split(amount: int, weights: Sequence[int]) -> list[int]:
    """Split ``amount`` in proportion to ``weights`` by largest remainder. The parts add up to ``amount``.

    Ties go to the earlier part. When all weights are zero, the first part gets everything. A negative amount splits
    like its positive, so that a refund splits as the charge did.

    Raises: ``ValueError`` without weights or with a negative one.
    """
    if not weights or min(weights) < 0:
        raise ValueError("split needs weights of 0 or more")
    if amount < 0:
        return [-part for part in split(-amount, weights)]
    whole = sum(weights)
    if whole == 0:
        return [amount] + [0] * (len(weights) - 1)
    parts = [amount * weight // whole for weight in weights]
    remainders = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % whole), i))
    for i in remainders[: amount - sum(parts)]:
        parts[i] += 1
    return parts


def split_in_steps(amount: int, weights: Sequence[int], step: int) -> list[int]:
    """Split an amount as :func:`split` does, into multiples of ``step``.

    An amount between two steps is split by minor units, so that its parts add up as well.

    Raises: ``ValueError`` without weights or with a negative one.
    """
    unit = 1 if amount % step else step
    return [part * unit for part in split(amount // unit, weights)]


def proportion(whole: int, part: int, parts: int, step: int) -> int:
    """Return ``whole`` × ``part`` / ``parts``, rounded half up to a multiple of ``step``.

    It is ``whole`` when ``part`` equals ``parts``.
    """
    if part == parts:
        return whole
    return (2 * whole * part + parts * step) // (2 * parts * step) * step
