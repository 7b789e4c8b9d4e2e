"""What more labels and more rules would give: curves through what fewer of them gave."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

EXPONENTS = tuple(place / 20 for place in range(2, 31))
"""The exponents that are tried: from 0.1, where labels hardly help, to 1.5."""

USUAL, SPREAD = 0.5, 0.25
"""What exponents of learning curves usually are, and how far from that they lie."""

DRAWS = 200


@dataclass(frozen=True, slots=True)
class Forecast:
    """A figure that was not measured, with the middle 90 % of what resampling the measurements makes of it."""

    at: int
    score: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Curve:
    """error ≈ a + b n^-c."""

    a: float
    b: float
    c: float

    def at(self, count: float) -> float:
        """Return the error with so many labels."""
        return float(min(max(self.a + self.b * count**-self.c, 0.0), 1.0))


def fitted(counts: Sequence[float], errors: Floats, deviations: Floats) -> Curve:
    """Return the curve through errors at some counts, each with its standard deviation, 0 ≤ a, 0 ≤ b.

    Of curves that fit alike the one with the usual exponent is taken.
    """
    import numpy as np

    n = np.asarray(counts, dtype=float)
    sure = 1 / np.maximum(deviations, 1e-4)
    best, found = float("inf"), Curve(float(np.average(errors, weights=sure**2)), 0.0, USUAL)
    for c in EXPONENTS:
        a, b = _line(n**-c, errors, sure)
        cost = (((a + b * n**-c - errors) * sure) ** 2).sum() + ((c - USUAL) / SPREAD) ** 2
        if cost < best:
            best, found = float(cost), Curve(a, b, c)
    return found


def _line(x: Floats, y: Floats, sure: Floats) -> tuple[float, float]:
    """Return the weighted least squares line with neither of its two numbers below zero."""
    import numpy as np
    from scipy.optimize import nnls

    found, _ = nnls(np.stack([sure, x * sure], axis=1), y * sure)
    return float(found[0]), float(found[1])


def forecasts(counts: Sequence[float], errors: Floats, at: Sequence[int], seed: int) -> list[Forecast]:
    """Return scores forecast with other counts of labels.

    Args:
        counts: (sizes,) how many labels were learnt from.
        errors: (parts, sizes) the share that was wrong then.
        at: the counts that are asked for.
        seed: of the resampling.
    """
    import numpy as np

    generator = np.random.default_rng(seed)
    parts = len(errors)
    deviations = errors.std(axis=0, ddof=1) / np.sqrt(parts) if parts > 1 else np.zeros(errors.shape[1])
    best = fitted(counts, errors.mean(axis=0), deviations)
    drawn = np.array([errors[generator.integers(parts, size=parts)].mean(axis=0) for _ in range(DRAWS)])
    curves = [fitted(counts, one, deviations) for one in drawn]
    found = []
    for count in at:
        low, high = np.quantile([1 - curve.at(count) for curve in curves], [0.05, 0.95])
        score = 1 - best.at(count)
        found.append(Forecast(count, score, min(float(low), score), max(float(high), score)))
    return found


@dataclass(frozen=True, slots=True)
class MoreRules:
    """What half of the rules give, what all do, and what twice as many would if they were like these.

    Attributes:
        rules: how many there are.
        covered_half: the share of texts on which half of them cast a vote.
        covered: the same of all.
        covered_twice: forecast of twice as many.
        gain: what all add to the score of half.
        error: of that.
        expected: forecast of what as many again would add.
    """

    rules: int
    covered_half: float
    covered: float
    covered_twice: float
    gain: float
    error: float
    expected: float


def more_rules(rules: int, covered_half: float, covered: float, gain: float, error: float) -> MoreRules:
    """Return a forecast: half of the rules leave some share of what none covers, twice as many leave its square.

    What rules add to the score grows with what they newly cover.
    """
    left = (1 - covered) / max(1 - covered_half, 1e-9)
    twice = 1 - (1 - covered) * left**2
    grown = covered - covered_half
    expected = gain * min((twice - covered) / grown, 1.0) if grown > 1e-9 else 0.0
    return MoreRules(rules, covered_half, covered, twice, gain, error, expected)
