"""What a difference between two arms is worth: a permutation test, a sign test, an interval, and Holm's correction.

Both tests change the places of whole *examples*: the answers of two arms to an example, those of all seeds together,
are exchangeable if neither arm is better. Answers of several seeds to one example depend on one another, so the
examples are what is counted, not examples times seeds. The interval draws seeds too, and so covers their spread.
"""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Value = Callable[[Floats], Floats]

DRAWS = 10_000
RESAMPLES = 2_000
CHUNK = 500
ROUNDING = 1e-12


def permutation_p(first: Floats, second: Floats, value: Value, generator: np.random.Generator) -> float:
    """Return how probable a difference at least so large is if the arms are alike (Noreen 1989; Yeh 2000).

    Exact where the answers differ on so few examples that all exchanges can be gone through; otherwise from
    `DRAWS` random ones, of which the one that happened counts too.

    Args:
        first: (seeds, examples, parts) of the one arm.
        second: the same of the other.
        value: from sums over examples to the metric.
        generator: draws the exchanges.
    """
    import numpy as np

    totals = np.stack([first.sum(1), second.sum(1)])  # (2, seeds, parts)
    change = second - first
    change = change[:, np.abs(change).sum((0, 2)) > 0]  # (seeds, examples that differ, parts)
    differing = change.shape[1]
    seen = abs(float(value(totals[0]).mean() - value(totals[1]).mean()))
    exact = 2**differing <= DRAWS
    beyond = 0
    total = 2**differing if exact else DRAWS
    for begin in range(0, total, CHUNK):
        count = min(CHUNK, total - begin)
        if exact:
            codes = np.arange(begin, begin + count)[:, None]
            exchanged = ((codes >> np.arange(differing)) & 1).astype(float)
        else:
            exchanged = generator.integers(0, 2, (count, differing)).astype(float)
        moved = np.einsum("re,sep->rsp", exchanged, change, optimize=True)
        one, other = value(totals[0] + moved).mean(1), value(totals[1] - moved).mean(1)
        beyond += int((np.abs(one - other) >= seen - ROUNDING).sum())
    return beyond / total if exact else (beyond + 1) / (total + 1)


def sign_p(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Return McNemar's exact p from how often, over the seeds, each example was answered rightly: (examples,) each.

    With one seed it is McNemar's test; with several an example counts for the arm that was right with more of them.
    """
    better, worse = int((first > second).sum()), int((first < second).sum())
    trials = better + worse
    tail = sum(comb(trials, hits) for hits in range(min(better, worse) + 1))
    return min(1.0, 2 * tail / 2**trials) if trials else 1.0


def interval(
    first: Floats, second: Floats, value: Value, generator: np.random.Generator, level: float = 0.95
) -> tuple[float, float]:
    """Return where the difference lies: percentiles of a paired bootstrap over examples and over seeds."""
    import numpy as np

    seeds, examples, _ = first.shape
    differences = []
    for begin in range(0, RESAMPLES, CHUNK):
        count = min(CHUNK, RESAMPLES - begin)
        weights = generator.multinomial(examples, np.full(examples, 1 / examples), size=count).astype(float)
        drawn = generator.integers(0, seeds, (count, seeds))
        each = [
            value(np.einsum("re,sep->rsp", weights, arm, optimize=True)) for arm in (first, second)
        ]  # (draws, seeds)
        means = [np.take_along_axis(one, drawn, axis=1).mean(1) for one in each]
        differences.append(means[0] - means[1])
    low, high = np.quantile(np.concatenate(differences), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def standard_error(arm: Floats, value: Value, generator: np.random.Generator) -> float:
    """Return the standard error of a metric over the examples, for an arm of a single seed."""
    import numpy as np

    examples = arm.shape[1]
    weights = generator.multinomial(examples, np.full(examples, 1 / examples), size=CHUNK).astype(float)
    return float(value(np.einsum("re,sep->rsp", weights, arm, optimize=True)).mean(1).std(ddof=1))


def holm(found: Sequence[float]) -> list[float]:
    """Return p values corrected for how many there are (Holm 1979)."""
    order = sorted(range(len(found)), key=lambda place: found[place])
    corrected, highest = [0.0] * len(found), 0.0
    for rank, place in enumerate(order):
        highest = max(highest, min(1.0, (len(found) - rank) * found[place]))
        corrected[place] = highest
    return corrected
