"""Hierarchies of labels: a label is as probable as the likeliest below it (Giunchiglia & Lukasiewicz 2020)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune import ALWAYS
from triune.logic import And, AnyOf, Formula, Implies, Label, Or

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import torch
    from torch import Tensor

    from triune import Rule

    Edge = tuple[str, str]

NEVER = -1e30


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The max-constraint module: score(label) = max over the label and all below it.

    Attributes:
        above: the label above, for each pair of the closure.
        below: the label below it.
        placed: both as tensors, by device, made when first used.
    """

    above: tuple[int, ...]
    below: tuple[int, ...]
    placed: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict, compare=False, repr=False)
    joint: bool = True
    said: str = "the maximum over all labels below each (C-HMCNN)"

    def conditioned(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch, labels), no label below the ones that it implies."""
        above, below = self._on(scores.device)
        return scores.scatter_reduce(1, above.expand(len(scores), -1), scores[:, below], "amax")

    def decided(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> None:
        """Return nothing: where a label's score is above zero, so are those of all that it implies."""

    def loss(self, scores: Tensor, targets: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) MCLoss: a label that holds learns from the labels below it that hold, and no others."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        true = targets > 0.5
        of_true = self.conditioned(scores.masked_fill(~true, NEVER), fires, mask)
        combined = of_true.where(true, self.conditioned(scores, fires, mask))
        return binary_cross_entropy_with_logits(combined, targets, reduction="none").sum(-1)

    def possible(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) true: no label at all keeps every hierarchy."""
        return scores.new_ones(len(scores)).bool()

    def kept(self, targets: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) whether every label comes with all that it implies."""
        sure = (targets > 0.5).float()
        return (self.conditioned(sure, fires, mask) == sure).all(-1)

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        import torch

        if device not in self.placed:
            self.placed[device] = (torch.tensor(self.above, device=device), torch.tensor(self.below, device=device))
        return self.placed[device]


def hierarchy(edges: Iterable[Edge], labels: Sequence[str | int]) -> Hierarchy:
    """Return the module of edges (child, parent) among labels."""
    number = {str(label): place for place, label in enumerate(labels)}
    parents: dict[int, set[int]] = {}
    for child, parent in edges:
        parents.setdefault(number[child], set()).add(number[parent])
    pairs = [(over, child) for child in parents for over in sorted(_reached(child, parents))]
    return Hierarchy(tuple(over for over, _ in pairs), tuple(child for _, child in pairs))


def _reached(child: int, parents: dict[int, set[int]]) -> set[int]:
    found: set[int] = set()
    stack = [child]
    while stack:
        new = parents.get(stack.pop(), set()) - found
        found |= new
        stack.extend(new)
    return found - {child}


def edges_of(rules: Sequence[Rule]) -> list[Edge] | str:
    """Return (child, parent) of rules that are a hierarchy on every example, or what one is that is none."""
    found: list[Edge] = []
    for rule in rules:
        edges = _edges(rule.then) if isinstance(rule.then, Formula) else None
        if rule.when != ALWAYS:
            return f"{rule.where} speaks of some examples only"
        if edges is None:
            return f"{rule.where} says more than that one label implies another"
        found.extend(edges)
    return found


def _edges(formula: Formula) -> list[Edge] | None:
    match formula:
        case Implies(Label(child), Label(parent)):
            return [(str(child), str(parent))]
        case Implies(Or(several) | AnyOf(several), Label(parent)):
            below = [one.name for one in several if isinstance(one, Label)]
            return [(str(child), str(parent)) for child in below] if len(below) == len(several) else None
        case And(several):
            parts = [_edges(one) for one in several]
            return None if None in parts else [edge for part in parts if part for edge in part]
        case _:
            return None
