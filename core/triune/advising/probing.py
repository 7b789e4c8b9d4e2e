"""Ways of learning tried on labels held out: repeated stratified folds, every way on the same ones."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from triune.advising.heads import Floats, Ground, Rows

    Way = Callable[[Ground, Rows, Rows], Floats]

FOLDS, REPEATS = 5, 2


@dataclass(frozen=True, slots=True)
class Part:
    """One fold held out: what may be learnt from, and what is measured."""

    train: Rows
    held: Rows


@dataclass(frozen=True, slots=True)
class Trial:
    """What a way scored on each part, and what it said of each labelled example on average over the repeats.

    Attributes:
        scores: (parts,) the share of the held-out labels it predicts.
        said: (labelled, labels) the mean of its held-out probabilities.
    """

    scores: Floats
    said: Floats


@dataclass(frozen=True, slots=True)
class Difference:
    """A mean over parts with the error that so few examples leave it."""

    mean: float
    error: float


def parts_of(gold: Rows, rows: Rows, seed: int) -> list[Part]:
    """Return repeated folds of the labelled rows, each class spread evenly over the folds of a repeat."""
    import numpy as np

    generator = np.random.default_rng(seed)
    folds = min(FOLDS, len(rows))
    found: list[Part] = []
    for _ in range(REPEATS):
        fold = _spread(gold[rows], folds, generator)
        found.extend(Part(rows[fold != one], rows[fold == one]) for one in range(folds) if (fold == one).any())
    return found


def _spread(labels: Rows, folds: int, generator: np.random.Generator) -> Rows:
    import numpy as np

    fold = np.zeros(len(labels), dtype=np.intp)
    first = 0
    for label in np.unique(labels):
        members = generator.permutation(np.flatnonzero(labels == label))
        fold[members] = (first + np.arange(len(members))) % folds
        first += len(members)
    return fold


def weights_of(gold: Rows, rows: Rows, shares: Floats) -> Floats:
    """Return (examples,) how much each labelled row counts, so that classes have their (labels,) shares."""
    import numpy as np

    counts = np.bincount(gold[rows], minlength=len(shares))
    there = np.where(counts > 0, shares, 0.0)
    weights = np.zeros(len(gold))
    weights[rows] = (there / there.sum() * len(rows) / counts.clip(1))[gold[rows]]
    return weights


def tried(ways: Mapping[str, Way], ground: Ground, parts: list[Part], weights: Floats) -> dict[str, Trial]:
    """Return what every way scores on every part."""
    import numpy as np

    labelled = ground.labelled
    place = np.zeros(len(ground.gold), dtype=np.intp)
    place[labelled] = np.arange(len(labelled))
    found = {}
    for name, way in ways.items():
        scores, said, times = [], np.zeros((len(labelled), ground.labels)), np.zeros(len(labelled))
        for part in parts:
            p = way(ground, part.train, part.held)
            scores.append(scored(p, ground.gold[part.held], weights[part.held]))
            said[place[part.held]] += p
            times[place[part.held]] += 1
        found[name] = Trial(np.array(scores), said / times.clip(1)[:, None])
    return found


def scored(p: Floats, gold: Rows, weights: Floats) -> float:
    """Return the share of labels that are the likeliest, ties counted by their chance."""
    import numpy as np

    best = p >= p.max(axis=1, keepdims=True) - 1e-12
    hits = best[np.arange(len(gold)), gold] / best.sum(axis=1)
    return float(np.average(hits, weights=weights))


def mean_of(scores: Floats, parts: list[Part]) -> Difference:
    """Return a mean over parts, its error corrected for their overlap (Nadeau & Bengio 2003)."""
    share = sum(len(part.held) / len(part.train) for part in parts) / len(parts)
    spread = float(scores.std(ddof=1)) if len(scores) > 1 else 0.0
    return Difference(float(scores.mean()), spread * sqrt(1 / len(scores) + share))
