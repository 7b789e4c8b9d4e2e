"""What so few examples allow to say of a rate."""

from __future__ import annotations

from math import sqrt

Z = 1.959963984540054  # 95 % of a normal distribution lie within so many standard deviations


def wilson(right: int, of: int) -> tuple[float, float] | None:
    """Return the 95 % interval of a rate (Wilson 1927): it is never outside [0, 1], nor empty at its ends."""
    if not of:
        return None
    rate, scale = right / of, 1 + Z * Z / of
    centre = (rate + Z * Z / (2 * of)) / scale
    half = Z / scale * sqrt(rate * (1 - rate) / of + Z * Z / (4 * of * of))
    return max(centre - half, 0.0), min(centre + half, 1.0)


def laplace(right: int, of: int) -> float | None:
    """Return the mean of the rate after so many examples, all rates having been as likely: never 0, never 1."""
    return (right + 1) / (of + 2) if of else None
