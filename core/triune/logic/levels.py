"""Circuits on tensors: every example of a batch at once, level by level, up for values and down for answers.

Values are logarithms; false is -1e30, not minus infinity, so that differences stay numbers. Nodes of a level
with about as many parts are computed together: parts are padded to the next of 1, 2, 3, 4, 6, 8, 12, 16, …,
never to the longest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch  # noqa: TID253 - this module is torch
from torch import Tensor  # noqa: TID253
from torch.autograd import Function  # noqa: TID253
from torch.autograd.function import once_differentiable  # noqa: TID253

from triune.logic.circuits import FALSE, TRUE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from triune.logic.circuits import Sketch

One = TypeVar("One")

NEVER = -1e30
"""The logarithm of the probability of what cannot be."""


@dataclass(frozen=True, slots=True)
class Conjunctions:
    """Nodes `first` to `last` that are sums of their parts; `parts` is (parts, nodes), flat."""

    first: int
    last: int
    parts: Tensor

    def up(self, values: Tensor) -> None:
        """Compute the nodes from their parts."""
        found = values.index_select(0, self.parts)
        torch.sum(found.view(-1, self.last - self.first, values.shape[1]), 0, out=values[self.first : self.last])
        values[self.first : self.last].clamp_(min=NEVER)

    def down(self, values: Tensor, flow: Tensor) -> None:
        """Hand the flow of the nodes on to their parts."""
        own = flow[self.first : self.last]
        flow.index_add_(0, self.parts, own.repeat(len(self.parts) // len(own), 1))

    def pick(self, values: Tensor, chosen: Tensor, noise: Callable[[Tensor], Tensor]) -> None:
        """Choose all parts of the nodes that are chosen."""
        self.down(values, chosen)


@dataclass(frozen=True, slots=True)
class Choices:
    """Nodes `first` to `last` that are one of their pairs; `left` and `right` are (pairs, nodes), flat."""

    first: int
    last: int
    left: Tensor
    right: Tensor

    def up(self, values: Tensor) -> None:
        """Compute the nodes as log-sum-exp of their pairs."""
        pairs = self._pairs(values)
        own = values[self.first : self.last]
        if len(pairs) == 1:
            own.copy_(pairs[0])
            return
        top = pairs.amax(0)
        torch.sum(pairs.sub_(top).exp_(), 0, out=own)
        own.log_().add_(top)

    def up_best(self, values: Tensor) -> None:
        """Compute the nodes as the best of their pairs."""
        values[self.first : self.last] = self._pairs(values).amax(0)

    def down(self, values: Tensor, flow: Tensor) -> None:
        """Hand the flow of the nodes on, by the share of each pair."""
        shares = self._pairs(values).sub_(values[self.first : self.last]).exp_()
        # far from zero a node's logarithm is rounded coarsely: shares are made to sum to one again
        shares.mul_(flow[self.first : self.last] / shares.sum(0))
        shares = shares.view(-1, values.shape[1])
        flow.index_add_(0, self.left, shares)
        flow.index_add_(0, self.right, shares)

    def pick(self, values: Tensor, chosen: Tensor, noise: Callable[[Tensor], Tensor]) -> None:
        """Choose one pair of each node that is chosen: the best once `noise` is added."""
        pairs = noise(self._pairs(values))
        best = torch.zeros_like(pairs).scatter_(0, pairs.argmax(0, keepdim=True), 1.0)
        best = best.mul_(chosen[self.first : self.last]).view(-1, values.shape[1])
        chosen.index_add_(0, self.left, best)
        chosen.index_add_(0, self.right, best)

    def _pairs(self, values: Tensor) -> Tensor:
        pairs = values.index_select(0, self.left).add_(values.index_select(0, self.right)).clamp_(min=NEVER)
        return pairs.view(-1, self.last - self.first, values.shape[1])


@dataclass(frozen=True, slots=True)
class Circuit:
    """A sketch in levels. The first `leaves` rows of its values are those of the leaves."""

    leaves: int
    rows: int
    root: int
    steps: tuple[Conjunctions | Choices, ...]
    edges: int

    def values(self, weights: Tensor) -> Tensor:
        """Return (rows, batch) the logarithm of every node, for leaf weights (leaves, batch)."""
        values = self._start(weights)
        for step in self.steps:
            step.up(values)
        return values

    def best_values(self, weights: Tensor) -> Tensor:
        """Return (rows, batch) the logarithm of every node's best case."""
        values = self._start(weights)
        for step in self.steps:
            step.up_best(values) if isinstance(step, Choices) else step.up(values)
        return values

    def flow(self, values: Tensor, flow: Tensor) -> Tensor:
        """Return (leaves, batch) how much of a flow (batch,) into the root arrives at each leaf."""
        down = torch.zeros_like(values)
        down[self.root] = flow
        for step in reversed(self.steps):
            step.down(values, down)
        return down[: self.leaves]

    def picked(self, values: Tensor, noise: Callable[[Tensor], Tensor]) -> Tensor:
        """Return (leaves, batch) whether each leaf belongs to the case chosen from the root down."""
        chosen = torch.zeros_like(values)
        chosen[self.root] = 1.0
        for step in reversed(self.steps):
            step.pick(values, chosen, noise)
        return chosen[: self.leaves] > 0

    def _start(self, weights: Tensor) -> Tensor:
        values = weights.new_empty((self.rows, weights.shape[1]))
        values[: self.leaves] = weights
        values[self.leaves + FALSE] = NEVER
        values[self.leaves + TRUE] = 0.0
        return values


class LogValue(Function):
    """The logarithm of a circuit's value; its gradient is one pass down, the marginals of the leaves."""

    @staticmethod
    def forward(ctx: Any, weights: Tensor, circuit: Circuit) -> Tensor:
        """Return (batch,) the root's value, for leaf weights (leaves, batch)."""
        values = circuit.values(weights)
        ctx.circuit = circuit
        ctx.save_for_backward(values)
        return values[circuit.root].clone()

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """Return (leaves, batch) the gradient; none where the circuit is false."""
        (values,) = ctx.saved_tensors
        possible = values[ctx.circuit.root] > NEVER / 2
        return ctx.circuit.flow(values, gradient * possible), None


def levelled(sketch: Sketch, root: int, device: torch.device) -> Circuit:
    """Return the part of a sketch below a root as a circuit on a device."""
    leaves = sum(sketch.sizes)
    depth = _depths(sketch, root)
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
    edges = sum(len(sketch.choices.get(node, ())) + len(sketch.conjunctions.get(node, ())) for node in depth)
    return Circuit(leaves, first, rows[root], tuple(steps), edges)


def _depths(sketch: Sketch, root: int) -> dict[int, int]:
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


def _together(sketch: Sketch, depth: dict[int, int]) -> Iterator[tuple[int, list[int]]]:
    """Yield (parts, nodes) for nodes of one level, one kind and about as many parts."""
    alike: dict[tuple[int, bool, int], list[int]] = {}
    for node, level in depth.items():
        parts = sketch.conjunctions.get(node) or sketch.choices[node]
        alike.setdefault((level, node in sketch.choices, _padded(len(parts))), []).append(node)
    for (_, _, parts), nodes in sorted(alike.items()):
        yield parts, nodes


def _padded(parts: int) -> int:
    """Return the next of 1, 2, 3, 4, 6, 8, 12, 16, …"""
    power = 1 << (parts - 1).bit_length()
    return power * 3 // 4 if parts <= power * 3 // 4 else power


def _step(
    sketch: Sketch, rows: dict[int, int], nodes: Sequence[int], parts: int, first: int, last: int, device: torch.device
) -> Conjunctions | Choices:
    if nodes[0] in sketch.conjunctions:
        padded = [[rows[one] for one in _filled(sketch.conjunctions[node], parts, TRUE)] for node in nodes]
        return Conjunctions(first, last, _flat(padded, device))
    pairs = [_filled(sketch.choices[node], parts, (FALSE, TRUE)) for node in nodes]
    left = _flat([[rows[one] for one, _ in of] for of in pairs], device)
    right = _flat([[rows[one] for _, one in of] for of in pairs], device)
    return Choices(first, last, left, right)


def _filled(of: Sequence[One], size: int, filler: One) -> list[One]:
    return [*of, *[filler] * (size - len(of))]


def _flat(rows: list[list[int]], device: torch.device) -> Tensor:
    return torch.tensor(rows, device=device).t().reshape(-1)
