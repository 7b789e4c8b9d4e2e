"""How far labels can be believed by what models say of them: confident learning (Northcutt, Jiang & Chuang 2021)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Floats = NDArray[np.floating]
    Flags = NDArray[np.bool_]


def of_given(p: Floats, targets: Floats) -> Floats:
    """Return (rows,) the probability of the label that each row was given, its self-confidence."""
    found: Floats = (p * targets).sum(axis=-1)
    return found


def contradicted(p: Floats, targets: Floats) -> Flags:
    """Return (rows,) whether another label is believed with confidence, and more than the one that was given.

    p_k counts as confident from t_k on, its mean over the rows that were given k: what is usual for a label that is
    hard to tell does not make its rows suspicious.

    Args:
        p: (rows, labels) what a model believes, at best one that has not seen these labels.
        targets: (rows, labels) one at the label that was given; a row of zeros was given none.
    """
    import numpy as np

    counts = targets.sum(axis=0)
    usual = np.where(counts > 0, (p * targets).sum(axis=0) / np.maximum(counts, 1), np.inf)  # (labels,) t
    confident = np.where((p >= usual) & (targets == 0), p, -1.0).max(axis=-1)
    found: Flags = (confident > of_given(p, targets)) & (targets.sum(axis=-1) > 0)
    return found


def as_pairs(p: Floats) -> Floats:
    """Return (rows, labels, 2) the probabilities that each label does not hold, and that it does."""
    import numpy as np

    return np.stack([1 - p, p], axis=-1)
