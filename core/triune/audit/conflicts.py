"""On which examples rules overlap, and on which they disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from triune.audit.scene import Scene
    from triune.logic import Formula


def overlaps(scene: Scene) -> NDArray[np.int64]:
    """Return (rules,) on how many examples another rule with a condition fires too."""
    import numpy as np

    bound = np.array([not scene.everywhere(rule) for rule in range(len(scene.rules))], dtype=np.bool_)
    crowd = scene.fires[bound].sum(axis=0)  # (examples,)
    return np.array(
        [int((crowd[fires] > int(own)).sum()) for fires, own in zip(scene.fires, bound, strict=True)], dtype=np.int64
    )


def conflicts(scene: Scene) -> list[int | None]:
    """Return on how many examples another rule says what cannot be true at once; None where nobody can tell."""
    import numpy as np

    members: dict[Formula, list[int]] = {}
    for rule, formula in scene.speaking():
        members.setdefault(formula, []).append(rule)
    saying = {formula: np.logical_or.reduce(scene.fires[rules]) for formula, rules in members.items()}
    counts: list[int | None] = [None] * len(scene.rules)
    for formula, rules in members.items():
        against = [where for other, where in saying.items() if other != formula and _disagree(scene, formula, other)]
        opposed = np.logical_or.reduce(against) if against else np.zeros(scene.fires.shape[1], dtype=np.bool_)
        for rule in rules:
            counts[rule] = int((scene.fires[rule] & opposed).sum())
    return counts


def _disagree(scene: Scene, one: Formula, other: Formula) -> bool:
    answers = scene.answers
    return answers.near(one, other) and not scene.decided(lambda: answers.possible([one, other]), otherwise=True)
