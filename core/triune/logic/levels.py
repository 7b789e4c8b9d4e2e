"""Circuits on tensors: every example of a batch at once, level by level, up for values and down for answers.

Values are plain numbers, fast and of a limited range, or logarithms; there false is -1e30, not minus infinity, so
that differences stay numbers. Nodes of a level with about as many parts are computed together, the shorter padded;
a level of many nodes is parted, so that padding stays below half, or below what one more step would cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch  # noqa: TID253 - this module is torch
from torch import Tensor  # noqa: TID253

from triune.logic.circuits import FALSE, TRUE, depths
from triune.logic.variables import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from triune.logic.circuits import Sketch

FEW = 128
"""Padding that costs less than a step of its own."""

One = TypeVar("One")


@dataclass(frozen=True, slots=True)
class Conjunctions:
    """Nodes `first` to `last` that are sums of their parts; `parts` is (parts, nodes), flat."""

    first: int
    last: int
    parts: Tensor

    def up(self, values: Tensor) -> Tensor | None:
        """Compute the nodes from their parts."""
        torch.sum(self._found(values), 0, out=values[self.first : self.last]).clamp_(min=NEVER)
        return None

    def up_best(self, values: Tensor) -> None:
        """Compute the nodes from their parts."""
        self.up(values)

    def down(self, flow: Tensor, shares: Tensor | None) -> None:
        """Hand the flow of the nodes on to their parts."""
        own = flow[self.first : self.last]
        many = own.expand(len(self.parts) // len(own), *own.shape).reshape(-1, flow.shape[1])
        flow.index_add_(0, self.parts, many)

    def pick(self, values: Tensor, chosen: Tensor, noise: Callable[[Tensor], Tensor]) -> None:
        """Choose all parts of the nodes that are chosen."""
        self.down(chosen, None)

    def multiply(self, values: Tensor) -> None:
        """Compute the nodes from their parts, in plain numbers."""
        torch.prod(self._found(values), 0, out=values[self.first : self.last])

    def slopes(self, values: Tensor, slopes: Tensor) -> None:
        """Add to the slope of each part: the node's, times the other parts. No division, as parts may be zero."""
        found = self._found(values)
        ones = torch.ones_like(found[:1])
        before = torch.cat((ones, found[:-1])).cumprod(0)
        after = torch.cat((ones, found.flip(0)[:-1])).cumprod(0).flip(0)
        others = before.mul_(after).mul_(slopes[self.first : self.last])
        slopes.index_add_(0, self.parts, others.flatten(0, 1))

    def _found(self, values: Tensor) -> Tensor:
        nodes = self.last - self.first
        return values.index_select(0, self.parts).view(len(self.parts) // nodes, nodes, values.shape[1])


@dataclass(frozen=True, slots=True)
class Choices:
    """Nodes `first` to `last` that are one of their pairs; `left` and `right` are (pairs, nodes), flat.

    `both` is left, then right; `crossed` is right, then left.
    """

    first: int
    last: int
    left: Tensor
    right: Tensor
    both: Tensor
    crossed: Tensor

    def up(self, values: Tensor) -> Tensor | None:
        """Compute the nodes as log-sum-exp of their pairs; return (pairs, nodes, batch) the share of each pair."""
        pairs, own = self._pairs(values), values[self.first : self.last]
        if len(pairs) == 1:
            torch.clamp(pairs[0], min=NEVER, out=own)
            return None
        top = pairs.amax(0)
        torch.sum(pairs.sub_(top).exp_(), 0, out=own)
        # shares are kept, not found again as exp(pair - node): far from zero logarithms are rounded coarsely
        pairs.div_(own)
        own.log_().add_(top).clamp_(min=NEVER)
        return pairs

    def up_best(self, values: Tensor) -> None:
        """Compute the nodes as the best of their pairs."""
        torch.clamp(self._pairs(values).amax(0), min=NEVER, out=values[self.first : self.last])

    def down(self, flow: Tensor, shares: Tensor | None) -> None:
        """Hand the flow of the nodes on, by the share of each pair."""
        own = flow[self.first : self.last]
        parts = own.clone() if shares is None else (shares * own).flatten(0, 1)
        flow.index_add_(0, self.left, parts)
        flow.index_add_(0, self.right, parts)

    def pick(self, values: Tensor, chosen: Tensor, noise: Callable[[Tensor], Tensor]) -> None:
        """Choose one pair of each node that is chosen: the best once `noise` is added."""
        pairs = noise(self._pairs(values))
        best = torch.zeros_like(pairs).scatter_(0, pairs.argmax(0, keepdim=True), 1.0)
        self.down(chosen, best)

    def multiply(self, values: Tensor) -> None:
        """Compute the nodes as the sum of their pairs' products, in plain numbers."""
        pairs = values.index_select(0, self.left).mul_(values.index_select(0, self.right))
        pairs = pairs.view(-1, self.last - self.first, values.shape[1])
        own = values[self.first : self.last]
        if len(pairs) == 2:  # the commonest case, and an addition takes half the time of a sum
            torch.add(pairs[0], pairs[1], out=own)
        else:
            torch.sum(pairs, 0, out=own)

    def slopes(self, values: Tensor, slopes: Tensor) -> None:
        """Add to the slope of each part of a pair: the node's, times the other part."""
        others = values.index_select(0, self.crossed)
        others.view(-1, self.last - self.first, values.shape[1]).mul_(slopes[self.first : self.last])
        slopes.index_add_(0, self.both, others)

    def _pairs(self, values: Tensor) -> Tensor:
        pairs = values.index_select(0, self.left).add_(values.index_select(0, self.right))
        nodes = self.last - self.first
        return pairs.view(len(self.left) // nodes, nodes, values.shape[1])


@dataclass(frozen=True, slots=True)
class Circuit:
    """A sketch in levels. The first `leaves` rows of its values are those of the leaves."""

    leaves: int
    rows: int
    root: int
    steps: tuple[Conjunctions | Choices, ...]
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
        values = weights.new_empty((self.rows, weights.shape[1]))
        values[: len(weights)] = weights
        if len(coins):
            values[len(weights) : self.leaves] = coins
        values[self.leaves : self.leaves + 2] = self.constants
        for step in self.steps:
            step.multiply(values)
        return values

    def slopes(self, values: Tensor, slope: Tensor) -> Tensor:
        """Return (leaves, batch) the derivative of a function of the root, of the slope (batch,) there."""
        slopes = torch.zeros_like(values)
        slopes[self.root] = slope
        for step in reversed(self.steps):
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
    depth = depths(sketch, root)
    rows = {FALSE: leaves + FALSE, TRUE: leaves + TRUE} | dict(sketch.leaves)
    steps: list[Conjunctions | Choices] = []
    first = leaves + 2
    for of_kind in _together(sketch, depth):
        parts, nodes = of_kind
        for place, node in enumerate(nodes):
            rows[node] = first + place
        last = first + len(nodes)
        steps.append(_step(sketch, rows, nodes, parts, first, last, device))
        first = last
    constants = torch.tensor([[0.0], [1.0]], device=device)
    return Circuit(leaves, first, rows[root], tuple(steps), constants)


def _together(sketch: Sketch, depth: dict[int, int]) -> Iterator[tuple[int, list[int]]]:
    """Yield (parts, nodes) for nodes of one level, one kind and about as many parts."""
    alike: dict[tuple[int, bool], list[int]] = {}
    for node, level in depth.items():
        alike.setdefault((level, node in sketch.choices), []).append(node)
    for _, nodes in sorted(alike.items()):
        parts = {node: len(sketch.conjunctions.get(node) or sketch.choices[node]) for node in nodes}
        nodes.sort(key=parts.__getitem__, reverse=True)
        some: list[int] = []
        for place, node in enumerate(nodes):
            if some and _worth_parting(parts[some[0]], parts[node], len(nodes) - place):
                yield parts[some[0]], some
                some = []
            some.append(node)
        yield parts[some[0]], some


def _worth_parting(longest: int, parts: int, nodes: int) -> bool:
    """Return whether so many nodes of so many parts are better not padded to the longest."""
    return longest > parts and nodes * (longest - parts) > FEW


def _step(
    sketch: Sketch, rows: dict[int, int], nodes: Sequence[int], parts: int, first: int, last: int, device: torch.device
) -> Conjunctions | Choices:
    if nodes[0] in sketch.conjunctions:
        padded = [[rows[one] for one in _filled(sketch.conjunctions[node], parts, TRUE)] for node in nodes]
        return Conjunctions(first, last, _flat(padded, device))
    pairs = [_filled(sketch.choices[node], parts, (FALSE, TRUE)) for node in nodes]
    left = _flat([[rows[one] for one, _ in of] for of in pairs], device)
    right = _flat([[rows[one] for _, one in of] for of in pairs], device)
    return Choices(first, last, left, right, torch.cat((left, right)), torch.cat((right, left)))


def _filled(of: Sequence[One], size: int, filler: One) -> list[One]:
    return [*of, *[filler] * (size - len(of))]


def _flat(rows: list[list[int]], device: torch.device) -> Tensor:
    return torch.tensor(rows, device=device).t().reshape(-1)
