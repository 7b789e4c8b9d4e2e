"""Circuits on tensors: every example of a batch at once, level by level, up for values and down for answers.

Values are plain numbers, fast and of a limited range, or logarithms; there false is -1e30, not minus infinity, so
that differences stay numbers. In logarithms, nodes of a level with about as many parts are computed together, the
shorter padded; a level of many nodes is parted, so that padding stays below half, or below what one more step would
cost. In plain numbers, choices of unequal lengths are a step of their own, without padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch  # noqa: TID253 - this module is torch
from torch import Tensor  # noqa: TID253

from triune.logic.circuits import FALSE, TRUE, depths
from triune.logic.steps import Choices, Conjunctions, Sums
from triune.logic.variables import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from triune.logic.circuits import Sketch

FEW = 128
"""Padding that costs less than a step of its own."""

AT_ONCE = 512
"""Pairs of a step without padding: more of them, times the examples of a batch, leave the cache."""

One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class Circuit:
    """A sketch in levels, `steps` in logarithms and `plain` in plain numbers.

    The first `leaves` rows of its values are those of the leaves.
    """

    leaves: int
    rows: int
    root: int
    steps: tuple[Conjunctions | Choices, ...]
    plain: tuple[Conjunctions | Choices | Sums, ...]
    constants: Tensor  # (2, 1) of what is false and what is true

    def values(self, weights: Tensor, coins: Tensor) -> tuple[Tensor, list[Tensor | None]]:
        """Return (rows, batch) the logarithm of every node, and the shares of its steps.

        `weights` are those of the leaves (leaves, batch), but for those of the `coins`, which come apart.
        """
        values = self._start(weights, coins)
        return values, [step.up(values) for step in self.steps]

    def best_values(self, weights: Tensor, coins: Tensor) -> Tensor:
        """Return (rows, batch) the logarithm of every node's best case."""
        values = self._start(weights, coins)
        for step in self.steps:
            step.up_best(values)
        return values

    def flow(self, flow: Tensor, shares: list[Tensor | None]) -> Tensor:
        """Return (leaves, batch) how much of a flow (batch,) into the root arrives at each leaf."""
        down = flow.new_zeros((self.rows, len(flow)))
        down[self.root] = flow
        for step, share in zip(reversed(self.steps), reversed(shares), strict=True):
            step.down(down, share)
        return down[: self.leaves]

    def products(self, weights: Tensor, coins: Tensor) -> Tensor:
        """Return (rows, batch) the value of every node, in plain numbers."""
        values = weights.new_zeros((self.rows, weights.shape[1]))
        values[: len(weights)] = weights
        if len(coins):
            values[len(weights) : self.leaves] = coins
        values[self.leaves : self.leaves + 2] = self.constants
        for step in self.plain:
            step.multiply(values)
        return values

    def slopes(self, values: Tensor, slope: Tensor) -> Tensor:
        """Return (leaves, batch) the derivative of a function of the root, of the slope (batch,) there."""
        slopes = torch.zeros_like(values)
        slopes[self.root] = slope
        for step in reversed(self.plain):
            step.slopes(values, slopes)
        return slopes[: self.leaves]

    def picked(self, values: Tensor, noise: Callable[[Tensor], Tensor]) -> Tensor:
        """Return (leaves, batch) whether each leaf belongs to the case chosen from the root down."""
        chosen = torch.zeros_like(values)
        chosen[self.root] = 1.0
        for step in reversed(self.steps):
            step.pick(values, chosen, noise)
        return chosen[: self.leaves] > 0

    def _start(self, weights: Tensor, coins: Tensor) -> Tensor:
        values = weights.new_empty((self.rows, weights.shape[1]))
        values[: len(weights)] = weights
        values[len(weights) : self.leaves] = coins
        values[self.leaves + FALSE] = NEVER
        values[self.leaves + TRUE] = 0.0
        return values


def levelled(sketch: Sketch, root: int, device: torch.device) -> Circuit:
    """Return the part of a sketch below a root as a circuit on a device."""
    leaves = sum(map(len, sketch.leaves_of))
    rows = {FALSE: leaves + FALSE, TRUE: leaves + TRUE} | dict(sketch.leaves)
    steps: list[Conjunctions | Choices] = []
    plain: list[Conjunctions | Choices | Sums] = []
    first = leaves + 2
    for nodes in _alike(sketch, depths(sketch, root)):
        rows |= {node: first + place for place, node in enumerate(nodes)}
        padded = []
        for some in _parted(sketch, nodes):
            padded.append(_step(sketch, rows, some, first, first + len(some), device))
            first += len(some)
        steps.extend(padded)
        even = nodes[0] in sketch.conjunctions or _parts(sketch, nodes[0]) == _parts(sketch, nodes[-1])
        plain.extend(padded if even else _sums(sketch, rows, nodes, device))
    constants = torch.tensor([[0.0], [1.0]], device=device)
    return Circuit(leaves, first, rows[root], tuple(steps), tuple(plain), constants)


def _alike(sketch: Sketch, depth: dict[int, int]) -> Iterator[list[int]]:
    """Yield nodes of one level and one kind, those with most parts first."""
    alike: dict[tuple[int, bool], list[int]] = {}
    for node, level in depth.items():
        alike.setdefault((level, node in sketch.choices), []).append(node)
    for _, nodes in sorted(alike.items()):
        yield sorted(nodes, key=lambda node: _parts(sketch, node), reverse=True)


def _parted(sketch: Sketch, nodes: list[int]) -> Iterator[list[int]]:
    """Yield nodes of about as many parts."""
    some: list[int] = []
    for place, node in enumerate(nodes):
        if some and _worth_parting(_parts(sketch, some[0]), _parts(sketch, node), len(nodes) - place):
            yield some
            some = []
        some.append(node)
    yield some


def _parts(sketch: Sketch, node: int) -> int:
    return len(sketch.conjunctions.get(node) or sketch.choices[node])


def _worth_parting(longest: int, parts: int, nodes: int) -> bool:
    """Return whether so many nodes of so many parts are better not padded to the longest."""
    return longest > parts and nodes * (longest - parts) > FEW


def _step(
    sketch: Sketch, rows: dict[int, int], nodes: Sequence[int], first: int, last: int, device: torch.device
) -> Conjunctions | Choices:
    parts = _parts(sketch, nodes[0])
    if nodes[0] in sketch.conjunctions:
        padded = [[rows[one] for one in _filled(sketch.conjunctions[node], parts, TRUE)] for node in nodes]
        return Conjunctions(first, last, _flat(padded, device))
    pairs = [_filled(sketch.choices[node], parts, (FALSE, TRUE)) for node in nodes]
    left = _flat([[rows[one] for one, _ in of] for of in pairs], device)
    right = _flat([[rows[one] for _, one in of] for of in pairs], device)
    return Choices(first, last, left, right, torch.cat((left, right)), torch.cat((right, left)))


def _sums(sketch: Sketch, rows: dict[int, int], nodes: Sequence[int], device: torch.device) -> Iterator[Sums]:
    pairs = [(rows[node], rows[one], rows[other]) for node in nodes for one, other in sketch.choices[node]]
    for some in torch.split(torch.tensor(pairs, device=device), AT_ONCE):
        owners, left, right = some.t().contiguous()
        yield Sums(owners, left, right, torch.cat((left, right)), torch.cat((right, left)))


def _filled(of: Sequence[One], size: int, filler: One) -> list[One]:
    return [*of, *[filler] * (size - len(of))]


def _flat(rows: list[list[int]], device: torch.device) -> Tensor:
    return torch.tensor(rows, device=device).t().reshape(-1)
