"""Circuits: what a compiled statement is, and its levels for evaluation.

A circuit has *leaves* (a value of a variable), *conjunctions* of nodes that share no variable, and *choices*:
lists of pairs of nodes that exclude each other. Its probability is then a sum of products, in one pass
(Darwiche and Marquis 2002: decomposable and deterministic).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, TypeVar

from triune.logic.costs import Budget, exhausted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

FALSE, TRUE = 0, 1
Pair = tuple[int, int]
Body = TypeVar("Body")


@dataclass(slots=True)
class Sketch:
    """A circuit as it grows, within a budget. Nodes are numbers; equal nodes are one."""

    leaves_of: Sequence[tuple[int, ...]]  # the leaf of each value of each variable
    budget: Budget = field(default_factory=Budget)
    edges: int = 0
    leaves: dict[int, int] = field(default_factory=dict)  # node → leaf
    conjunctions: dict[int, tuple[int, ...]] = field(default_factory=dict)
    choices: dict[int, tuple[Pair, ...]] = field(default_factory=dict)
    known: dict[object, int] = field(default_factory=dict)
    started: float = field(default_factory=monotonic)

    def values(self, variable: int, values: int) -> int:
        """Return the node "a variable takes one of some values", a set of bits."""
        key = ("values", variable, values)
        if key not in self.known:
            alone = [place for place in range(values.bit_length()) if values >> place & 1]
            leaves = [self._leaf(self.leaves_of[variable][place]) for place in alone]
            whole = (
                TRUE if len(alone) == len(self.leaves_of[variable]) else self.choice([(leaf, TRUE) for leaf in leaves])
            )
            self.known[key] = whole
        return self.known[key]

    def conjunction(self, of: Sequence[int]) -> int:
        """Return the node that all of some nodes hold."""
        if FALSE in of:
            return FALSE
        parts = tuple(sorted(one for one in of if one != TRUE))
        if len(parts) < 2:
            return parts[0] if parts else TRUE
        if len(parts) == 2:
            return self.choice([(parts[0], parts[1])])
        return self._node(("all", parts), self.conjunctions, parts, len(parts))

    def choice(self, pairs: Sequence[Pair]) -> int:
        """Return the node that both nodes of one of some pairs hold; the pairs exclude each other."""
        left = tuple(sorted(pair for pair in pairs if FALSE not in pair))
        if len(left) < 2 and (not left or TRUE in left[0]):
            return self.conjunction(left[0]) if left else FALSE
        return self._node(("one", left), self.choices, left, len(left))

    def either(self, of: Iterable[int]) -> int:
        """Return the node that one of some nodes holds, which exclude each other; pairs of choices become its own."""
        return self.choice([pair for node in of for pair in self.choices.get(node, ((node, TRUE),))])

    def check_time(self) -> None:
        """Raise `RuleCostError` once the time is spent."""
        spent = monotonic() - self.started
        if spent > self.budget.seconds:
            raise exhausted(self.budget, self.edges, spent)

    def _leaf(self, leaf: int) -> int:
        return self._node(("leaf", leaf), self.leaves, leaf, 0)

    def _node(self, key: object, kind: dict[int, Body], body: Body, edges: int) -> int:
        if key not in self.known:
            self.edges += edges
            if self.edges > self.budget.edges:
                raise exhausted(self.budget, self.edges, monotonic() - self.started)
            self.known[key] = number = len(self.leaves) + len(self.conjunctions) + len(self.choices) + 2
            kind[number] = body
        return self.known[key]


def depths(sketch: Sketch, root: int) -> dict[int, int]:
    """Return node → level, for the nodes below a root that are computed; parts are numbered before wholes."""
    needed, stack = set(), [root]
    while stack:
        node = stack.pop()
        if node not in needed and (node in sketch.choices or node in sketch.conjunctions):
            needed.add(node)
            stack.extend(_parts(sketch, node))
    depth: dict[int, int] = {}
    for node in sorted(needed):
        depth[node] = 1 + max(depth.get(part, 0) for part in _parts(sketch, node))
    return depth


def _parts(sketch: Sketch, node: int) -> Iterable[int]:
    return sketch.conjunctions.get(node) or [part for pair in sketch.choices[node] for part in pair]


def edges_below(sketch: Sketch, root: int) -> int:
    """Return how many edges the nodes below a root have."""
    return sum(len(sketch.conjunctions.get(node) or sketch.choices[node]) for node in depths(sketch, root))
