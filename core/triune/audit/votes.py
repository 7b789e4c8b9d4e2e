"""What the rules say together: a majority vote, before any model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.audit.answers import OneLabel
from triune.audit.figures import wilson
from triune.audit.findings import Votes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from triune.audit.scene import Scene

CLOSE = 1e-9


def votes(scene: Scene, gold: Sequence[tuple[str, ...] | None]) -> Votes | None:
    """Return the vote and how right it is.

    A rule that allows at most half of the labels splits its vote among them; a hard rule that fires also takes
    away the votes of the labels that it forbids.

    Args:
        scene: the rules and the table.
        gold: the labels of each example; None where there are none.
    """
    import numpy as np

    if not isinstance(scene.answers, OneLabel) or not scene.fires.shape[1]:
        return None
    cast = _cast(scene, scene.answers)  # (examples, labels)
    best = cast.max(axis=1, initial=0.0)
    covered = best > 0
    leading = (cast >= best[:, None] - CLOSE) & covered[:, None]
    ties = leading.sum(axis=1)
    number = {label: place for place, label in enumerate(scene.answers.labels)}
    rows = [row for row, labels in enumerate(gold) if labels and covered[row]]
    hits = [leading[row, number[(gold[row] or ("",))[0]]] / ties[row] for row in rows]
    right, of = float(np.sum(hits)), len(rows)
    return Votes(int(covered.sum()), of, right / of if of else None, wilson(round(right), of), int((ties > 1).sum()))


def _cast(scene: Scene, answers: OneLabel) -> NDArray[np.float64]:
    import numpy as np

    kinds = len(answers.labels)
    cast = np.zeros((scene.fires.shape[1], kinds))
    left = np.ones(cast.shape, dtype=np.bool_)
    for rule, formula in scene.speaking():
        bits = answers.allowed(formula)
        allowed = np.array([bits >> place & 1 for place in range(kinds)], dtype=np.bool_)
        fires = scene.fires[rule]
        if 0 < allowed.sum() <= kinds / 2:
            cast[fires] += allowed / allowed.sum()
        if scene.rules[rule].hard:
            left[fires] &= allowed
    return np.where(left, cast, 0.0)
