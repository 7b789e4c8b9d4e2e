"""The steps of circuits on tensors: nodes of one level that are computed together, every example of a batch at once.

Values are logarithms, or plain numbers. Logarithms need the largest part of each node, so nodes stand in a rectangle,
the shorter ones padded; plain sums of unequal lengths need no padding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch  # noqa: TID253 - this module is torch
from torch import Tensor  # noqa: TID253

from triune.logic.variables import NEVER

if TYPE_CHECKING:
    from collections.abc import Callable


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
        own, nodes = values[self.first : self.last], self.last - self.first
        pairs = pairs.view(len(pairs) // nodes, nodes, values.shape[1])
        if len(pairs) == 2:  # the commonest case, and an addition takes half the time of a sum
            torch.add(pairs[0], pairs[1], out=own)
        else:
            torch.sum(pairs, 0, out=own)

    def slopes(self, values: Tensor, slopes: Tensor) -> None:
        """Add to the slope of each part of a pair: the node's, times the other part."""
        others = values.index_select(0, self.crossed)
        nodes = self.last - self.first
        others.view(len(others) // nodes, nodes, values.shape[1]).mul_(slopes[self.first : self.last])
        slopes.index_add_(0, self.both, others)

    def _pairs(self, values: Tensor) -> Tensor:
        pairs = values.index_select(0, self.left).add_(values.index_select(0, self.right))
        nodes = self.last - self.first
        return pairs.view(len(self.left) // nodes, nodes, values.shape[1])


@dataclass(frozen=True, slots=True)
class Sums:
    """Nodes that are sums of products of two, of any number each, in plain numbers; values start at zero.

    `owners` are the nodes of all pairs, `both` their left parts and then their right ones, `crossed` the reverse.
    """

    owners: Tensor
    left: Tensor
    right: Tensor
    both: Tensor
    crossed: Tensor

    def multiply(self, values: Tensor) -> None:
        """Compute the nodes as the sum of their pairs' products."""
        products = values.index_select(0, self.left).mul_(values.index_select(0, self.right))
        values.index_add_(0, self.owners, products)

    def slopes(self, values: Tensor, slopes: Tensor) -> None:
        """Add to the slope of each part of a pair: the node's, times the other part."""
        others = values.index_select(0, self.crossed)
        others.view(2, len(self.owners), values.shape[1]).mul_(slopes.index_select(0, self.owners))
        slopes.index_add_(0, self.both, others)
