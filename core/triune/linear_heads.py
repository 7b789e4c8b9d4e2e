"""Linear heads on frozen features: logistic regression, and what it says of examples that it has not seen."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

STRENGTH = 10.0
"""Inverse of the penalty on a head's weights; features are of length one."""

STEPS = 50
"""Most steps that a head is made in."""

FOLDS = 5
"""Parts that examples are dealt into, to have each judged by a head that has seen the others alone."""


def head(x: Floats, targets: Floats, weights: Floats, at: Floats) -> Floats:
    """Return (at, labels) what a head says that was made from soft targets, (rows, labels), each with its weight.

    It minimises the weighted cross-entropy and the squares of its weights, as logistic regression does.
    """
    import numpy as np
    from scipy.optimize import minimize

    labels, width = targets.shape[1], x.shape[1]
    there = targets.sum(axis=0) > 0  # of the others nothing is known
    wanted = targets[:, there] * (weights * len(x) / weights.sum())[:, None]  # (rows, labels)
    mass = wanted.sum(axis=1, keepdims=True)

    def loss(flat: Floats) -> tuple[float, Floats]:
        w = flat.reshape(width + 1, -1)
        scores = x @ w[:-1] + w[-1]
        scores -= scores.max(axis=1, keepdims=True)
        p = np.exp(scores)
        total = p.sum(axis=1, keepdims=True)
        log_p = scores - np.log(total)
        slope = mass * (p / total) - wanted
        gradient = np.concatenate([x.T @ slope + w[:-1] / STRENGTH, slope.sum(axis=0, keepdims=True)])
        value = -(wanted * log_p).sum() + 0.5 * (w[:-1] ** 2).sum() / STRENGTH
        return float(value), gradient.ravel()

    start = np.zeros((width + 1) * int(there.sum()))
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": STEPS, "ftol": 1e-4})
    w = found.x.reshape(width + 1, -1)
    p = np.zeros((len(at), labels))
    scores = at @ w[:-1] + w[-1]
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    p[:, there] = odds / odds.sum(axis=1, keepdims=True)
    return p


def unseen(x: Floats, targets: Floats, generator: np.random.Generator) -> Floats:
    """Return (examples, labels) what heads say of each example that were made from the other folds."""
    import numpy as np

    fold = generator.permutation(np.arange(len(x)) % FOLDS)
    found = np.zeros(targets.shape)
    for one in range(min(FOLDS, len(x))):
        seen, held = fold != one, fold == one
        found[held] = head(x[seen], targets[seen], np.ones(int(seen.sum())), x[held])
    return found
