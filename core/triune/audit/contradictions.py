"""Hard rules that cannot hold together: anywhere, or on examples of this table."""

from __future__ import annotations

from itertools import combinations
from math import comb
from typing import TYPE_CHECKING

from triune.audit.findings import Contradiction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from triune.audit.scene import Scene

MOST_SUBSETS = 20_000
"""Subsets tried to find a smaller set than the one that no rule can be taken from."""


def contradictions(scene: Scene, place: Callable[[int], str]) -> Iterator[Contradiction]:
    """Yield each smallest set of hard rules that leaves no answer, first those that need no table.

    Args:
        scene: the rules and the table.
        place: of an example, by its position.
    """
    import numpy as np

    cores: dict[tuple[int, ...], bool] = {}
    for always, together in [*_same_condition(scene), *_same_example(scene)]:
        if any(set(core) <= set(together) for core in cores) or scene.possible(together):
            continue
        core = smallest(together, lambda rules: not scene.possible(rules))
        cores[core] = always
    for core, always in cores.items():
        rows = np.flatnonzero(np.logical_and.reduce(scene.fires[list(core)])).tolist()
        names = tuple(scene.rules[rule].name for rule in core)
        yield Contradiction(names, always, len(rows), tuple(place(row) for row in rows[:3]))


def _hard(scene: Scene) -> list[int]:
    return [number for number, _ in scene.speaking() if scene.rules[number].hard]


def _same_condition(scene: Scene) -> Iterator[tuple[bool, tuple[int, ...]]]:
    """Yield the hard rules that speak of the same examples in any table, by their conditions."""
    hard = _hard(scene)
    everywhere = [rule for rule in hard if scene.everywhere(rule)]
    by_condition: dict[object, list[int]] = {}
    for rule in hard:
        by_condition.setdefault(scene.rules[rule].when, []).append(rule)
    if everywhere:
        yield True, tuple(everywhere)
    for rules in by_condition.values():
        yield True, tuple(sorted({*everywhere, *rules}))


def _same_example(scene: Scene) -> Iterator[tuple[bool, tuple[int, ...]]]:
    """Yield each set of hard rules that fire on one example."""
    import numpy as np

    hard = np.array(_hard(scene), dtype=np.intp)
    if not len(hard) or not scene.fires.shape[1]:
        return
    packed = np.ascontiguousarray(np.packbits(scene.fires[hard], axis=0).T)  # (examples, bytes)
    first = {row.tobytes(): number for number, row in enumerate(packed)}
    for example in first.values():
        yield False, tuple(hard[scene.fires[hard, example]].tolist())


def smallest(together: Sequence[int], contradict: Callable[[Sequence[int]], bool]) -> tuple[int, ...]:
    """Return a smallest part of a contradictory set that contradicts itself.

    First one from which no rule can be taken; then, where there are not too many, all smaller sets are tried.
    """
    core = sorted(_core([], list(together), contradict, asked=True))
    for size in range(1, len(core)):
        if comb(len(together), size) > MOST_SUBSETS:
            break
        for subset in combinations(together, size):
            if contradict(subset):
                return subset
    return tuple(core)


def _core(given: list[int], rest: list[int], contradict: Callable[[Sequence[int]], bool], *, asked: bool) -> list[int]:
    """Return what of `rest` must join `given` for a contradiction, by halves (QuickXplain, Junker 2004)."""
    if not asked and contradict(given):
        return []
    if len(rest) == 1:
        return rest
    left, right = rest[: len(rest) // 2], rest[len(rest) // 2 :]
    of_right = _core(given + left, right, contradict, asked=False)
    of_left = _core(given + of_right, left, contradict, asked=not of_right)
    return of_left + of_right
