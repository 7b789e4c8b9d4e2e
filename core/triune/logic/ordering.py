"""How variables interact, and the order to decide them in: cost is known here, before anything is compiled.

Statements are taken apart into small factors: a threshold of many parts becomes a counter that passes over
them, so that "at most 3 of 100" ties neighbours together and not all 100. Eliminating the variables of that
graph by least fill (Rose 1970; Darwiche 2009, ch. 9) gives cliques; the product of the domain sizes in a
clique bounds the branches that the variable needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import log2
from typing import TYPE_CHECKING

from triune.logic.normal import Literal

if TYPE_CHECKING:
    from collections.abc import Iterable

    from triune.logic.normal import Statements

NARROW = 2
"""Variables with so few neighbours are eliminated lowest first, so that chains are cut in halves, not at their ends."""

SMALL = 6
"""Statements over so many variables tie each to each; beyond, a counter is cheaper."""


@dataclass(frozen=True, slots=True)
class Order:
    """An elimination order of variables, and what it costs.

    Attributes:
        last: variables, first eliminated first.
        width: neighbours at the widest elimination, in bits of their joint domain.
        branches: the sum over cliques of their joint domain sizes.
    """

    last: tuple[int, ...]
    width: float
    branches: float


class Interactions:
    """Which variables share a factor. Numbers from `len(sizes)` on are counters."""

    def __init__(self, statements: Statements) -> None:
        self.statements = statements
        self.bits = [log2(size) for size in statements.sizes]
        self.neighbours: dict[int, int] = {}
        self.mentioned = 0  # every variable met, a set of bits

    def add(self, number: int) -> None:
        """Add what one statement ties together."""
        self.mentioned |= self.statements.mentions[number]
        for one in self.statements.conjuncts(number):
            self._tie(one, ())

    def _tie(self, number: int, outside: tuple[int, ...]) -> None:
        mentioned = places(self.statements.mentions[number])
        if len(mentioned) <= SMALL:
            self._clique((*mentioned, *outside))
            return
        body = self.statements.bodies[number]
        assert body is not None and not isinstance(body, Literal)
        counted = log2(min(body.k, len(body.of) - body.k + 1) + 1)
        before: tuple[int, ...] = ()
        for place, one in enumerate(body.of):
            after = outside if place == len(body.of) - 1 else (self._new(counted),)
            self._part(one, before + after)
            before = after

    def _part(self, number: int, counters: tuple[int, ...]) -> None:
        if len(places(self.statements.mentions[number])) <= SMALL:
            self._tie(number, counters)
        else:
            truth = self._new(1.0)
            self._clique((truth, *counters))
            self._tie(number, (truth,))

    def _new(self, bits: float) -> int:
        self.bits.append(bits)
        return len(self.bits) - 1

    def _clique(self, members: Iterable[int]) -> None:
        members = tuple(members)
        together = sum(1 << one for one in members)
        for one in members:
            self.neighbours[one] = self.neighbours.get(one, 0) | together & ~(1 << one)

    def order(self, most: float) -> Order:
        """Return the order of least fill; the rest comes unordered once more than `most` branches are certain."""
        neighbours, height = dict(self.neighbours), dict.fromkeys(self.neighbours, 0)
        scores = {one: _score(one, neighbours, height) for one in neighbours}
        queue = [(score, one) for one, score in scores.items()]
        heapify(queue)
        width, branches = 0.0, 0.0
        last: list[int] = []
        while queue and branches <= most:
            score, one = heappop(queue)
            if scores.get(one) != score:
                continue  # it was scored again, or is gone
            around = places(neighbours[one])
            bits = sum(self.bits[it] for it in around)
            width, branches = max(width, bits), branches + 2.0 ** min(bits + self.bits[one], 1000.0)
            for it in _eliminated(one, neighbours, height):
                scores[it] = _score(it, neighbours, height)
                heappush(queue, (scores[it], it))
            del scores[one]
            last.append(one)
        last.extend(neighbours)
        own = len(self.statements.sizes)
        return Order(tuple(one for one in last if one < own), width, branches)


def places(bits: int) -> list[int]:
    """Return the members of a set of bits, smallest first."""
    members = []
    while bits:
        low = bits & -bits
        members.append(low.bit_length() - 1)
        bits ^= low
    return members


def _score(one: int, neighbours: dict[int, int], height: dict[int, int]) -> tuple[int, int]:
    around = neighbours[one]
    if around.bit_count() <= NARROW:
        return 0, height[one]
    return sum((around & ~neighbours[it]).bit_count() - 1 for it in places(around)), height[one]


def _eliminated(one: int, neighbours: dict[int, int], height: dict[int, int]) -> list[int]:
    """Tie the neighbours of a variable together in its place; return the variables whose score may change."""
    around, changed = neighbours.pop(one), 0
    for it in places(around):
        neighbours[it] = (neighbours[it] | around) & ~(1 << it) & ~(1 << one)
        height[it] = max(height[it], height[one] + 1)
        changed |= neighbours[it] | 1 << it
    return places(changed)
