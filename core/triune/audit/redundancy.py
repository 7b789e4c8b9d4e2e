"""Rules that say the same, and rules that say what others say already."""

from __future__ import annotations

from typing import TYPE_CHECKING

from triune.audit.findings import Implied

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from triune.audit.scene import Scene
    from triune.logic import Formula


MOST_PREMISES = 40
"""Rules from which another is tried to be concluded; so nothing is said wrongly, and something may be missed."""


def duplicates(scene: Scene) -> list[list[int]]:
    """Return the groups of rules that say the same of the same examples; those that fire nowhere are no group."""
    import numpy as np

    table = scene.fires.shape[1] > 0
    packed = np.packbits(scene.fires, axis=1)
    where: dict[object, list[int]] = {}
    for rule, _ in scene.speaking():
        if table and not scene.fires[rule].any():
            continue
        key = (packed[rule].tobytes(), scene.rules[rule].when) if not table else packed[rule].tobytes()
        where.setdefault(key, []).append(rule)
    return [group for rules in where.values() for group in _same_meaning(scene, rules) if len(group) > 1]


def _same_meaning(scene: Scene, rules: Sequence[int]) -> list[list[int]]:
    groups: dict[object, list[list[int]]] = {}
    for rule in rules:
        formula = scene.formulas[rule]
        assert formula is not None
        alike = groups.setdefault(scene.answers.kind(formula), [])
        own = next((group for group in alike if _equivalent(scene, scene.formulas[group[0]], formula)), None)
        alike.append([rule]) if own is None else own.append(rule)
    return [group for alike in groups.values() for group in alike]


def _equivalent(scene: Scene, one: Formula | None, other: Formula | None) -> bool:
    assert one is not None
    assert other is not None
    if one == other:
        return True
    entails = scene.answers.entails
    return scene.decided(lambda: entails([one], other) and entails([other], one), otherwise=False)


def implied(scene: Scene, groups: Sequence[Sequence[int]]) -> Iterator[Implied]:
    """Yield the rules that others make superfluous on this table; without one, by their conditions alone.

    Args:
        scene: the rules and the table.
        groups: the duplicates, which do not make one another superfluous here.
    """
    same = {rule: set(group) for group in groups for rule in group}
    nearby = _Nearby(scene)
    for rule, formula in scene.speaking():
        candidates = [other for other in nearby.to(rule) if other not in same.get(rule, ())]
        by = _premises(scene, formula, candidates)
        if by is not None:
            yield Implied(scene.rules[rule].name, tuple(scene.rules[one].name for one in by))


class _Nearby:
    """Finds the rules that may make another superfluous: they fire wherever it does, and share labels with it.

    Those that share a label come first, then those that share one with these; `MOST_PREMISES` are enough.
    """

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.labels = {rule: formula.labels for rule, formula in scene.speaking()}
        self.crowd: NDArray[np.int64] = scene.fires.sum(axis=0)  # (examples,) rules that fire

    def to(self, rule: int) -> list[int]:
        rows = self.scene.fires[rule].nonzero()[0]
        pool = [other for other in self.around(rows) if other != rule and other in self.labels]
        found: list[int] = []
        ahead = known = self.labels[rule]
        while ahead and pool and len(found) < MOST_PREMISES:
            sharing = [other for other in pool if not self.labels[other].isdisjoint(ahead)]
            pool = [other for other in pool if self.labels[other].isdisjoint(ahead)]
            wider = [one for one in sharing if self.as_sure(one, rule) and self.wider(one, rule, rows)]
            found.extend(wider[: MOST_PREMISES - len(found)])
            ahead = frozenset[str | int]().union(*(self.labels[one] for one in wider)) - known
            known |= ahead
        return found

    def around(self, rows: NDArray[np.intp]) -> list[int]:
        """Return the rules that fire on the example of these where the fewest do: others do not fire on all."""
        fires = self.scene.fires
        if not fires.shape[1]:
            return list(range(len(fires)))
        return fires[:, rows[self.crowd[rows].argmin()]].nonzero()[0].tolist() if len(rows) else []

    def as_sure(self, other: int, rule: int) -> bool:
        one, two = self.scene.rules[other], self.scene.rules[rule]
        return one.hard or (not two.hard and one.confidence >= two.confidence)

    def wider(self, other: int, rule: int, rows: NDArray[np.intp]) -> bool:
        if self.scene.everywhere(other) or self.scene.rules[other].when == self.scene.rules[rule].when:
            return True
        return len(rows) > 0 and bool(self.scene.fires[other][rows].all())


def _premises(scene: Scene, formula: Formula, candidates: Sequence[int]) -> tuple[int, ...] | None:
    """Return as few candidates as needed for the formula to follow; None where it does not."""

    def follows(rules: Sequence[int]) -> bool:
        said = [one for rule in rules if (one := scene.formulas[rule]) is not None]
        return scene.decided(lambda: scene.answers.entails(said, formula), otherwise=False)

    if follows([]):
        return ()
    # premises that cannot hold together imply everything: that is a contradiction, and told as one
    if not candidates or not scene.possible(candidates) or not follows(candidates):
        return None
    for one in candidates:
        if follows([one]):
            return (one,)
    needed = list(candidates)
    for one in candidates:
        fewer = [other for other in needed if other != one]
        needed = fewer if follows(fewer) else needed
    return tuple(needed)


def names(scene: Scene, groups: Sequence[Sequence[int]]) -> tuple[tuple[str, ...], ...]:
    """Return groups of rules by their names."""
    return tuple(tuple(scene.rules[rule].name for rule in group) for group in groups)
