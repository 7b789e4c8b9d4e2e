"""Hierarchies of labels: a label is as probable as the likeliest below it (Giunchiglia & Lukasiewicz 2020)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from triune import ALWAYS
from triune.logic import And, AnyOf, Formula, Implies, Label, Or
from triune.logic.coherence import Coherence

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from triune import Rule

    Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Hierarchy:
    """The max-constraint module: score(label) = max over the label and all below it."""

    coherence: Coherence
    joint: bool = True
    said: str = "the maximum over all labels below each (C-HMCNN)"

    def conditioned(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch, labels), no label below the ones that it implies."""
        return self.coherence.coherent(scores)

    def decided(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> None:
        """Return nothing: where a label's score is above zero, so are those of all that it implies."""

    def loss(self, scores: Tensor, targets: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) MCLoss: a label that holds learns from the labels below it that hold, and no others."""
        from torch.nn.functional import binary_cross_entropy_with_logits

        fitted = self.coherence.fitted(scores, targets)
        return binary_cross_entropy_with_logits(fitted, targets.to(fitted.dtype), reduction="none").sum(-1)

    def possible(self, scores: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) true: no label at all keeps every hierarchy."""
        return scores.new_ones(len(scores)).bool()

    def kept(self, targets: Tensor, fires: Tensor, mask: Tensor | None) -> Tensor:
        """Return (batch,) whether every label comes with all that it implies."""
        sure = (targets > 0.5).float()
        return (self.coherence.coherent(sure) == sure).all(-1)


def hierarchy(edges: Iterable[Edge], labels: Sequence[str | int]) -> Hierarchy:
    """Return the module of edges (child, parent) among labels.

    Raises:
        FormulaError: labels imply each other in a circle.
    """
    parents: dict[str | int, set[str | int]] = {}
    for child, parent in edges:
        parents.setdefault(child, set()).add(parent)
    return Hierarchy(Coherence.of(labels, parents))


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
