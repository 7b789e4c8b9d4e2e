"""Labels that imply others: outputs that are coherent by construction (Giunchiglia and Lukasiewicz 2020).

A label scores as high as the highest of itself and all that imply it, so whoever is predicted brings its ancestors
along, whatever the threshold:

    coherent(s)_a = max over b in {a and its descendants} of s_b.

Only pairs of an ancestor and a descendant are touched, a few a label, never labels × labels.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from triune.errors import listed, nearest
from triune.logic.formulas import And, FormulaError, Implies, Label

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    import torch
    from torch import Tensor

    from triune.logic.costs import Budget
    from triune.logic.inference import Compiled
    from triune.logic.variables import Space

    Name = str | int


@dataclass(frozen=True, slots=True)
class Coherence:
    """A hierarchy, a tree or any graph without cycles, over the labels of yes-or-no outputs.

    Attributes:
        labels: the labels, in the order of the scores.
        parents: for each label, the places of what it implies directly.
        closure: for each label, the places of itself and all that imply it.
    """

    labels: tuple[Name, ...]
    parents: tuple[tuple[int, ...], ...]
    closure: tuple[tuple[int, ...], ...]
    made: dict[torch.device, tuple[Tensor, Tensor]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, labels: Sequence[Name], parents: Mapping[Name, Collection[Name]]) -> Coherence:
        """Return the hierarchy in which each label implies its parents.

        Raises:
            FormulaError: a label is not one of the outputs, or implies itself along a cycle.
        """
        places = {str(label): place for place, label in enumerate(labels)}
        for name in (name for child, of in parents.items() for name in (child, *of)):
            if str(name) not in places:
                raise FormulaError(f"{name!r} is not a label of these outputs{nearest(name, places)}")
        above = {places[str(child)]: tuple(places[str(one)] for one in of) for child, of in parents.items()}
        own = tuple(above.get(place, ()) for place in range(len(labels)))
        return cls(tuple(labels), own, _closure(labels, own))

    @property
    def formula(self) -> And:
        """What always holds: a label implies its parents."""
        return And(
            *(
                Implies(Label(child), Label(self.labels[parent]))
                for child, of in zip(self.labels, self.parents, strict=True)
                for parent in of
            )
        )

    def compiled(self, space: Space, budget: Budget | None = None) -> Compiled:
        """Return the rule that the hierarchy holds, for its exact log Z, marginals, best answer and draws.

        Raises:
            RuleCostError: labels have so many parents in common that exact inference would exceed the budget.
        """
        from triune.logic.costs import Budget
        from triune.logic.inference import RuleSet, Weighted

        rule = Weighted("the hierarchy", self.formula, hard=True, always=True)
        return RuleSet((rule,)).compiled(space, budget or Budget())

    def coherent(self, scores: Tensor) -> Tensor:
        """Return (batch, labels) the highest score of each label and its descendants.

        The gradient of a label goes to the highest one, in equal parts where several are.
        """
        import torch

        below, counts = self._on(scores.device)
        found = scores.t().contiguous().index_select(0, below)
        return torch.segment_reduce(found, "max", lengths=counts, axis=0, unsafe=True).t()

    def fitted(self, scores: Tensor, targets: Tensor) -> Tensor:
        """Return (batch, labels) what the loss compares with targets, of 0 and 1.

        A label that is true is credited through its true descendants alone, one that is not is blamed through any:
        the loss of the paper, in which no label learns to rise for the sake of a wrong ancestor.
        """
        import torch

        true = targets > 0.5
        through_true = self.coherent(torch.where(true, scores, torch.finfo(scores.dtype).min))
        return torch.where(true, through_true, self.coherent(scores))

    def _on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return (pairs,) the descendants, by ancestor, and (labels,) how many each ancestor has."""
        import torch

        if device not in self.made:
            below = [one for of in self.closure for one in of]
            counts = torch.tensor([len(of) for of in self.closure])
            self.made[device] = (torch.tensor(below, device=device), counts.to(device))
        return self.made[device]


def _closure(labels: Sequence[Name], parents: Sequence[Collection[int]]) -> tuple[tuple[int, ...], ...]:
    order = _parents_last(labels, parents)
    below: list[set[int]] = [{place} for place in range(len(labels))]
    for place in order:
        for parent in parents[place]:
            below[parent] |= below[place]
    return tuple(tuple(sorted(of)) for of in below)


def _parents_last(labels: Sequence[Name], parents: Sequence[Collection[int]]) -> Iterable[int]:
    """Return all places, children before their parents."""
    waiting = [0] * len(labels)  # children that are not yet placed
    for of in parents:
        for parent in of:
            waiting[parent] += 1
    order = [place for place, many in enumerate(waiting) if not many]
    for place in order:
        for parent in parents[place]:
            waiting[parent] -= 1
            if not waiting[parent]:
                order.append(parent)
    if len(order) < len(labels):
        circling = [labels[place] for place, many in enumerate(waiting) if many]
        raise FormulaError(f"labels imply each other in a circle: {listed(circling)}; leave one of these out")
    return order
